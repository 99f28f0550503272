//! A simple broker in memory that is right, but for one fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use broker_adapter::conformance::{BOARD, Backend, LOG};
use broker_adapter::{
    Bounds, Broker, BrokerError, Delivery, Message, Partition, PartitionBounds, Position,
    Positions, Start, Subscription, Topic, TopicKind,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Clock;
use crate::fault::Fault;

/// Makes brokers with one fault, or with none.
pub(crate) struct BrokenBackend {
    fault: Option<Fault>,
    latest: Mutex<Arc<Broken>>,
}

#[derive(Debug)]
pub(crate) struct Broken {
    fault: Option<Fault>,
    clock: Clock,
    topics: Mutex<BTreeMap<&'static str, Kept>>,
    shared_place: Mutex<Positions>,
    bell: watch::Sender<()>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    messages: Vec<Delivery>,
    ends: BTreeMap<Partition, u64>,
}

#[derive(Debug)]
struct BrokenReader {
    broker: Arc<Broken>,
    topic: Topic,
    next: Positions,
    bell: watch::Receiver<()>,
    reads: u32,
}

/// What a backend hands out.
#[derive(Debug)]
struct Handle(Arc<Broken>);

impl BrokenBackend {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        Self { fault, latest: Mutex::new(Broken::new(fault)) }
    }
}

#[async_trait]
impl Backend for BrokenBackend {
    async fn fresh(&self) -> Arc<dyn Broker> {
        let broker = Broken::new(self.fault);
        *self.latest.lock() = Arc::clone(&broker);
        Arc::new(Handle(broker))
    }

    fn partitions(&self) -> u32 {
        2
    }

    async fn reopen(&self, broker: Arc<dyn Broker>) -> Arc<dyn Broker> {
        let latest = self.latest.lock();
        let mut topics = latest.topics.lock();
        match self.fault {
            Some(Fault::ForgetsTheLastAtRestart) => {
                topics.get_mut(LOG.name()).and_then(|kept| kept.messages.pop());
            }
            Some(Fault::ForgetsBoardsAtRestart) => {
                topics.remove(BOARD.name());
            }
            Some(Fault::NumbersAnewAtRestart) => {
                topics.values_mut().for_each(|kept| kept.ends.clear());
            }
            _ => {}
        }
        broker
    }

    async fn expire(&self, _: &Arc<dyn Broker>) -> bool {
        let latest = self.latest.lock();
        for kept in latest.topics.lock().values_mut() {
            kept.messages.clear();
            if self.fault == Some(Fault::NumbersAnewWhenEmpty) {
                kept.ends.values_mut().for_each(|end| *end = 0);
            }
        }
        true
    }
}

impl Kept {
    fn bounds(&self, partition: Partition) -> PartitionBounds {
        let end = Position(self.ends.get(&partition).copied().unwrap_or_default());
        let of_partition = self.messages.iter().filter(|message| message.partition == partition);
        let first = of_partition.map(|message| message.position).min().unwrap_or(end);
        PartitionBounds { first, end }
    }

    fn append(&mut self, fault: Option<Fault>, topic: Topic, delivery: Delivery) {
        let board = topic.kind() == TopicKind::Board;
        let end = self.ends.entry(delivery.partition).or_default();
        let position = Position(*end);
        *end += 1;
        let dropped = match fault {
            Some(Fault::DropsEveryFiftieth) => position.0 % 50 == 49,
            Some(Fault::DropsValuesOfSlowReaders) => board && position.0 > 30,
            _ => false,
        };
        if dropped {
            return;
        }
        if board && fault != Some(Fault::KeepsOldValues) {
            self.messages.retain(|message| {
                (message.partition, &message.key) != (delivery.partition, &delivery.key)
            });
        }
        self.messages.push(Delivery { position, ..delivery });
        if fault == Some(Fault::SwapsNeighbours)
            && let [.., one, two] = &mut self.messages[..]
            && position.0 % 10 == 9
        {
            std::mem::swap(&mut one.body, &mut two.body);
        }
    }
}

