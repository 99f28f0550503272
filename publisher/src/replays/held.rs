//! From when on the log holds everything that it took.

use std::time::Duration;

use broker_adapter::{BoxError, Broker, BrokerError, Partition, PartitionBounds, Start, Topic};
use jiff::Timestamp;
use schemas::Priority;
use tokio::time::timeout;

/// Longest look at the log's beginning.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// The first position of a log of which nothing was ever removed: brokers count from 0, or from 1.
const FIRST_POSITION: u64 = 1;
/// Most messages read at once.
const READ_MAX: usize = 16;

/// From when on the log holds everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// What it took then or later; `None` where it holds nothing.
    pub(super) since: Option<Timestamp>,
    /// Whether it has let go of anything.
    pub(super) let_go: bool,
}

impl Held {
    /// Whether it has let go of what it took then.
    pub(super) fn lacks(&self, time: Timestamp) -> bool {
        self.let_go && self.since.is_some_and(|since| time < since)
    }
}

/// Looks at the beginning of every partition.
pub(super) async fn held(broker: &dyn Broker) -> Result<Held, BrokerError> {
    let late = || BoxError::from(format!("no answer within {} s", LOOK_WITHIN.as_secs()));
    let looked = timeout(LOOK_WITHIN, look(broker)).await;
    looked.map_err(|_| BrokerError::Unavailable(late()))?
}

async fn look(broker: &dyn Broker) -> Result<Held, BrokerError> {
    let mut whole: Option<Timestamp> = None;
    let mut cut: Option<Timestamp> = None;
    for topic in Priority::ALL.map(|priority| Topic::log(priority.as_str())) {
        let bounds = broker.bounds(topic).await?;
        let filled = bounds.iter().filter(|(_, bounds)| bounds.end > bounds.first);
        for (partition, PartitionBounds { first, .. }) in filled {
            let at = bounds.iter().map(|(other, bounds)| {
                (*other, if other == partition { bounds.first } else { bounds.end })
            });
            let oldest = oldest(broker, topic, *partition, Start::At(at.collect())).await?;
            if first.0 > FIRST_POSITION {
                cut = cut.max(Some(oldest));
            } else {
                whole = Some(whole.map_or(oldest, |whole| whole.min(oldest)));
            }
        }
    }
    Ok(Held { since: cut.or(whole), let_go: cut.is_some() })
}

/// When the first message of a partition was taken.
async fn oldest(
    broker: &dyn Broker,
    topic: Topic,
    partition: Partition,
    start: Start,
) -> Result<Timestamp, BrokerError> {
    let mut reading = broker.subscribe(topic, start).await?;
    loop {
        let read = reading.read(READ_MAX).await?;
        if let Some(first) = read.iter().find(|delivery| delivery.partition == partition) {
            return Ok(first.time);
        }
    }
}
