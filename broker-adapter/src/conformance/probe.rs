//! How checks publish, read and compare.

use std::fmt::{self, Debug};
use std::time::Duration;

use bytes::Bytes;

use super::{BOARD, LOG};
use crate::{Broker, BrokerError, Delivery, Message, Partition, Start, Subscription};

/// The partition of checks that need only one.
pub(super) const FIRST: Partition = Partition(0);

/// A message that was published comes within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// A message that has not come by then does not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Why a check failed.
#[derive(Debug)]
pub(super) struct Why(String);

pub(super) type Outcome<T = ()> = Result<T, Why>;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BrokerError> for Why {
    fn from(error: BrokerError) -> Self {
        let (BrokerError::Unavailable(source) | BrokerError::Refused(source)) = &error;
        Self(format!("{error}: {source}"))
    }
}

impl From<String> for Why {
    fn from(why: String) -> Self {
        Self(why)
    }
}

/// Fails unless both are equal.
#[expect(clippy::needless_pass_by_value, reason = "checks compare what they have just made")]
pub(super) fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Outcome {
    holds(got == wanted, || format!("{what}: got {got:?}, wanted {wanted:?}"))
}

/// Fails unless `condition`.
pub(super) fn holds(condition: bool, why: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(Why(why())) }
}

pub(super) fn message(body: impl Into<Bytes>) -> Message {
    Message { key: None, id: None, body: body.into() }
}

/// Publishes each word as a message of the first partition of the log, in one call.
pub(super) async fn say(broker: &dyn Broker, words: &str) -> Outcome {
    let messages = words.split(' ').map(|word| message(word.to_owned())).collect();
    Ok(broker.publish(LOG, FIRST, messages).await?)
}

/// Publishes each `key=body` on the board, in one call.
pub(super) async fn post(broker: &dyn Broker, entries: &str) -> Outcome {
    let messages = entries.split(' ').map(entry).collect();
    Ok(broker.publish(BOARD, FIRST, messages).await?)
}

fn entry(entry: &str) -> Message {
    let (key, body) = entry.split_once('=').unwrap_or((entry, ""));
    let body = Bytes::copy_from_slice(body.as_bytes());
    Message { key: Some(key.to_owned()), id: None, body }
}

/// Reads exactly `count` deliveries.
pub(super) async fn read(
    subscription: &mut dyn Subscription,
    count: usize,
) -> Outcome<Vec<Delivery>> {
    let mut all: Vec<Delivery> = Vec::new();
    while all.len() < count {
        let read = subscription.read(count - all.len());
        let Ok(batch) = tokio::time::timeout(PATIENCE, read).await else {
            let got = texts(&all);
            return Err(Why(format!("{} of {count} came, then nothing: {got:?}", all.len())));
        };
        all.extend(batch?);
    }
    Ok(all)
}

/// Reads from a new subscription to the log exactly `words`, and nothing more.
pub(super) async fn hears(broker: &dyn Broker, start: Start, words: &str) -> Outcome {
    let mut subscription = broker.subscribe(LOG, start).await?;
    expect(&mut *subscription, words).await?;
    nothing_more(&mut *subscription).await
}

/// Reads exactly `words` next.
pub(super) async fn expect(subscription: &mut dyn Subscription, words: &str) -> Outcome {
    let wanted: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let got = texts(&read(subscription, wanted.len()).await?);
    same("read", got, wanted)
}

/// Fails if anything comes.
pub(super) async fn nothing_more(subscription: &mut dyn Subscription) -> Outcome {
    match tokio::time::timeout(SILENCE, subscription.read(10)).await {
        Ok(batch) => Err(Why(format!("also came: {:?}", texts(&batch?)))),
        Err(_) => Ok(()),
    }
}

/// Lets the broker's clock move on between two publishes.
pub(super) async fn tick() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Bodies as text; on a board with their keys before them.
pub(super) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| {
        let body = String::from_utf8_lossy(&delivery.body);
        match &delivery.key {
            Some(key) => format!("{key}={body}"),
            None => body.into_owned(),
        }
    };
    deliveries.iter().map(text).collect()
}
