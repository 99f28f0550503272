//! What stands on the log in the end, read as an agent reads it.

use std::collections::{BTreeSet, HashMap};

use broker_adapter::{Broker, Partition, Start, Topic};
use jiff::Timestamp;
use schemas::{LineId, LogMessage, Number, Priority, wire};

const READ_MAX: usize = 1_000;

/// So many batches may be on their way when the broker fails, and land in any order.
const PIPELINED: usize = 32;
/// Fewer tell little.
const NUMBERS_MIN: usize = 100;

/// What was committed since then stands on the log without a gap, and in the order of its numbers but for what was on
/// its way when the broker failed.
pub(crate) async fn is_whole_and_in_order(broker: &dyn Broker, since: Timestamp) {
    for (line, numbers) in numbers(broker, since).await {
        let all: BTreeSet<Number> = numbers.iter().copied().collect();
        let (first, last) = (all.first().expect("one"), all.last().expect("one"));
        assert_eq!(all.len() as Number, last - first + 1, "{line} has gaps: {all:?}");
        let steps_back = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(steps_back <= PIPELINED, "{line} is in disorder: {numbers:?}");
        assert!(all.len() > NUMBERS_MIN, "{} numbers tell little", all.len());
    }
}

/// The numbers of each line that were committed since then, each where it stands first.
async fn numbers(broker: &dyn Broker, since: Timestamp) -> HashMap<LineId, Vec<Number>> {
    let topic = Topic::log(Priority::Normal.as_str());
    let bounds = broker.bounds(topic).await.expect("bounds");
    let end = bounds[&Partition::default()].end;
    let mut read = broker.subscribe(topic, Start::Oldest).await.expect("a subscription");
    let (mut numbers, mut seen) = (HashMap::<_, Vec<_>>::new(), BTreeSet::new());
    let mut reached = false;
    while !reached {
        for delivery in read.read(READ_MAX).await.expect("deliveries") {
            reached |= delivery.position.0 + 1 >= end.0;
            let Ok(LogMessage::Frame(frame)) = wire::decode_log(&delivery.body) else { continue };
            if frame.committed_at < since {
                continue;
            }
            let range = frame.numbers();
            let new =
                (range.first..=range.last).filter(|number| seen.insert((frame.line, *number)));
            numbers.entry(frame.line).or_default().extend(new);
        }
    }
    numbers
}
