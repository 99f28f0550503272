//! Whatever happens to connection, consumer or server: a reader goes on behind the last message it was given.

use std::collections::BTreeSet;
use std::time::Duration;

use broker_adapter::{Broker, NatsConfig, Start};
use futures::{FutureExt, StreamExt};
use tests::eventually;
use tests::servers::nats::Nats;
use tests::servers::proxy::Proxy;
use tokio::time::timeout;

use super::setup::{LOG, config, insist, numbers, open, read, say, texts, words};

#[tokio::test]
async fn a_server_killed_while_it_is_read_from_loses_nothing() {
    let mut nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, &numbers(0..3_000)).await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let mut got = texts(&read(&mut *reader, 100).await);
    for round in 0..3 {
        nats.stop().await;
        nats.restart().await;
        insist(&log, &numbers(3_000 + round * 10..3_010 + round * 10)).await;
        got.extend(texts(&read(&mut *reader, 500).await));
    }
    got.extend(texts(&read(&mut *reader, 3_030 - got.len()).await));
    assert_eq!(got.join(" "), numbers(0..3_030));
}

#[tokio::test]
async fn a_paused_server_is_unavailable_and_then_goes_on() {
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, "a").await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    read(&mut *reader, 1).await;
    nats.pause();
    let soon = Duration::from_secs(15);
    let (publish, heard) =
        futures::join!(timeout(soon, say(&log, "b")), timeout(soon, reader.read(9)));
    nats.resume();
    assert!(publish.expect("it ends soon").is_err());
    assert!(heard.expect("it ends soon").is_err());
    insist(&log, "c").await;
    // The publish that had no answer may have landed.
    let mut got = Vec::new();
    while got.last().is_none_or(|last| last != "c") {
        got.extend(texts(&read(&mut *reader, 1).await));
    }
    assert!(["b c", "c"].contains(&&*got.join(" ")), "{got:?}");
}

/// A publish that waits for its answer hears at once that none will come.
#[tokio::test]
async fn a_publish_ends_with_its_connection() {
    let mut nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, "a").await.unwrap();
    nats.pause();
    let (published, ()) = futures::join!(say(&log, "b"), nats.stop());
    let said = words(&published.unwrap_err());
    assert!(said.contains("connection to NATS was lost"), "{said}");
}

/// A caller with other things to do drops its reads all the time: a new consumer is made all the same.
#[tokio::test]
async fn reads_that_are_dropped_at_once_still_get_somewhere() {
    let nats = Nats::start().await;
    let config = config(&nats);
    let log = open(&config);
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    nats.admin().await.delete_stream(format!("{}-normal", config.prefix)).await.unwrap();
    say(&log, "a").await.unwrap();
    eventually("it is read", async || match reader.read(1).now_or_never() {
        Some(Ok(batch)) => texts(&batch) == ["a"],
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn a_reader_whose_consumer_is_deleted_makes_another() {
    let nats = Nats::start().await;
    let config = config(&nats);
    let log = open(&config);
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    for round in 0..3 {
        say(&log, &numbers(round * 600..round * 600 + 600)).await.unwrap();
        let first = texts(&read(&mut *reader, 300).await);
        let stream =
            nats.admin().await.get_stream(format!("{}-normal", config.prefix)).await.unwrap();
        let consumers: Vec<String> =
            futures::TryStreamExt::try_collect(stream.consumer_names()).await.unwrap();
        assert_eq!(consumers.len(), 1, "{consumers:?}");
        stream.delete_consumer(&consumers[0]).await.unwrap();
        let rest = texts(&read(&mut *reader, 300).await);
        assert_eq!([first, rest].concat().join(" "), numbers(round * 600..round * 600 + 600));
    }
}

#[tokio::test]
async fn connections_cut_in_the_middle_lose_nothing() {
    let nats = Nats::start().await;
    let proxy = Proxy::start(nats.address()).await;
    let direct = config(&nats);
    let log = open(&direct);
    let through = NatsConfig { urls: vec![format!("nats://{}", proxy.address())], ..direct };
    let far = open(&through);
    say(&log, &numbers(0..5_000)).await.unwrap();
    let mut reader = far.subscribe(LOG, Start::Oldest).await.unwrap();
    let mut got = Vec::new();
    for cut in [700, 3_000, 9_000, 20_000, 1] {
        proxy.cut_answers_after(cut);
        got.extend(texts(&read(&mut *reader, 700).await));
    }
    got.extend(texts(&read(&mut *reader, 5_000 - got.len()).await));
    assert_eq!(got.join(" "), numbers(0..5_000));
}

#[tokio::test]
async fn publishing_over_cut_connections_loses_nothing_and_repeats_are_recognised() {
    let nats = Nats::start().await;
    let proxy = Proxy::start(nats.address()).await;
    let direct = config(&nats);
    let far =
        open(&NatsConfig { urls: vec![format!("nats://{}", proxy.address())], ..direct.clone() });
    for number in 0..60 {
        if number % 10 == 5 {
            proxy.cut_answers_after(40);
        }
        let mut message = super::setup::message(&number.to_string());
        message.id = Some(format!("id-{number}"));
        eventually("it is taken", async || {
            far.publish(LOG, super::setup::FIRST, vec![message.clone()]).await.is_ok()
        })
        .await;
    }
    let log = open(&direct);
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let got = texts(&read(&mut *reader, 60).await);
    assert_eq!(got.join(" "), numbers(0..60));
}

#[tokio::test]
async fn messages_deleted_from_the_middle_are_passed() {
    let nats = Nats::start().await;
    let config = config(&nats);
    let log = open(&config);
    say(&log, &numbers(0..1_000)).await.unwrap();
    let stream = nats.admin().await.get_stream(format!("{}-normal", config.prefix)).await.unwrap();
    let gone: BTreeSet<u64> = [1, 2, 300, 301, 700, 1_000].into();
    for sequence in &gone {
        stream.delete_message(*sequence).await.unwrap();
    }
    let left = |range: std::ops::RangeInclusive<u64>| -> Vec<String> {
        range.filter(|it| !gone.contains(it)).map(|it| (it - 1).to_string()).collect()
    };
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 994).await), left(1..=1_000));
    let at = Start::At([(super::setup::FIRST, broker_adapter::Position(300))].into());
    let mut reader = log.subscribe(LOG, at).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 697).await), left(300..=1_000));
}

