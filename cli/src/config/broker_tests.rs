//! `[broker]` of every kind, for every role, and what is said about its mistakes.

use super::tests;
use super::*;

const SITE: &str = "[[site]]\nhosts = [\"www.example.com\"]\n";
const AGENT: &str =
    "[agent]\n[[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n";

/// Nothing is signed: that is another matter.
fn environment(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let unsigned =
        [("PURGEBUS__PUBLISHER__UNSIGNED", "true"), ("PURGEBUS__AGENT__ACCEPT_UNSIGNED", "true")];
    tests::environment(&[&unsigned, extra].concat())
}

/// What is said about `[broker]` with these lines, field by field.
fn told(lines: &str) -> Vec<String> {
    let text = format!("[broker]\n{lines}\n{SITE}");
    match Config::parse(&text, &environment(&[]), Some(Role::Publisher)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => {
            let told = |Mistake { field, problem, .. }: &Mistake| format!("{field}: {problem}");
            mistakes.iter().map(told).collect()
        }
    }
}

/// Each with the one mistake that it has, as it begins.
fn each_tells(kind: &str, cases: &[(&str, &str)]) {
    for (lines, expected) in cases {
        let told = told(&format!("kind = \"{kind}\"\n{lines}"));
        assert!(told.len() == 1 && told[0].starts_with(expected), "{lines}: {told:#?}");
    }
}

fn a_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

#[test]
fn each_kind_has_its_defaults() {
    let kinds = [("nats", "nats://127.0.0.1:4222"), ("kafka", "127.0.0.1:9092")];
    for (kind, servers) in kinds.into_iter().take(if cfg!(feature = "kafka") { 2 } else { 1 }) {
        let text = format!("[broker]\nkind = \"{kind}\"\n{SITE}");
        let config = Config::parse(&text, &environment(&[]), Some(Role::Publisher));
        let config = config.expect("no mistakes");
        assert_eq!((config.broker.kind(), config.broker.servers()), (kind, servers.to_owned()));
        assert_eq!(config.broker.partitions(), 1);
        assert_eq!(config.broker.retention(), Duration::from_hours(7 * 24));
    }
}

#[test]
fn a_role_needs_only_its_own_tables() {
    let broker = "[broker]\nkind = \"nats\"\n";
    let publisher = format!("{broker}{SITE}[publisher]\nname = \"p\"\n");
    let agent = format!("{broker}{SITE}{AGENT}");
    let parse = |text: &str, role| Config::parse(text, &environment(&[]), role);
    let config = parse(&publisher, Some(Role::Publisher)).expect("no mistakes");
    assert!(config.publisher.is_some() && config.agent.is_none());
    let config = parse(&agent, Some(Role::Agent)).expect("no mistakes");
    assert!(config.publisher.is_none() && config.agent.is_some());
    for (text, role, missing) in [
        (&publisher, Role::Agent, "there is none; add [[agent.cache]]"),
        (&publisher, Role::Serve, "there is none; add [[agent.cache]]"),
        (&broker.to_owned(), Role::Publisher, "there is none; add [[site]]"),
    ] {
        let mistakes = parse(text, Some(role)).expect_err("something is missing");
        assert!(mistakes.iter().any(|it| it.problem.starts_with(missing)), "{mistakes:#?}");
    }
}

#[test]
fn tables_of_other_roles_are_not_looked_at() {
    let agent = format!("[broker]\nkind = \"nats\"\n{SITE}[publisher]\nlisten = 5\n{AGENT}");
    assert!(Config::parse(&agent, &environment(&[]), Some(Role::Agent)).is_ok());
    assert!(Config::parse(&agent, &environment(&[]), Some(Role::Serve)).is_err());
}

#[test]
fn the_role_that_a_file_is_written_for_is_seen() {
    let nats = "[broker]\nkind = \"nats\"\n";
    let publisher = "[publisher]\nname = \"p\"\n";
    for (text, role) in [
        (format!("{nats}{SITE}{publisher}"), Role::Publisher),
        (format!("{nats}{SITE}{AGENT}"), Role::Agent),
        (format!("{nats}{SITE}{publisher}{AGENT}"), Role::Serve),
        (format!("{SITE}{AGENT}"), Role::Serve),
        (format!("{SITE}{publisher}"), Role::Serve),
    ] {
        let config = Config::parse(&text, &environment(&[]), None);
        let read = match &config {
            Ok(config) => Some(config.role),
            // An embedded log is for `serve`, which has caches.
            Err(mistakes) => mistakes[0].field.to_string().eq("agent.cache").then_some(Role::Serve),
        };
        assert_eq!(read, Some(role), "{text}");
    }
}

