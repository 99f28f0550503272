//! With the least that an operator grants, and with less than that.

use broker_adapter::{Broker, BrokerError, Nats as Log, NatsConfig, Start};
use tests::eventually;
use tests::servers::nats::{NEWEST, Nats};

use super::setup::{BOARD, LOG, config, open, post, read, refused, say, texts, words};

const STREAMS: [&str; 4] = ["critical", "normal", "reports", "publishers"];

/// What each reader publishes to at the server.
fn reads() -> Vec<String> {
    let of = |topic| {
        let stream = format!("purgebus-{topic}");
        [
            format!("$JS.API.STREAM.INFO.{stream}"),
            format!("$JS.API.CONSUMER.CREATE.{stream}.>"),
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"),
            format!("$JS.API.CONSUMER.DELETE.{stream}.*"),
        ]
    };
    STREAMS.into_iter().flat_map(of).collect()
}

/// A server with an operator and a user who may publish to `allowed` and not to `denied`.
async fn server(allowed: &[String], denied: &str, more: &str) -> Nats {
    let quoted: Vec<String> = allowed.iter().map(|one| format!("\"{one}\"")).collect();
    let text = format!(
        "authorization {{ users: [
            {{ user: operator, password: o }}
            {{ user: bus, password: b, permissions: {{
                publish: {{ allow: [ {} ], deny: [ {denied} ] }}
                subscribe: {{ allow: [ {more} ] }} }} }} ] }}",
        quoted.join(", ")
    );
    Nats::start_with(NEWEST, &text).await
}

fn user(nats: &Nats, name: &str, password: &str) -> NatsConfig {
    NatsConfig {
        user: Some(name.to_owned()),
        password: Some(password.into()),
        prefix: "purgebus".to_owned(),
        ..config(nats)
    }
}

const INBOX: &str = "\"_INBOX.>\"";

/// The streams, made by the operator.
async fn made(nats: &Nats) -> Log {
    let operator = open(&user(nats, "operator", "o"));
    say(&operator, "a").await.expect("it may");
    post(&operator, "x=1").await.expect("it may");
    operator
}

fn with(mut all: Vec<String>, more: &[&str]) -> Vec<String> {
    all.extend(more.iter().map(|&one| one.to_owned()));
    all
}

#[tokio::test]
async fn the_least_is_enough_for_an_agent_and_for_a_publisher() {
    let agent = with(reads(), &["purgebus.reports.*"]);
    let nats = server(&agent, "", INBOX).await;
    made(&nats).await;
    // Another retention than the operator's: not ours to change, and no reason to stop.
    let mine = NatsConfig { retention_bytes: "1MiB".parse().unwrap(), ..user(&nats, "bus", "b") };
    let log = open(&mine);
    post(&log, "y=2").await.unwrap();
    for (topic, count) in [(LOG, 1), (BOARD, 2)] {
        let mut reader = log.subscribe(topic, Start::Oldest).await.unwrap();
        read(&mut *reader, count).await;
        log.bounds(topic).await.unwrap();
    }
    let error = say(&log, "b").await.unwrap_err();
    let said = words(&error);
    assert!(matches!(error, BrokerError::Unavailable(_)));
    assert!(said.contains("no permission") && said.contains("purgebus.normal.0"), "{said}");

    let publisher =
        with(reads(), &["purgebus.critical.*", "purgebus.normal.*", "purgebus.publishers.*"]);
    let nats = server(&publisher, "", INBOX).await;
    made(&nats).await;
    let log = open(&user(&nats, "bus", "b"));
    say(&log, "b").await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 2).await), ["a", "b"]);
}

#[tokio::test]
async fn a_missing_stream_that_may_not_be_made_is_refused_with_the_grant_to_give() {
    let nats = server(&reads(), "", INBOX).await;
    let log = open(&user(&nats, "bus", "b"));
    let said = refused(&say(&log, "a").await.unwrap_err());
    assert!(said.contains("$JS.API.STREAM.CREATE.purgebus-normal"), "{said}");
    let said = refused(&log.subscribe(LOG, Start::Oldest).await.unwrap_err());
    assert!(said.contains("purgebus.normal.*"), "{said}");
}

/// Each thing that may be missing is named soon, and its absence ends nothing for good.
#[tokio::test]
async fn each_missing_permission_is_named() {
    let all = with(reads(), &["purgebus.normal.*"]);
    for (denied, inbox) in [
        ("$JS.API.STREAM.INFO.purgebus-normal", INBOX),
        ("$JS.API.CONSUMER.CREATE.purgebus-normal.>", INBOX),
        ("$JS.API.CONSUMER.MSG.NEXT.purgebus-normal.*", INBOX),
        ("", "\"other\""),
    ] {
        let quoted = if denied.is_empty() { String::new() } else { format!("\"{denied}\"") };
        let nats = server(&all, &quoted, inbox).await;
        made(&nats).await;
        let log = open(&user(&nats, "bus", "b"));
        let named = if denied.is_empty() { "_INBOX" } else { denied.trim_end_matches(['>', '*']) };
        let mut said = String::new();
        eventually(named, async || {
            let reading = async { log.subscribe(LOG, Start::Oldest).await?.read(1).await };
            let error = reading.await.expect_err("it may not be read");
            assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
            said = words(&error);
            said.contains(named) || {
                eprintln!("{named}: {said}");
                false
            }
        })
        .await;
    }
}

/// A publisher that may not look at its stream publishes all the same.
#[tokio::test]
async fn publishing_needs_only_the_subjects() {
    let nats = server(&["purgebus.normal.*".to_owned()], "", INBOX).await;
    made(&nats).await;
    let log = open(&user(&nats, "bus", "b"));
    say(&log, "b c").await.unwrap();
}
