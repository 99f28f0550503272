//! Many at once, over one connection; and what is counted of it.

use std::time::Duration;

use broker_adapter::{Broker, Message, NatsConfig, Start};
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use prometheus_client::registry::Registry;
use tests::eventually;
use tests::servers::nats::{Cluster, Nats};
use tokio::time::Instant;

use super::setup::{FIRST, LOG, config, insist, message, numbers, open, read, say, texts};

/// More than the client lets be under way, in one call and in many.
#[tokio::test]
async fn many_publishers_share_a_connection_and_each_keeps_its_order() {
    const CALLERS: usize = 50;
    const EACH: usize = 200;
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, &numbers(0..10_000)).await.unwrap();
    try_join_all((0..CALLERS).map(|caller| {
        let log = &log;
        async move {
            let words: Vec<String> = (0..EACH).map(|number| format!("{caller}:{number}")).collect();
            say(log, &words.join(" ")).await
        }
    }))
    .await
    .unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let got = texts(&read(&mut *reader, 10_000 + CALLERS * EACH).await);
    assert_eq!(got[..10_000].join(" "), numbers(0..10_000));
    for caller in 0..CALLERS {
        let mine = format!("{caller}:");
        let of_caller: Vec<&str> = got.iter().filter_map(|it| it.strip_prefix(&mine)).collect();
        assert_eq!(of_caller.join(" "), numbers(0..EACH), "of {caller}");
    }
}

/// More bytes than may be under way, in one call: its later messages wait for its own earlier ones.
#[tokio::test]
async fn large_messages_wait_for_each_other_and_all_arrive() {
    let nats = Nats::start().await;
    let log = open(&NatsConfig { retention_bytes: "1GiB".parse().unwrap(), ..config(&nats) });
    let body = "x".repeat(900_000);
    let large = message(&body);
    join_all([80, 40].map(|count| {
        let messages = vec![large.clone(); count];
        async { log.publish(LOG, FIRST, messages).await.unwrap() }
    }))
    .await;
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert!(read(&mut *reader, 120).await.iter().all(|one| one.body.len() == body.len()));
}

#[tokio::test]
async fn a_repeated_id_is_taken_once_and_another_epoch_again() {
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    for id in ["line-1-0", "line-1-0", "line-1-1"] {
        let message = Message { id: Some(id.to_owned()), ..message(id) };
        log.publish(LOG, FIRST, vec![message]).await.unwrap();
    }
    say(&log, "end").await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 3).await), ["line-1-0", "line-1-1", "end"]);
}

/// Somebody floods the inbox of a reader that does not read: the client drops messages, and says so.
#[tokio::test]
async fn a_reader_whose_client_dropped_messages_begins_again() {
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    let admin = nats.admin().await.client();
    let mut pulls = admin.subscribe("$JS.API.CONSUMER.MSG.NEXT.>").await.unwrap();
    admin.flush().await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let inbox = pulls.next().await.unwrap().reply.unwrap();
    for _ in 0..6_000 {
        admin.publish(inbox.clone(), "junk".into()).await.unwrap();
    }
    admin.flush().await.unwrap();
    // Sent while the inbox is full: lost to this consumer.
    say(&log, &numbers(0..500)).await.unwrap();
    eventually("it is noticed", async || count(&log, "slow_consumer") > 0).await;
    assert_eq!(texts(&read(&mut *reader, 500).await).join(" "), numbers(0..500));
    assert!(count(&log, "consumer_replaced") > 0 && count(&log, "foreign") > 0);
}

fn count(log: &broker_adapter::Nats, event: &str) -> u64 {
    let mut registry = Registry::default();
    log.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let line = format!("purgebus_broker_events_total{{event=\"{event}\"}} ");
    text.lines()
        .find_map(|it| it.strip_prefix(&line))
        .map_or(0, |number| number.parse().expect("a number"))
}

#[tokio::test]
async fn a_reader_that_is_dropped_leaves_nothing_at_the_server() {
    let nats = Nats::start().await;
    let config = config(&nats);
    let log = open(&config);
    let readers = join_all((0..20).map(|_| log.subscribe(LOG, Start::Oldest))).await;
    let admin = nats.admin().await;
    let consumers = async || {
        let stream = admin.get_stream(format!("{}-normal", config.prefix)).await.unwrap();
        stream.cached_info().state.consumer_count
    };
    assert_eq!(consumers().await, 20);
    drop(readers);
    let dropped = Instant::now();
    eventually("they are gone", async || consumers().await == 0).await;
    assert!(dropped.elapsed() < Duration::from_secs(10), "deleted, not forgotten");
}

#[tokio::test]
async fn a_connection_is_counted_and_comes_back_at_once() {
    let mut nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, "a").await.unwrap();
    nats.stop().await;
    assert!(say(&log, "b").await.is_err());
    eventually("a try to connect fails", async || count(&log, "connect_failed") > 0).await;
    nats.restart().await;
    let restarted = Instant::now();
    insist(&log, "c").await;
    assert!(restarted.elapsed() < Duration::from_secs(10), "{:?}", restarted.elapsed());
    assert_eq!((count(&log, "connected"), count(&log, "disconnected")), (2, 1));
}

#[tokio::test]
async fn a_cluster_whose_leader_dies_goes_on_without_loss() {
    let mut cluster = Cluster::start().await;
    let config = NatsConfig { urls: cluster.urls(), replicas: 3, ..config(&cluster.servers[0]) };
    let log = open(&config);
    insist(&log, "first").await;
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 1).await), ["first"]);
    let publishing = async {
        for number in 0..200 {
            let message =
                Message { id: Some(format!("id-{number}")), ..message(&number.to_string()) };
            eventually("it is taken", async || {
                log.publish(LOG, FIRST, vec![message.clone()]).await.is_ok()
            })
            .await;
        }
    };
    let killing = async {
        cluster.leader(&format!("{}-normal", config.prefix)).await.stop().await;
    };
    let ((), (), got) = futures::join!(publishing, killing, read(&mut *reader, 200));
    assert_eq!(texts(&got).join(" "), numbers(0..200));
}