impl Broken {
    fn new(fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Self {
            fault,
            clock: Clock::new(),
            topics: Mutex::default(),
            shared_place: Mutex::default(),
            bell: watch::Sender::new(()),
        })
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn name(&self, topic: Topic) -> &'static str {
        if self.has(Fault::MixesTopics) { LOG.name() } else { topic.name() }
    }

    fn kept(&self, topic: Topic) -> Kept {
        self.topics.lock().get(self.name(topic)).cloned().unwrap_or_default()
    }

    fn delivery(&self, partition: Partition, message: Message) -> Delivery {
        let mut body = message.body;
        if self.has(Fault::TreatsBodiesAsText) {
            body = String::from_utf8_lossy(&body).into_owned().into();
        }
        if self.has(Fault::CutsLargeBodies) {
            body.truncate(1 << 19);
        }
        let mut time = self.clock.now();
        if self.has(Fault::TurnsTimeBack) {
            time -= self.clock.since.elapsed() * 2;
        }
        let partition = if self.has(Fault::MixesPartitions) { Partition(0) } else { partition };
        Delivery { partition, position: Position(0), time, key: message.key, body }
    }

    fn begin(&self, kept: &Kept, topic: Topic, partition: Partition, start: &Start) -> u64 {
        let PartitionBounds { first: Position(first), end: Position(end) } = kept.bounds(partition);
        let as_log = topic.kind() == TopicKind::Log || self.has(Fault::BeginsBoardsAtStart);
        let board_from_oldest =
            topic.kind() == TopicKind::Board && self.has(Fault::TakesBoardsNewestForOldest);
        match start {
            Start::Newest if self.has(Fault::TakesNewestForOldest) || board_from_oldest => first,
            Start::Newest => end,
            Start::Oldest if self.has(Fault::SkipsTheOldest) => first + 1,
            Start::At(named) if as_log => self.begin_at(named.get(&partition), first, end),
            Start::Since(time) if as_log => {
                let late = kept.messages.iter().find(|message| {
                    message.partition == partition
                        && (message.time > *time
                            || message.time == *time && !self.has(Fault::ExcludesSince))
                });
                match late {
                    _ if self.has(Fault::TakesSinceForNewest) => end,
                    _ if self.has(Fault::TakesSinceForOldest) => first,
                    None if self.has(Fault::TakesLateSinceForOldest) => first,
                    Some(message) => message.position.0,
                    None => end,
                }
            }
            _ => first,
        }
    }

    fn begin_at(&self, named: Option<&Position>, first: u64, end: u64) -> u64 {
        let Some(&Position(at)) = named else {
            return if self.has(Fault::TakesUnnamedForNewest) { end } else { first };
        };
        match at {
            _ if self.has(Fault::IgnoresAt) => first,
            at if at > end && self.has(Fault::WaitsBeyondTheEnd) => at,
            at if at == end && self.has(Fault::TakesTheEndForBeyond) => first,
            at if at < first && self.has(Fault::TakesExpiredForTheEnd) => end,
            at if at < first || at > end => first,
            at if self.has(Fault::BeginsAfterAt) => at + 1,
            at => at,
        }
    }
}

#[async_trait]
impl Broker for Handle {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let Self(broker) = self;
        let mut kept = broker.kept(topic);
        if broker.has(Fault::LosesRaces) {
            tokio::task::yield_now().await;
        } else {
            kept = broker.kept(topic);
        }
        for message in messages {
            kept.append(broker.fault, topic, broker.delivery(partition, message));
        }
        broker.topics.lock().insert(broker.name(topic), kept);
        if !broker.has(Fault::ForgetsToWake) {
            broker.bell.send_replace(());
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let broker = Arc::clone(&self.0);
        let kept = broker.kept(topic);
        if kept.ends.is_empty() && broker.has(Fault::RefusesEmptyTopics) {
            return Err(BrokerError::Refused("no such topic".into()));
        }
        let begin =
            |&partition| (partition, Position(broker.begin(&kept, topic, partition, &start)));
        let next = kept.ends.keys().map(begin).collect();
        let bell = broker.bell.subscribe();
        Ok(Box::new(BrokenReader { broker, topic, next, bell, reads: 0 }))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        let kept = self.0.kept(topic);
        let bounds = kept.ends.keys().map(|&partition| {
            let PartitionBounds { mut first, mut end } = kept.bounds(partition);
            first.0 += u64::from(self.0.has(Fault::BeginsBoundsLate));
            end.0 -= u64::from(self.0.has(Fault::EndsBoundsEarly));
            (partition, PartitionBounds { first, end })
        });
        Ok(bounds.collect())
    }
}

impl BrokenReader {
    fn batch(&self, max: usize) -> Vec<Delivery> {
        let max = if self.broker.has(Fault::IgnoresMax) { usize::MAX } else { max };
        let kept = self.broker.kept(self.topic);
        let stuck = self.broker.has(Fault::StopsWhenOvertaken)
            && self.next.iter().any(|(partition, next)| *next < kept.bounds(*partition).first);
        let silent = self.broker.has(Fault::NeverUpdatesBoards)
            && self.topic.kind() == TopicKind::Board
            && self.reads > 0;
        if stuck || silent {
            return Vec::new();
        }
        let due = |message: &&Delivery| {
            message.position >= self.next.get(&message.partition).copied().unwrap_or_default()
        };
        kept.messages.iter().filter(due).take(max).cloned().collect()
    }

    fn advance(&mut self, batch: &[Delivery]) {
        for delivery in batch {
            self.next.insert(delivery.partition, Position(delivery.position.0 + 1));
        }
        if self.broker.has(Fault::SharesOnePlace) {
            self.broker.shared_place.lock().extend(&self.next);
        }
        if self.broker.has(Fault::ConsumesWhatIsRead)
            && let Some(kept) = self.broker.topics.lock().get_mut(self.broker.name(self.topic))
        {
            kept.messages.retain(|message| !batch.contains(message));
        }
    }
}

#[async_trait]
impl Subscription for BrokenReader {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.bell.mark_unchanged();
            if self.broker.has(Fault::SharesOnePlace) {
                self.next.extend(&*self.broker.shared_place.lock());
            }
            let mut batch = self.batch(max);
            if self.broker.has(Fault::TakesBeforeItGives) {
                self.advance(&batch);
                tokio::task::yield_now().await;
            }
            let empty = self.broker.has(Fault::GivesEmptyBatches) && self.reads.is_multiple_of(2);
            if empty || !batch.is_empty() {
                self.reads += 1;
                batch.truncate(if empty { 0 } else { usize::MAX });
                self.advance(&batch);
                if self.broker.has(Fault::RepeatsPositions) {
                    for delivery in &mut batch {
                        delivery.position = Position(7);
                    }
                }
                return Ok(batch);
            }
            self.bell.changed().await.expect("the reader holds the broker");
        }
    }
}
