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

/// Checks one section; `required` is what the struct cannot do without, as TOML.
fn describes<T: DeserializeOwned + Debug>(heading: &str, required: &str) {
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
}

#[test]
fn the_reference_tells_every_key_and_its_default() {
    describes::<ProcessConfig>("Above all tables", "");
    describes::<LogConfig>("`[log]`", "");
    describes::<Head>("`[broker]`", "");
    describes::<EmbeddedLog>("`kind = \"embedded\"`", "");
    describes::<NatsConfig>("`kind = \"nats\"`", "");
    describes::<TlsConfig>("`[broker.tls]`", "");
    describes::<PublisherConfig>("`[publisher]`", "");
    describes::<SiteConfig>("`[[site]]`", "");
    describes::<AgentConfig>("`[agent]`", "");
    describes::<LaneConfig>("`[[agent.cache]]`: lanes", "");
    describes::<VarnishConfig>("`driver = \"varnish\"`", "url = \"http://127.0.0.1:6081\"\n");
    describes::<EdgeConfig>("`driver = \"edge\"`", "url = \"http://127.0.0.1:6081\"\n");
    let redis = "url = \"redis://127.0.0.1:6379\"\nkeys.key = \"{site}:{key}\"\n";
    describes::<RedisConfig>("`driver = \"redis\"`", redis);
}

#[cfg(feature = "kafka")]
#[test]
fn the_reference_tells_every_key_of_kafka_and_its_default() {
    use broker_adapter::{KafkaConfig, SaslConfig};

    describes::<KafkaConfig>("`kind = \"kafka\"`", "");
    let required = "mechanism = \"scram-sha-512\"\nuser = \"purgebus\"\n";
    describes::<SaslConfig>("`[broker.sasl]`", required);
}

#[cfg(feature = "kafka")]
#[test]
fn the_examples_of_the_reference_have_no_mistakes() {
    let environment = [("STATE", "AGENT"), ("JOURNAL", "PUBLISHER")]
        .map(|(key, table)| (format!("PURGEBUS__{table}__{key}"), "/tmp".to_owned()));
    let examples: Vec<_> = REFERENCE.split("```toml\n").skip(1).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let example = example.split("```").next().unwrap_or_default();
        let read = Config::parse(example, &environment, None);
        assert!(read.is_ok(), "{read:#?} in\n{example}");
    }
}
