//! What was read, understood ahead of the lane: a little at once, much on a thread of its own, while the lane acts on
//! what came before it.

use std::collections::VecDeque;
use std::panic::resume_unwind;

use broker_adapter::Delivery;
use tokio::task::{JoinHandle, spawn_blocking};

use super::reading::{Read, Reader};
use crate::feed::Feed;

/// From so many bytes on it is worth waking a thread: the signatures of that many small ones take a millisecond.
const MUCH_BYTES: usize = 8 << 10;

/// What is understood and not heard yet, in the order read.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    understood: VecDeque<Read>,
    /// What comes behind that.
    under_way: Option<JoinHandle<Vec<Read>>>,
}

impl Ahead {
    /// Waits until something of `feed` is understood; then no more than what was read twice is held. Cancel-safe.
    pub(super) async fn fill(&mut self, feed: &mut Feed, reader: &mut Reader) {
        while self.understood.is_empty() {
            let Some(under_way) = &mut self.under_way else {
                feed.fill().await;
                self.take_on(feed.take(), reader);
                continue;
            };
            let understood = tokio::select! {
                understood = under_way => understood,
                () = feed.fill(), if feed.is_empty() => continue,
            };
            self.under_way = None;
            self.understood
                .extend(understood.unwrap_or_else(|panic| resume_unwind(panic.into_panic())));
            if !feed.is_empty() {
                self.take_on(feed.take(), reader);
            }
        }
    }

    /// The next message.
    pub(super) fn next(&mut self) -> Option<Read> {
        self.understood.pop_front()
    }

    fn take_on(&mut self, deliveries: VecDeque<Delivery>, reader: &mut Reader) {
        let bytes: usize = deliveries.iter().map(|delivery| delivery.body.len()).sum();
        if bytes < MUCH_BYTES {
            self.understood.extend(deliveries.iter().map(|delivery| reader.read(delivery)));
            return;
        }
        let mut reader = reader.another();
        self.under_way = Some(spawn_blocking(move || {
            deliveries.iter().map(|delivery| reader.read(delivery)).collect()
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use broker_adapter::{
        Broker, Embedded, EmbeddedConfig, Message, Partition, Position, Positions, Topic,
    };
    use bytes::Bytes;
    use jiff::Timestamp;
    use schemas::{Heartbeat, LineId, LogMessage, wire};
    use tokio::task::yield_now;

    use super::*;
    use crate::trust::TrustBook;

    const TOPIC: Topic = Topic::log("normal");
    const MESSAGES: u64 = 600;

    /// Runs of small ones and of large ones, and now and then one that nobody understands.
    fn body(number: u64) -> Bytes {
        if number.is_multiple_of(7) {
            return Bytes::from_static(b"?");
        }
        let lines = if (number / 40).is_multiple_of(2) { 1 } else { 100 };
        let (publisher, at) = ("publisher-1".parse().expect("a name"), Timestamp::UNIX_EPOCH);
        let lines = vec![(LineId::from_bytes([1; 16]), number); lines];
        wire::encode_log(&LogMessage::Heartbeat(Heartbeat { publisher, at, lines, agents: None }))
    }

    #[tokio::test]
    async fn all_is_understood_in_its_order_however_often_the_wait_is_given_up() {
        let broker = Embedded::in_memory(EmbeddedConfig::default(), || Timestamp::UNIX_EPOCH);
        let broker = broker.expect("a broker");
        let messages =
            (0..MESSAGES).map(|number| Message { key: None, id: None, body: body(number) });
        let published = broker.publish(TOPIC, Partition(0), messages.collect()).await;
        published.expect("all of them");
        let rng = fastrand::Rng::with_seed(1);
        let mut feed = Feed::new(Arc::new(broker), TOPIC, Positions::new(), rng);
        let (mut ahead, mut reader) = (Ahead::default(), Reader::new(TOPIC, TrustBook::default()));
        let mut reads = Vec::new();
        while reads.len() < 600 {
            tokio::select! {
                biased;
                () = ahead.fill(&mut feed, &mut reader) => {}
                () = yield_now() => {}
            }
            reads.extend(std::iter::from_fn(|| ahead.next()));
        }
        let first = reads[0].at.position.0;
        for (number, Read { at, message }) in (0..).zip(reads) {
            assert_eq!(at.position.0, first + number);
            match message {
                Ok(LogMessage::Heartbeat(heard)) => assert_eq!(heard.lines[0].1, number),
                other => assert!(number.is_multiple_of(7) && other.is_err(), "{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn much_is_left_to_a_thread_and_little_is_not() {
        let (mut ahead, mut reader) = (Ahead::default(), Reader::new(TOPIC, TrustBook::default()));
        let delivery = |bytes| Delivery {
            partition: Partition(0),
            position: Position(0),
            time: Timestamp::UNIX_EPOCH,
            key: None,
            body: vec![0; bytes].into(),
        };
        ahead.take_on([delivery(MUCH_BYTES - 1)].into(), &mut reader);
        assert_eq!((ahead.understood.len(), ahead.under_way.is_some()), (1, false));
        ahead.take_on([delivery(MUCH_BYTES)].into(), &mut reader);
        assert_eq!((ahead.understood.len(), ahead.under_way.is_some()), (1, true));
    }
}