#[test]
fn roles_apart_need_a_broker_apart() {
    each_tells("embedded", &[("", "broker.kind: the embedded log lives within one process")]);
}

#[test]
fn mistakes_of_nats_are_told() {
    each_tells(
        "nats",
        &[
            ("urls = []", "broker.urls: names none"),
            ("urls = \"nats://a:4222\"", "broker.urls: invalid type: string"),
            ("urls = [\"nats://a\", \"a:4222\"]", "broker.urls[1]: begins with neither"),
            ("urls = [\"kafka://a:4222\"]", "broker.urls[0]: begins with neither"),
            ("urls = [\"nats://a:99999\"]", "broker.urls[0]: is no address"),
            ("urls = [\"nats://:4222\"]", "broker.urls[0]: is no address"),
            ("urls = [\"nats://u:hunter2@a\"]", "broker.urls[0]: holds a user; write user"),
            ("urls = [\"nats://a/b\"]", "broker.urls[0]: holds more than an address"),
            ("prefix = \"a.b\"", "broker.prefix: holds '.'"),
            ("prefix = \"\"", "broker.prefix: starts with neither"),
            ("partitions = 0", "broker.partitions: is 0; give 1 to 64"),
            ("partitions = 65", "broker.partitions: is 65"),
            ("replicas = 2", "broker.replicas: is 2; give 1, or 3"),
            ("retention = \"0s\"", "broker.retention: is out of reach"),
            ("retention_bytes = \"5B\"", "broker.retention_bytes: is out of reach"),
            ("url = [\"nats://a\"]", "broker.url: unknown key; did you mean \"urls\"?"),
            (
                "brokers = [\"a:9092\"]",
                if cfg!(feature = "kafka") {
                    "broker.brokers: is a key of kind = \"kafka\""
                } else {
                    "broker.brokers: unknown key"
                },
            ),
            ("dir = \"/tmp\"", "broker.dir: is a key of kind = \"embedded\""),
            ("user = \"a\"", "broker.user: has no password"),
            ("password = \"hunter2\"", "broker.password: belongs to no user"),
            (
                "token = \"a\"\ncredentials_file = \"/nowhere\"",
                "broker.credentials_file: is a second",
            ),
            ("nkey_file = \"/nowhere\"", "broker.nkey_file: cannot read /nowhere"),
            ("tls.ca_file = \"/nowhere\"", "broker.tls.ca_file: cannot read /nowhere"),
            ("tls.ca = \"/nowhere\"", "broker.tls.ca: unknown key; did you mean \"ca_file\"?"),
        ],
    );
    let password = a_file("secret");
    let both = format!(
        "kind = \"nats\"\nuser = \"a\"\npassword = \"b\"\npassword_file = {:?}",
        password.path()
    );
    assert_eq!(
        told(&both),
        ["broker.password_file: stands beside password; leave one of them out"]
    );
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_so() {
    each_tells(
        "kafka",
        &[("brokers = [\"a:9092\"]", "broker.kind: this purgebus was built without Kafka")],
    );
}

#[cfg(feature = "kafka")]
#[test]
fn mistakes_of_kafka_are_told() {
    let sasl = |mechanism: &str, more: &str| {
        format!("sasl = {{ mechanism = \"{mechanism}\", user = \"a\"{more} }}")
    };
    let (incomplete, odd) = (sasl("scram-sha-512", ""), sasl("gssapi", ", password = \"b\""));
    let afar = sasl("plain", ", password = \"b\"") + "\nbrokers = [\"kafka.example.net:9092\"]";
    each_tells(
        "kafka",
        &[
            ("brokers = []", "broker.brokers: names none"),
            ("brokers = [\"kafka://a:9092\"]", "broker.brokers[0]: is a URL"),
            ("brokers = [\"a:9092\", \"a\"]", "broker.brokers[1]: is no address"),
            ("brokers = [\"a:0\"]", "broker.brokers[0]: is no address"),
            ("brokers = [\"[::zz]:9092\"]", "broker.brokers[0]: is no address"),
            ("prefix = \"a/b\"", "broker.prefix: holds '/'"),
            ("replicas = 0", "broker.replicas: is 0"),
            ("urls = [\"nats://a\"]", "broker.urls: is a key of kind = \"nats\""),
            (&incomplete, "broker.sasl.password_file: is missing"),
            (&odd, "broker.sasl.mechanism: there is no \"gssapi\""),
            (&afar, "broker.sasl.mechanism: \"plain\" sends the password as it is"),
        ],
    );
    let good =
        sasl("plain", ", password = \"b\"") + "\nbrokers = [\"[::1]:9092\"]\nprefix = \"a.b\"";
    assert_eq!(told(&format!("kind = \"kafka\"\n{good}")), Vec::<String>::new());
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let certificate = a_file("-----BEGIN CERTIFICATE-----\n");
    let key = a_file("-----BEGIN PRIVATE KEY-----\n");
    let line = |name: &str, file: &tempfile::NamedTempFile| {
        format!("kind = \"nats\"\ntls.{name} = {:?}", file.path())
    };
    let alone = told(&line("certificate_file", &certificate));
    assert!(
        alone.len() == 1 && alone[0].starts_with("broker.tls.key_file: is missing"),
        "{alone:#?}"
    );
    let alone = told(&line("key_file", &key));
    assert!(
        alone.len() == 1 && alone[0].starts_with("broker.tls.certificate_file: is missing"),
        "{alone:#?}"
    );
    let swapped = told(&line("ca_file", &key));
    assert!(swapped[0].ends_with("holds no certificate in PEM"), "{swapped:#?}");
}

#[test]
fn the_environment_overlays_the_broker() {
    let text = format!("[broker]\nkind = \"nats\"\nurls = [\"nats://old:4222\"]\n{SITE}");
    let variables = [
        ("PURGEBUS__BROKER__URLS", "[\"nats://a:4222\", \"nats://b:4222\"]"),
        ("PURGEBUS__BROKER__USER", "purgebus"),
        ("PURGEBUS__BROKER__PASSWORD", "12345"),
        ("PURGEBUS__BROKER__REPLICAS", "3"),
    ];
    let config = Config::parse(&text, &environment(&variables), Some(Role::Publisher));
    let config = config.expect("no mistakes");
    assert_eq!(config.broker.servers(), "nats://a:4222, nats://b:4222");
    let BrokerConfig::Nats(nats) = &config.broker else { panic!("it is NATS") };
    assert_eq!(nats.password, Some("12345".into()), "digits are text where a secret belongs");

    let plain = [("PURGEBUS__BROKER__URLS", "nats://a:4222")];
    let mistakes = Config::parse(&text, &environment(&plain), Some(Role::Publisher));
    let mistakes = mistakes.expect_err("no list");
    assert!(mistakes[0].problem.ends_with("write it as [\"a\", \"b\"]"), "{mistakes:#?}");
    assert_eq!(mistakes[0].place, Place::Variable("PURGEBUS__BROKER__URLS".to_owned()));
}

#[test]
fn no_secret_is_shown() {
    let text =
        format!("[broker]\nkind = \"nats\"\nuser = \"purgebus\"\npassword = \"hunter2\"\n{SITE}");
    let config = Config::parse(&text, &environment(&[]), Some(Role::Publisher));
    let config = config.expect("no mistakes");
    let shown = format!("{config:?} {:?}", config.summary());
    assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");

    let said = [
        told("kind = \"nats\"\nuser = \"a\"\npassword = 7771234"),
        told("kind = \"nats\"\ntoken = [7771234]"),
        told("kind = \"nats\"\nurls = [\"nats://a:7771234@[b\", \"7771234@b\"]"),
        told(
            "kind = \"kafka\"\nsasl = { mechanism = \"plain\", user = \"a\", password = 7771234 }",
        ),
    ];
    for said in said {
        assert!(!said.is_empty() && !format!("{said:?}").contains("7771234"), "{said:#?}");
    }
}
