//! What the test's publisher says on the log and on its board.

use std::time::Duration;

use broker_adapter::{Broker, Embedded, Message, Partition, Topic};
use bytes::Bytes;
use jiff::Timestamp;
use schemas::{
    BoardMessage, Frame, Incarnation, Invalidation, LineId, LogMessage, Mode, Number, Order,
    Ordered, Orders, PUBLISHERS_BOARD, Priority, Selector, wire,
};

use super::{Bench, line, tag};

impl Bench {
    /// Numbers one invalidation that does not reach the log yet.
    pub(crate) fn withhold(&self, selectors: &[Selector]) -> Frame {
        self.frame(Priority::Normal, selectors)
    }

    /// The first frame of a line on another partition, with that partition.
    pub(crate) fn other_line(&self, partition: u8) -> (Frame, Partition) {
        let mut frame = self.frame(Priority::Critical, &[tag(&format!("p{partition}"))]);
        self.heads.lock().remove(&Priority::Critical);
        frame.line = LineId::from_bytes([0x10 + partition; 16]);
        frame.invalidations[0].priority = Priority::Normal;
        (frame, Partition(partition.into()))
    }

    /// Appends a message to the log of the normal lanes.
    pub(crate) async fn say(&self, message: &LogMessage) {
        self.say_on(Partition::default(), message).await;
    }

    pub(crate) async fn say_on(&self, partition: Partition, message: &LogMessage) {
        let message = Message { key: None, id: None, body: wire::encode_log(message) };
        let topic = topic(Priority::Normal);
        self.broker.publish(topic, partition, vec![message]).await.expect("a log in memory");
    }

    /// The publisher has gone on to other lines, long ago, and names the normal one no more.
    pub(crate) async fn close_line(&self, last: Number) {
        self.heads.lock().remove(&Priority::Normal);
        let incarnation = BoardMessage::Incarnation(Incarnation {
            publisher: "p".parse().expect("a name"),
            since: Timestamp::UNIX_EPOCH - Duration::from_hours(50),
            lines: Vec::new(),
            closes: vec![(line(Priority::Normal), last)],
        });
        self.say_on_board(&incarnation).await;
    }

    /// An order to flush.
    pub(crate) fn order_flush(
        &self,
        id: u128,
        region: &str,
        cache: Option<&str>,
        mode: Mode,
    ) -> Order {
        let region = region.parse().expect("a name");
        let cache = cache.map(|cache| cache.parse().expect("a name"));
        self.order_of(id, Ordered::Flush { region, cache, mode })
    }

    /// An order of now, for a day.
    pub(crate) fn order_of(&self, id: u128, what: Ordered) -> Order {
        let at = Timestamp::UNIX_EPOCH + self.origin.elapsed();
        let expires_at = at + Duration::from_hours(24);
        Order { id: uuid::Uuid::from_u128(id), at, expires_at, what }
    }

    /// These are the publisher's orders.
    pub(crate) async fn orders(&self, orders: Vec<Order>) {
        let by = "p".parse().expect("a name");
        self.say_on_board(&BoardMessage::Orders(Orders { by, orders })).await;
    }

    async fn say_on_board(&self, message: &BoardMessage) {
        let (key, body) = (Some(message.key()), wire::encode_board(message));
        let board = Topic::board(PUBLISHERS_BOARD);
        let message = Message { key, id: None, body };
        self.broker.publish(board, Partition::default(), vec![message]).await.expect("a board");
    }

    fn frame(&self, priority: Priority, selectors: &[Selector]) -> Frame {
        let mut heads = self.heads.lock();
        let head = heads.entry(priority).or_default();
        *head += 1;
        Frame {
            publisher: "p".parse().expect("a name"),
            line: line(priority),
            first: *head,
            committed_at: Timestamp::UNIX_EPOCH,
            invalidations: vec![Invalidation {
                priority,
                ..Invalidation::new(
                    uuid::Uuid::nil(),
                    "main".parse().expect("a name"),
                    selectors.to_vec(),
                    Timestamp::UNIX_EPOCH,
                )
            }],
            signature: None,
        }
    }

    /// Publishes one invalidation; answers its number.
    pub(crate) async fn publish(&self, selectors: &[Selector]) -> Number {
        self.publish_on(Priority::Normal, selectors).await
    }

    pub(crate) async fn publish_critical(&self, selectors: &[Selector]) -> Number {
        self.publish_on(Priority::Critical, selectors).await
    }

    /// Publishes so many invalidations, each of a tag of its own, in one frame; answers the last number.
    pub(crate) async fn publish_many(&self, count: u64) -> Number {
        let mut frame = self.frame(Priority::Normal, &[]);
        let mut invalidation = frame.invalidations.remove(0);
        for number in frame.first..frame.first + count {
            invalidation.selectors = vec![tag(&format!("n{number}"))];
            frame.invalidations.push(invalidation.clone());
        }
        let last = frame.first + count - 1;
        self.heads.lock().insert(Priority::Normal, last);
        self.say(&LogMessage::Frame(frame)).await;
        last
    }

    async fn publish_on(&self, priority: Priority, selectors: &[Selector]) -> Number {
        let frame = self.frame(priority, selectors);
        append(&self.broker, priority, wire::encode_log(&LogMessage::Frame(frame))).await;
        self.heads.lock()[&priority]
    }

    /// Numbers one invalidation that never reaches the log; answers its number.
    pub(crate) fn lose(&self, selectors: &[Selector]) -> Number {
        let _lost = self.frame(Priority::Normal, selectors);
        self.heads.lock()[&Priority::Normal]
    }

    pub(crate) async fn publish_bytes(&self, bytes: &'static [u8]) {
        append(&self.broker, Priority::Normal, Bytes::from_static(bytes)).await;
    }
}

fn topic(priority: Priority) -> Topic {
    Topic::log(priority.as_str())
}

pub(super) async fn append(broker: &Embedded, priority: Priority, body: Bytes) {
    let message = Message { key: None, id: None, body };
    let partition = Partition::default();
    broker.publish(topic(priority), partition, vec![message]).await.expect("a log in memory");
}
