//! Kafka: users with access rules.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use tests::bus::{Bus, Wire};
use tests::servers::kafka::{Kafka, Protocol, Setup};

use super::{make_the_topics, purge_something, told};

const LISTENER: &str = "USERS";

fn secret(user: &str) -> String {
    format!("{user}-secret")
}

fn sasl(user: &str) -> String {
    let secret = secret(user);
    format!(
        "[broker.sasl]\nmechanism = \"scram-sha-512\"\nuser = \"{user}\"\npassword = \"{secret}\""
    )
}

/// Carries out the commands told, by Kafka's own tool.
async fn grant(kafka: &Kafka, prefix: &str) {
    let mut granted = 0;
    for line in told("kafka-acls.sh", prefix).iter().flat_map(|block| block.lines()) {
        let Some((_, rest)) = line.split_once("--allow-principal User:") else { continue };
        let mut words = rest.split_whitespace();
        let user = words.next().expect("a user");
        kafka.allow(user, &words.collect::<Vec<_>>()).await;
        granted += 1;
    }
    assert!(granted > 4, "only {granted} rights are told");
}

/// What a user is told who writes to a topic.
async fn writes(kafka: &Kafka, user: &str, topic: &str) -> Result<(), KafkaError> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.listener(LISTENER))
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", user)
        .set("sasl.password", secret(user))
        .set("message.timeout.ms", "20000")
        .create()
        .expect("a producer");
    let record = FutureRecord::<str, str>::to(topic).key("mischief").payload("mischief");
    let sent = producer.send(record, Timeout::Never).await;
    sent.map(drop).map_err(|(error, _)| error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_told_are_enough_and_no_more_than_that() {
    let users = ["operator", "publisher", "agent"];
    let secrets = users.map(secret);
    let known: Vec<_> = users.into_iter().zip(secrets.iter().map(String::as_str)).collect();
    let setup = Setup::default()
        .listener(LISTENER, Protocol::SaslPlaintext)
        .users(LISTENER, &known)
        .access_rules();
    let kafka = Kafka::start_with(setup).await;
    let wire = Wire::kafka([kafka.listener(LISTENER)]);
    let prefix = wire.prefix().to_owned();
    grant(&kafka, &prefix).await;

    let mut bus = Bus::on(wire.clone().with(&sasl("operator")));
    make_the_topics(&bus).await;
    bus.wire = wire.clone().with(&sasl("publisher"));
    purge_something(&mut bus, |bus| bus.wire = wire.with(&sasl("agent"))).await;

    writes(&kafka, "agent", &format!("{prefix}.reports")).await.expect("it reports");
    for (user, topic) in [
        ("agent", "critical"),
        ("agent", "normal"),
        ("agent", "publishers"),
        ("publisher", "reports"),
    ] {
        let refused = writes(&kafka, user, &format!("{prefix}.{topic}")).await;
        assert!(
            matches!(
                refused,
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed))
            ),
            "{user} on {topic}: {refused:?}"
        );
    }
}