#[tokio::test]
async fn a_purged_stream_goes_on_and_a_recreated_one_is_read_from_its_oldest() {
    let nats = Nats::start().await;
    let config = config(&nats);
    let log = open(&config);
    let name = format!("{}-normal", config.prefix);
    say(&log, &numbers(0..400)).await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    read(&mut *reader, 400).await;
    let admin = nats.admin().await;
    admin.get_stream(&name).await.unwrap().purge().await.unwrap();
    say(&log, "after purge").await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 2).await), ["after", "purge"]);
    // Gone while it is read, and made anew by whoever publishes next; with more messages than were read, too.
    admin.delete_stream(&name).await.unwrap();
    say(&log, &numbers(0..900)).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 900).await).join(" "), numbers(0..900));
}

#[tokio::test]
async fn an_older_store_put_back_is_read_from_its_oldest() {
    let mut nats = Nats::start().await;
    let log = open(&config(&nats));
    say(&log, "a b").await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    read(&mut *reader, 2).await;
    let kept = tempfile::tempdir().unwrap();
    nats.stop().await;
    copy(&nats.store(), &kept.path().join("store"));
    nats.restart().await;
    insist(&log, "c").await;
    insist(&log, "d").await;
    assert_eq!(texts(&read(&mut *reader, 2).await), ["c", "d"]);
    nats.stop().await;
    std::fs::remove_dir_all(nats.store()).unwrap();
    copy(&kept.path().join("store"), &nats.store());
    nats.restart().await;
    insist(&log, "e").await;
    assert_eq!(texts(&read(&mut *reader, 3).await), ["a", "b", "e"]);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp is there").success());
}

#[tokio::test]
async fn a_message_larger_than_a_pull_comes_alone() {
    let mut nats = Nats::start_with(tests::servers::nats::NEWEST, "max_payload: 8MB").await;
    let log = open(&config(&nats));
    say(&log, "before").await.unwrap();
    let large = "x".repeat(6 << 20);
    insist(&log, &large).await;
    say(&log, "after").await.unwrap();
    nats.stop().await;
    nats.configure("max_payload: 1MB");
    nats.restart().await;
    insist(&log, "last").await;
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let got = texts(&read(&mut *reader, 4).await);
    assert_eq!(got, ["before", &large, "after", "last"]);
}

#[tokio::test]
async fn a_reader_of_a_board_goes_on_with_what_changed() {
    let mut nats = Nats::start().await;
    let log = open(&config(&nats));
    let post = async |entries: &str| {
        eventually("it is taken", async || super::setup::post(&log, entries).await.is_ok()).await;
    };
    post("x=1 y=1").await;
    let mut reader = log.subscribe(super::setup::BOARD, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 2).await), ["1", "1"]);
    nats.stop().await;
    nats.restart().await;
    post("y=2").await;
    post("y=3 z=1").await;
    // What the reader missed was replaced meanwhile, or not; it ends with the latest of each.
    let mut got = std::collections::BTreeMap::new();
    while got.len() < 2 || got.get("y").is_none_or(|body| body != "3") {
        for delivery in read(&mut *reader, 1).await {
            got.insert(delivery.key.clone().unwrap(), texts(&[delivery]).concat());
        }
    }
    assert_eq!(got.keys().collect::<Vec<_>>(), ["y", "z"], "x did not change");
}

/// What our consumer sent to somebody else is noticed by the numbers that it counts, and by its next heartbeat where
/// nothing follows.
#[tokio::test]
async fn messages_that_went_elsewhere_are_read_all_the_same() {
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    let thief = nats.admin().await.client();
    for more in ["", " last"] {
        let mut pulls = thief.subscribe("$JS.API.CONSUMER.MSG.NEXT.>").await.unwrap();
        thief.flush().await.unwrap();
        let mut reader = log.subscribe(LOG, Start::Newest).await.unwrap();
        let pull = pulls.next().await.unwrap();
        let request: serde_json::Value = serde_json::from_slice(&pull.payload).unwrap();
        let asked = usize::try_from(request["batch"].as_u64().unwrap()).unwrap();
        // All that the reader has asked for; what comes then is for whoever asks next.
        say(&log, &numbers(0..asked)).await.unwrap();
        let mut loot = thief.subscribe("loot.*").await.unwrap();
        thief.publish_with_reply(pull.subject, "loot.x", "10".into()).await.unwrap();
        thief.flush().await.unwrap();
        say(&log, &numbers(asked..asked + 10)).await.unwrap();
        for _ in 0..10 {
            loot.next().await.unwrap();
        }
        let mut got = texts(&read(&mut *reader, asked).await);
        if !more.is_empty() {
            say(&log, more.trim()).await.unwrap();
            got.extend(texts(&read(&mut *reader, 1).await));
        }
        let left = asked + 10 + usize::from(!more.is_empty()) - got.len();
        got.extend(texts(&read(&mut *reader, left).await));
        assert_eq!(got.join(" "), numbers(0..asked + 10) + more);
    }
}
