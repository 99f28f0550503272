//! A broker in memory whose logs do not stay as they were: rolled back to an older copy, recreated, trimmed. Readers
//! are told nothing of it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::{
    Bounds, Broker, BrokerError, Delivery, Message, Partition, PartitionBounds, Position, Start,
    Subscription, Topic, TopicKind,
};
use daemon::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

/// All topics.
#[derive(Debug)]
pub(super) struct History {
    clock: Clock,
    kept: Arc<Mutex<HashMap<Topic, Kept>>>,
    changed: watch::Sender<()>,
}

/// One topic, which has one partition.
#[derive(Debug, Default)]
struct Kept {
    end: u64,
    messages: Vec<Delivery>,
}

impl Kept {
    fn first(&self) -> u64 {
        self.messages.first().map_or(self.end, |oldest| oldest.position.0)
    }
}

impl History {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default(), changed: watch::Sender::new(()) }
    }

    /// Every log is as it was so many messages ago; what comes next takes their places.
    pub(super) fn roll_back(&self, messages: usize) {
        self.change(|kept| {
            kept.messages.truncate(kept.messages.len().saturating_sub(messages));
            kept.end = kept.messages.last().map_or(0, |newest| newest.position.0 + 1);
        });
    }

    /// Every log is empty, and counts from its beginning.
    pub(super) fn recreate(&self) {
        self.change(|kept| *kept = Kept::default());
    }

    /// Every log forgets its oldest messages.
    pub(super) fn trim(&self, messages: usize) {
        self.change(|kept| drop(kept.messages.drain(..messages.min(kept.messages.len()))));
    }

    fn change(&self, change: impl Fn(&mut Kept)) {
        let mut topics = self.kept.lock();
        let logs = topics.iter_mut().filter(|(topic, _)| topic.kind() == TopicKind::Log);
        logs.for_each(|(_, kept)| change(kept));
        drop(topics);
        self.changed.send_replace(());
    }
}

#[async_trait]
impl Broker for History {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let mut topics = self.kept.lock();
        let kept = topics.entry(topic).or_default();
        for Message { key, body, .. } in messages {
            if topic.kind() == TopicKind::Board {
                kept.messages.retain(|known| known.key != key);
            }
            let (position, time) = (Position(kept.end), self.clock.now());
            kept.messages.push(Delivery { partition, position, time, key, body });
            kept.end += 1;
        }
        drop(topics);
        self.changed.send_replace(());
        Ok(())
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let mut topics = self.kept.lock();
        let kept = topics.entry(topic).or_default();
        let since = |time| kept.messages.iter().find(|message| message.time >= time);
        let next = match start {
            _ if topic.kind() == TopicKind::Board && start != Start::Newest => 0,
            Start::Oldest => 0,
            Start::Newest => kept.end,
            Start::At(positions) => positions.get(&Partition(0)).map_or(0, |position| position.0),
            Start::Since(time) => since(time).map_or(kept.end, |message| message.position.0),
        };
        let (kept, changed) = (self.kept.clone(), self.changed.subscribe());
        Ok(Box::new(Reader { kept, changed, topic, next }))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        let mut topics = self.kept.lock();
        let kept = topics.entry(topic).or_default();
        let bounds = PartitionBounds { first: Position(kept.first()), end: Position(kept.end) };
        Ok([(Partition(0), bounds)].into())
    }
}

#[derive(Debug)]
struct Reader {
    kept: Arc<Mutex<HashMap<Topic, Kept>>>,
    changed: watch::Receiver<()>,
    topic: Topic,
    next: u64,
}

impl Reader {
    /// Outside of what is kept the oldest is next, as real brokers have it.
    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let topics = self.kept.lock();
        let Some(kept) = topics.get(&self.topic) else { return Vec::new() };
        if !(kept.first()..=kept.end).contains(&self.next) {
            self.next = kept.first();
        }
        let at = kept.messages.partition_point(|message| message.position.0 < self.next);
        let taken: Vec<_> = kept.messages[at..].iter().take(max).cloned().collect();
        self.next = taken.last().map_or(self.next, |newest| newest.position.0 + 1);
        taken
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.changed.borrow_and_update();
            let taken = self.take(max);
            if !taken.is_empty() {
                return Ok(taken);
            }
            if self.changed.changed().await.is_err() {
                return Err(BrokerError::Unavailable("the world has ended".into()));
            }
        }
    }
}
