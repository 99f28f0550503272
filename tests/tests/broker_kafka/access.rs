//! Passwords, certificates, access rules; each mistake in words.

use std::fs;
use std::path::PathBuf;

use broker_adapter::{
    Broker, BrokerError, KafkaConfig, SaslConfig, SaslMechanism, Start, TlsConfig,
};
use tests::authority::{Authority, Identity};
use tests::servers::kafka::{Kafka as Server, Protocol, Setup};

use super::{LOG, causes, config, hear, insist, log_name, open, say, says};

const USERS: &[(&str, &str)] = &[("alice", "alice-secret"), ("bob", "bob-secret")];

/// A server with a listener of each kind: passwords, TLS, TLS that wants a certificate, both.
async fn secured(authority: &Authority) -> Server {
    let identity = authority.issue("kafka");
    let mut setup = Setup::default()
        .listener("WORD", Protocol::SaslPlaintext)
        .users("WORD", USERS)
        .listener("TLS", Protocol::Ssl)
        .listener("MUTUAL", Protocol::Ssl)
        .property("listener.name.mutual.ssl.client.auth", "required")
        .listener("BOTH", Protocol::SaslSsl)
        .users("BOTH", USERS)
        .access_rules()
        .property("super.users", "User:ANONYMOUS;User:CN=edge;User:alice");
    let keys = key_store(&identity);
    for name in ["tls", "mutual", "both"] {
        for (field, value) in [
            ("keystore.type", "PEM".to_owned()),
            ("keystore.location", keys.display().to_string()),
            ("truststore.type", "PEM".to_owned()),
            ("truststore.location", authority.ca_file().display().to_string()),
        ] {
            setup = setup.property(&format!("listener.name.{name}.ssl.{field}"), &value);
        }
    }
    Server::start_with(setup).await
}

/// Key and certificate in one file, as Kafka wants them.
fn key_store(identity: &Identity) -> PathBuf {
    let both = [&identity.key_file, &identity.certificate_file]
        .map(|file| fs::read_to_string(file).unwrap())
        .concat();
    let file = identity.key_file.with_extension("store.pem");
    fs::write(&file, both).unwrap();
    file
}

fn password(user: &str, password: &str, mechanism: SaslMechanism) -> SaslConfig {
    SaslConfig {
        mechanism,
        user: user.to_owned(),
        password: Some(password.into()),
        password_file: None,
    }
}

fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig { ca_file: Some(authority.ca_file()), ..TlsConfig::default() }
}

async fn works(config: &KafkaConfig) {
    let broker = open(config);
    say(&broker, 0, [1, 2]).await.unwrap_or_else(|error| panic!("{config:?}: {}", causes(&error)));
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(hear(&mut *reader, 2).await, [1, 2]);
}

/// All that an operation says of a configuration that cannot come in.
async fn fails(config: &KafkaConfig, words: &str) {
    let error = says(say(&open(config), 0, [1]).await, words);
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
    assert!(!causes(&error).contains("-secret"), "{}", causes(&error));
}

#[tokio::test]
async fn whoever_is_entitled_comes_in_and_everybody_else_is_told_why_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = secured(&authority).await;
    let at = |listener: &str| config(&server.listener(listener));

    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512]
    {
        works(&KafkaConfig {
            sasl: Some(password("alice", "alice-secret", mechanism)),
            ..at("WORD")
        })
        .await;
        let wrong = password("alice", "wrong-secret", mechanism);
        let config = KafkaConfig { sasl: Some(wrong), ..at("WORD") };
        fails(&config, "does not accept user, password or mechanism").await;
    }
    works(&KafkaConfig {
        sasl: Some(password("alice", "alice-secret", SaslMechanism::ScramSha512)),
        tls: Some(trusting(&authority)),
        ..at("BOTH")
    })
    .await;

    works(&KafkaConfig { tls: Some(trusting(&authority)), ..at("TLS") }).await;
    let distrusting = KafkaConfig { tls: Some(trusting(&stranger)), ..at("TLS") };
    fails(&distrusting, "certificate verify failed").await;
    fails(&at("TLS"), "perhaps it wants TLS").await;
    let plain = config(&server.address());
    fails(
        &KafkaConfig { tls: Some(trusting(&authority)), ..plain },
        "connecting to a PLAINTEXT broker listener?",
    )
    .await;

    let edge = authority.issue("edge");
    let tls = TlsConfig {
        certificate_file: Some(edge.certificate_file),
        key_file: Some(edge.key_file),
        ..trusting(&authority)
    };
    works(&KafkaConfig { tls: Some(tls), ..at("MUTUAL") }).await;
    fails(
        &KafkaConfig { tls: Some(trusting(&authority)), ..at("MUTUAL") },
        "no TLS with the broker",
    )
    .await;
}

#[tokio::test]
async fn a_missing_access_rule_is_told_and_only_what_is_needed_is_asked_for() {
    let server = secured(&Authority::new()).await;
    let bob = password("bob", "bob-secret", SaslMechanism::ScramSha256);
    let config = KafkaConfig { sasl: Some(bob), ..config(&server.listener("WORD")) };
    let log = log_name(&config);
    let broker = open(&config);
    says(say(&broker, 0, [1]).await, "missing access rule");

    // Neither Create, nor DescribeConfigs, nor a group.
    server.create_topic(&log, 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    server.allow("bob", &["--topic", &log, "--operation", "Write"]).await;
    insist(&broker, 0, 1).await;
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    says(reader.read(1).await, "missing access rule");

    server.allow("bob", &["--topic", &log, "--operation", "Read"]).await;
    tests::eventually("bob may read", async || {
        let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
        reader.read(1).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn what_can_never_work_is_refused_at_once() {
    let missing = Some(PathBuf::from("/nonexistent/ca.pem"));
    let tls = TlsConfig { ca_file: missing, ..TlsConfig::default() };
    let config = KafkaConfig { tls: Some(tls), ..config("127.0.0.1:9") };
    let error = says(broker_adapter::Kafka::open(&config), "/nonexistent/ca.pem");
    assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    let config = config("no-such-host.invalid:9092");
    says(say(&open(&config), 0, [1]).await, "no-such-host.invalid");
}
