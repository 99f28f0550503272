//! Holds `docs/configuration.md` to the code: every key, no other key, and the defaults as they are.

use std::collections::BTreeSet;
use std::fmt::Debug;

use agent::LaneConfig;
use agent::driver::edge::EdgeConfig;
use agent::driver::redis::RedisConfig;
use agent::driver::varnish::VarnishConfig;
use broker_adapter::{NatsConfig, TlsConfig};
use serde::de::DeserializeOwned;

use super::broker::{EmbeddedLog, Head};
use super::keys::keys_of;
use super::*;

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// Key and default of each row of the table below a heading.
fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
    let section = REFERENCE.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`'), cells.next()?))
    };
    section.lines().filter_map(row).collect()
}

/// Defaults that are told in words because no value could be written for them.
const IN_WORDS: [&str; 8] = [
    "every region",
    "every site",
    "prefix and host name",
    "that of `publisher.journal`",
    "that of the journal with `-audit` behind it",
    "the driver's",
    "the host's name",
    "the system's authorities",
];

/// Checks one section and answers its heading; `required` is what the struct cannot do without, as TOML.
fn describes<T: DeserializeOwned + Debug>(heading: &'static str, required: &str) -> &'static str {
    let rows = rows(heading);
    let told: BTreeSet<_> = rows.iter().filter_map(|(key, _)| key.split('.').next()).collect();
    assert_eq!(told, keys_of::<T>().iter().copied().collect(), "keys of {heading}");

    let literal = |default: &'static str| default.strip_prefix('`')?.strip_suffix('`');
    let defaults: String = rows
        .iter()
        .filter_map(|(key, default)| Some(format!("{key} = {}\n", literal(default)?)))
        .collect();
    let read = |text: &str| toml::from_str::<T>(text).map(|read| format!("{read:?}"));
    assert_eq!(read(&format!("{required}{defaults}")), read(required), "defaults of {heading}");

    let unset = read(required).expect("nothing else is required");
    for (key, default) in rows.iter().filter(|(_, default)| literal(default).is_none()) {
        let others: Vec<_> = required.lines().filter(|line| !line.starts_with(key)).collect();
        // Whoever reads a cache asks for its name and driver, to tell both at once.
        let needed = read(&others.join("\n")).is_err() || heading.ends_with("every cache");
        assert_eq!(default.starts_with("none: required"), needed, "{heading}: {key}");
        if !needed && default.starts_with("none") {
            let set = format!(" {key}: Some(");
            assert!(!unset.contains(&set), "{heading}: {key} has a default: {unset}");
        } else if !needed {
            assert!(IN_WORDS.contains(default), "{heading}: {key} has a value: {default}");
        }
    }
    heading
}

#[test]
fn the_reference_tells_every_key_and_its_default() {
    let redis = "url = \"redis://127.0.0.1:6379\"\nkeys.key = \"{site}:{key}\"\n";
    let told = [
        describes::<ProcessConfig>("Above all tables", ""),
        describes::<LogConfig>("`[log]`", ""),
        describes::<Head>("`[broker]`", ""),
        describes::<EmbeddedLog>("`kind = \"embedded\"`", ""),
        describes::<NatsConfig>("`kind = \"nats\"`", ""),
        describes::<TlsConfig>("`[broker.tls]`", ""),
        describes::<PublisherConfig>("`[publisher]`", ""),
        describes::<daemon::TlsConfig>(
            "`[publisher.tls]`",
            "certificate_file = \"a\"\nkey_file = \"b\"\n",
        ),
        describes::<SiteConfig>("`[[site]]`", ""),
        describes::<AgentConfig>("`[agent]`", ""),
        describes::<super::cache::Head>("`[[agent.cache]]`: every cache", ""),
        describes::<LaneConfig>("`[[agent.cache]]`: lanes", ""),
        describes::<VarnishConfig>("`driver = \"varnish\"`", "url = \"http://127.0.0.1:6081\"\n"),
        describes::<EdgeConfig>("`driver = \"edge\"`", "url = \"http://127.0.0.1:6081\"\n"),
        describes::<RedisConfig>("`driver = \"redis\"`", redis),
    ];
    let told: BTreeSet<_> = told.into_iter().chain(of_kafka()).collect();
    let tables =
        REFERENCE.split("\n## ").skip(1).filter(|section| section.contains("| key | default |"));
    let missing = tables.filter(|section| !told.iter().any(|heading| section.starts_with(heading)));
    let missing: Vec<_> = missing.filter_map(|section| section.lines().next()).collect();
    let unread = if cfg!(feature = "kafka") { 0 } else { 2 };
    assert_eq!(missing.len(), unread, "nobody checks {missing:?}");
}

#[cfg(feature = "kafka")]
fn of_kafka() -> Vec<&'static str> {
    use broker_adapter::{KafkaConfig, SaslConfig};

    let required = "mechanism = \"scram-sha-512\"\nuser = \"purgebus\"\n";
    vec![
        describes::<KafkaConfig>("`kind = \"kafka\"`", ""),
        describes::<SaslConfig>("`[broker.sasl]`", required),
    ]
}

#[cfg(not(feature = "kafka"))]
fn of_kafka() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(feature = "kafka")]
#[test]
fn the_examples_of_the_reference_have_no_mistakes() {
    let environment = [("STATE", "AGENT"), ("JOURNAL", "PUBLISHER")]
        .map(|(key, table)| (format!("PURGEBUS__{table}__{key}"), "/tmp/folder".to_owned()));
    let files = tempfile::tempdir().expect("a folder");
    let key = schemas::SigningKey::generate().expect("random bits");
    let ours = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
    for (name, text) in [
        ("signing.key", key.to_pem().expect("a key")),
        ("publishers.pub", key.public().to_string()),
        ("tokens.toml", String::new()),
        ("api.pem", ours.cert.pem()),
        ("clients.pem", ours.cert.pem()),
        ("api.key", ours.signing_key.serialize_pem()),
    ] {
        std::fs::write(files.path().join(name), text).expect("written");
    }
    let examples: Vec<_> = REFERENCE.split("```toml\n").skip(1).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let example = example.split("```").next().unwrap_or_default();
        let example = example.replace("/etc/purgebus", &files.path().display().to_string());
        let read = Config::parse(&example, &environment, None);
        assert!(read.is_ok(), "{read:#?} in\n{example}");
    }
}
