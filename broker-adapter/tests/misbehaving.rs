//! Each misbehaviour happens, alone, and stops when told to.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Embedded, EmbeddedConfig, Message, Misbehaving, Misbehaviour, Partition,
    Start, Subscription, Topic,
};
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

const LOG: Topic = Topic::log("critical");
const SEED: u64 = 7;

fn broker(misbehaviour: Misbehaviour) -> Misbehaving {
    let log = Embedded::in_memory(EmbeddedConfig::default(), || Timestamp::UNIX_EPOCH).unwrap();
    Misbehaving::new(Arc::new(log), misbehaviour, SEED)
}

async fn say(broker: &Misbehaving, number: usize) -> Result<(), BrokerError> {
    let body = number.to_string().into();
    broker.publish(LOG, Partition(0), vec![Message { key: None, id: None, body }]).await
}

/// Publishes so many numbers and counts what was acknowledged.
async fn say_all(broker: &Misbehaving, count: usize) -> usize {
    let mut acknowledged = 0;
    for number in 0..count {
        acknowledged += usize::from(say(broker, number).await.is_ok());
    }
    acknowledged
}

/// What a subscription gives until it is silent for ten seconds; errors are left out.
async fn heard_from(subscription: &mut dyn Subscription) -> Vec<usize> {
    let mut heard = Vec::new();
    while let Ok(batch) = timeout(Duration::from_secs(10), subscription.read(3)).await {
        let batch = batch.unwrap_or_default();
        let number = |body: &[u8]| std::str::from_utf8(body).unwrap().parse::<usize>().unwrap();
        heard.extend(batch.iter().map(|delivery| number(&delivery.body)));
    }
    heard
}

async fn heard(broker: &Misbehaving) -> Vec<usize> {
    heard_from(&mut *broker.subscribe(LOG, Start::Oldest).await.unwrap()).await
}

fn count(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

#[tokio::test(start_paused = true)]
async fn a_failed_publish_does_not_land() {
    let broker = broker(Misbehaviour { fail: 0.5, ..Misbehaviour::default() });
    let acknowledged = say_all(&broker, 40).await;
    assert!((1..40).contains(&acknowledged));
    assert_eq!(heard(&broker).await.len(), acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_timed_out_has_landed() {
    let broker = broker(Misbehaviour { time_out: 0.5, ..Misbehaviour::default() });
    assert!((1..40).contains(&say_all(&broker, 40).await));
    assert_eq!(heard(&broker).await, count(0..40));
}

#[tokio::test(start_paused = true)]
async fn a_lost_publish_is_acknowledged_and_never_lands() {
    let broker = broker(Misbehaviour { lose: 0.5, ..Misbehaviour::default() });
    assert_eq!(say_all(&broker, 40).await, 40);
    broker.quiet().await.unwrap();
    assert!((1..40).contains(&heard(&broker).await.len()));
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_publish_lands_twice() {
    let broker = broker(Misbehaviour { duplicate: 0.5, ..Misbehaviour::default() });
    say_all(&broker, 40).await;
    let mut heard = heard(&broker).await;
    assert!((41..80).contains(&heard.len()));
    heard.dedup();
    assert_eq!(heard, count(0..40));
}

#[tokio::test(start_paused = true)]
async fn a_reordered_publish_lands_within_the_window() {
    let broker = broker(Misbehaviour { reorder: 0.5, ..Misbehaviour::default() });
    say_all(&broker, 40).await;
    broker.quiet().await.unwrap();
    let heard = heard(&broker).await;
    assert_ne!(heard, count(0..40));
    assert!(heard.iter().enumerate().all(|(place, number)| place.abs_diff(*number) <= 8));
    assert_eq!(sorted(heard), count(0..40));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_lands_when_it_goes_quiet() {
    let broker = broker(Misbehaviour { reorder: 1.0, ..Misbehaviour::default() });
    say(&broker, 0).await.unwrap();
    assert_eq!(heard(&broker).await, [0; 0]);
    broker.quiet().await.unwrap();
    assert_eq!(heard(&broker).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_takes_no_longer_than_its_limit() {
    let delay_max = Duration::from_secs(30);
    let broker = broker(Misbehaviour { delay: 1.0, delay_max, ..Misbehaviour::default() });
    let before = Instant::now();
    say(&broker, 0).await.unwrap();
    assert!(!before.elapsed().is_zero() && before.elapsed() <= delay_max);
}

/// How long the first delivery takes when a read is dropped after `patience` and called again.
async fn first_read_takes(patience: Duration) -> Duration {
    let delay_max = Duration::from_secs(30);
    let broker = broker(Misbehaviour { read_delay: 1.0, delay_max, ..Misbehaviour::default() });
    say(&broker, 0).await.unwrap();
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    let before = Instant::now();
    while timeout(patience, subscription.read(1)).await.is_err() {}
    before.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_delayed_read_is_delayed_once_however_often_it_is_dropped() {
    let whole = first_read_takes(Duration::from_mins(1)).await;
    assert!(whole > Duration::from_secs(1) && whole <= Duration::from_secs(30), "{whole:?}");
    let in_pieces = first_read_takes(Duration::from_millis(100)).await;
    assert!(in_pieces.abs_diff(whole) <= Duration::from_millis(100), "{in_pieces:?}, {whole:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_takes_nothing() {
    let broker = broker(Misbehaviour::default());
    say_all(&broker, 40).await;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    broker.set(Misbehaviour { read_fail: 1.0, ..Misbehaviour::default() });
    assert!(subscription.read(3).await.is_err());
    assert!(broker.subscribe(LOG, Start::Oldest).await.is_err());
    assert!(broker.bounds(LOG).await.is_err());
    broker.set(Misbehaviour { read_fail: 0.5, ..Misbehaviour::default() });
    assert_eq!(heard_from(&mut *subscription).await, count(0..40));
}

#[tokio::test(start_paused = true)]
async fn repeated_deliveries_come_after_their_first() {
    let broker = broker(Misbehaviour { read_repeat: 0.3, ..Misbehaviour::default() });
    say_all(&broker, 40).await;
    let heard = heard(&broker).await;
    assert!(heard.len() > 40, "nothing was repeated");
    let mut firsts = Vec::new();
    for number in heard {
        if !firsts.contains(&number) {
            firsts.push(number);
        }
    }
    assert_eq!(firsts, count(0..40));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_subscription_stays_so_and_a_new_one_works() {
    let broker = broker(Misbehaviour { read_abort: 1.0, ..Misbehaviour::default() });
    say(&broker, 0).await.unwrap();
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert!(subscription.read(1).await.is_err());
    broker.quiet().await.unwrap();
    assert!(subscription.read(1).await.is_err());
    assert_eq!(heard(&broker).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_subscription_stays_so_and_a_new_one_works() {
    let broker = broker(Misbehaviour { read_silence: 1.0, ..Misbehaviour::default() });
    say(&broker, 0).await.unwrap();
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(heard_from(&mut *subscription).await, [0; 0]);
    broker.quiet().await.unwrap();
    assert_eq!(heard_from(&mut *subscription).await, [0; 0]);
    assert_eq!(heard(&broker).await, [0]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_misbehaves_the_same_way() {
    let all = Misbehaviour {
        fail: 0.2,
        time_out: 0.2,
        lose: 0.2,
        duplicate: 0.2,
        reorder: 0.2,
        delay: 0.2,
        ..Misbehaviour::default()
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let broker = broker(all.clone());
        let acknowledged = say_all(&broker, 60).await;
        broker.quiet().await.unwrap();
        runs.push((acknowledged, heard(&broker).await));
    }
    assert_eq!(runs[0], runs[1]);
}
