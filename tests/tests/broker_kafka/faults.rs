//! A broker that dies, hangs, or forgets.

use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Start};
use futures::future::join_all;
use tests::servers::kafka::{Kafka as Server, Setup};
use tokio::time::{Instant, sleep, timeout};

use super::{LOG, PATIENCE, causes, config, hear, hear_until, insist, log_name, open, say, says};

#[tokio::test]
async fn a_broker_killed_and_restarted_in_the_middle_of_reading_loses_nothing() {
    let mut server = Server::start().await;
    let broker = open(&config(&server.address()));
    say(&broker, 0, 0..5_000).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    let mut heard = hear(&mut *reader, 10).await;

    server.stop().await;
    let down = Instant::now();
    let error = says(say(&broker, 0, [0]).await, "no connection");
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
    assert!(down.elapsed() < Duration::from_secs(10), "told after {:?}", down.elapsed());
    server.restart().await;
    insist(&broker, 0, 5_000).await;

    heard.extend(hear(&mut *reader, 4_991).await);
    // The one that failed may have landed after all, before the one that was insisted on.
    let mut wanted: Vec<u32> = (0..5_000).collect();
    while heard.get(wanted.len()) == Some(&0) {
        wanted.push(0);
    }
    if wanted.len() < heard.len() {
        wanted.push(5_000);
    }
    assert_eq!(heard, wanted);
}

#[tokio::test]
async fn it_opens_while_the_broker_is_down_and_works_once_it_is_up() {
    let mut server = Server::start().await;
    server.stop().await;
    let broker = open(&config(&server.address()));
    let asked = Instant::now();
    says(broker.bounds(LOG).await, "no connection");
    says(broker.subscribe(LOG, Start::Oldest).await, "no connection");
    assert!(asked.elapsed() < Duration::from_secs(15), "told after {:?}", asked.elapsed());

    server.restart().await;
    insist(&broker, 0, 1).await;
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(hear(&mut *reader, 1).await, [1]);
}

#[tokio::test]
async fn a_broker_that_hangs_for_ten_seconds_is_told_and_then_goes_on() {
    let server = Server::start().await;
    let broker = open(&config(&server.address()));
    say(&broker, 0, [0]).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(hear(&mut *reader, 1).await, [0]);

    server.pause();
    let paused = Instant::now();
    let error = says(say(&broker, 0, [1]).await, "cannot publish to topic");
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
    assert!(paused.elapsed() < Duration::from_secs(10), "told after {:?}", paused.elapsed());
    tokio::time::sleep_until(paused + Duration::from_secs(10)).await;
    server.resume();
    insist(&broker, 0, 2).await;

    // What timed out may have landed.
    let heard = hear_until(&mut *reader, 2).await;
    assert!(heard == [2] || heard == [1, 2], "{heard:?}");
}

/// As it does for a moment after it was paused: whoever hears it may give up all brokers for ever.
#[tokio::test]
async fn clients_outlive_a_cluster_that_says_again_and_again_that_it_has_no_brokers() {
    // The controller takes the broker for dead between two signs of life.
    let setup = Setup::default()
        .property("broker.heartbeat.interval.ms", "3000")
        .property("broker.session.timeout.ms", "2500");
    let server = Server::start_with(setup).await;
    let config = config(&server.address());
    let one = |number: u32| {
        let broker = open(&config);
        async move {
            insist(&broker, 0, number).await;
            let mut reader = loop {
                if let Ok(reader) = broker.subscribe(LOG, Start::Newest).await {
                    break reader;
                }
            };
            let until = Instant::now() + Duration::from_secs(30);
            while Instant::now() < until {
                say(&broker, 0, [number]).await.ok();
                broker.bounds(LOG).await.ok();
                sleep(Duration::from_millis(10)).await;
            }
            let asked = Instant::now();
            insist(&broker, 0, 1_000 + number).await;
            while let Err(error) = broker.bounds(LOG).await {
                assert!(asked.elapsed() < PATIENCE, "never answered: {}", causes(&error));
            }
            hear_until(&mut *reader, 1_000 + number).await;
        }
    };
    timeout(PATIENCE * 3, join_all((0..8).map(one))).await.expect("they go on");
}

#[tokio::test]
async fn a_topic_created_anew_is_read_from_its_oldest() {
    let server = Server::shared().await;
    let config = config(&server.address());
    let broker = open(&config);
    say(&broker, 0, 0..100).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    hear(&mut *reader, 100).await;

    server.delete_topic(&log_name(&config)).await;
    let mut said = vec![(1_000, insist(&broker, 0, 1_000).await)];
    said.push((1_001, insist(&broker, 0, 1_001).await));
    let mut heard = hear_until(&mut *reader, 1_001).await;
    said.push((1_002, insist(&broker, 0, 1_002).await));
    heard.extend(hear_until(&mut *reader, 1_002).await);

    let runs: Vec<(u32, usize)> =
        heard.chunk_by(|one, next| one == next).map(|run| (run[0], run.len())).collect();
    let one_each = runs.iter().map(|(number, _)| *number).eq([1_000, 1_001, 1_002]);
    assert!(one_each, "all, in order: {heard:?}");
    // What seemed to fail may have landed: no number more often than it was said.
    let repeated = runs.iter().zip(&said).all(|((_, times), (_, tries))| times <= tries);
    assert!(repeated, "heard {runs:?}, said {said:?}");
}

#[tokio::test]
async fn records_deleted_under_a_reader_are_passed_over() {
    let server = Server::shared().await;
    let config = config(&server.address());
    let broker = open(&config);
    // More than a reader fetches ahead.
    for chunk in 0..20 {
        let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
        let messages = vec![super::message(body), super::message(chunk.to_string())];
        broker.publish(LOG, broker_adapter::Partition(0), messages).await.unwrap();
    }
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    let mut heard = reader.read(1).await.unwrap();
    server.delete_records(&log_name(&config), 0, Some(39)).await;
    while heard.last().unwrap().position.0 != 39 {
        heard.extend(timeout(PATIENCE, reader.read(100)).await.unwrap().unwrap());
    }
    let positions: Vec<u64> = heard.iter().map(|delivery| delivery.position.0).collect();
    assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
    assert!(positions.len() < 40, "nothing was deleted before it was read");
}
