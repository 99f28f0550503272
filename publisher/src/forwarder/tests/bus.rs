//! A journal, its forwarders and its repairer before a log that lies elsewhere.

use async_trait::async_trait;
use broker_adapter::{
    Bounds, BrokerError, Embedded, EmbeddedConfig, Message, Partition, Start, Subscription, Topic,
};
use bytes::Bytes;
use daemon::{Clock, Crew};
use parking_lot::Mutex;
use schemas::api::Durable;
use schemas::{Invalidation, LogMessage, Place, Priority, wire};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::*;
use crate::journal::{JournalSetup, JournalStore, Limits};
use crate::outlet::Outlet;
use crate::repair::{Repairer, Retired};

pub(crate) const NORMAL: Stream = Stream { priority: Priority::Normal, partition: Partition(0) };

/// What may differ.
pub(crate) struct BusPlan {
    pub(crate) partitions: u32,
    pub(crate) journal_bytes: u64,
    pub(crate) ack_wait: Duration,
    pub(crate) retired: Retired,
}

impl Default for BusPlan {
    fn default() -> Self {
        Self {
            partitions: 1,
            journal_bytes: 1 << 30,
            ack_wait: Duration::from_secs(1),
            retired: Arc::new(|_| false),
        }
    }
}

/// A journal with its forwarders and repairs before a broker.
pub(crate) struct Bus {
    pub(crate) journal: Journal,
    pub(crate) log: Embedded,
    pub(crate) clock: Clock,
    pub(crate) troubles: Troubles,
    stop: Stop,
    running: JoinHandle<()>,
}

impl Bus {
    pub(crate) fn start(store: JournalStore, log: &Embedded, broker: Arc<dyn Broker>) -> Self {
        Self::planned(BusPlan::default(), store, log, broker)
    }

    pub(crate) fn planned(
        plan: BusPlan,
        store: JournalStore,
        log: &Embedded,
        broker: Arc<dyn Broker>,
    ) -> Self {
        let clock = clock();
        let (journal, writer) = JournalSetup {
            store,
            publisher: "p1".parse().unwrap(),
            outlet: Outlet::Remote(Arc::clone(&broker)),
            limits: Limits {
                bytes: plan.journal_bytes,
                retention: Duration::from_hours(1),
                age: Duration::from_hours(24),
            },
            partitions: plan.partitions,
            ack_wait: plan.ack_wait,
            clock,
            on_accepted: Box::new(|_, _| {}),
        }
        .open()
        .unwrap();
        let (stop, troubles, metrics) = (Stop::new(), Troubles::default(), Metrics::default());
        let mut crew = Crew::new(stop.clone());
        crew.spawn("journal", writer.run(crew.stop()));
        let announcer = Announcer::new(journal.clone(), Arc::clone(&broker), troubles.clone());
        for stream in journal.streams() {
            let forwarder = Forwarder {
                journal: journal.clone(),
                broker: Arc::clone(&broker),
                stream,
                announcer: announcer.clone(),
                troubles: troubles.clone(),
                metrics: metrics.clone(),
            };
            crew.spawn("forwarder", forwarder.run(crew.stop()));
        }
        crew.spawn("announcer", announcer.run(crew.stop()));
        let repairer = Repairer::new(journal.clone(), broker, metrics, plan.retired);
        crew.spawn("repairs", repairer.run(crew.stop()));
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let running = tokio::spawn(async move { crew.run(Duration::from_secs(5)).await.unwrap() });
        Self { journal, log: log.clone(), clock, troubles, stop, running }
    }

    pub(crate) async fn accept(&self) -> (Place, Durable) {
        self.accept_this(self.invalidation()).await
    }

    pub(crate) async fn accept_this(&self, invalidation: Invalidation) -> (Place, Durable) {
        let receipt = self.journal.accept(invalidation, None).await.unwrap();
        (receipt.place, receipt.durable)
    }

    pub(crate) fn invalidation(&self) -> Invalidation {
        let (site, everything) = ("main".parse().unwrap(), vec![schemas::Selector::Everything]);
        Invalidation::new(Uuid::new_v4(), site, everything, self.clock.now())
    }

    /// Of so many bytes, and some.
    pub(crate) fn large(&self, bytes: usize) -> Invalidation {
        Invalidation { reason: Some("r".repeat(bytes)), ..self.invalidation() }
    }

    /// The messages on a stream, as they landed.
    pub(crate) async fn landed(&self, stream: Stream) -> Vec<Bytes> {
        let topic = stream.topic();
        let bounds = self.log.bounds(topic).await.unwrap();
        let mut left = bounds.values().map(|bounds| bounds.end.0).sum::<u64>();
        let mut reader = self.log.subscribe(topic, Start::Oldest).await.unwrap();
        let mut landed = Vec::new();
        while left > 0 {
            let read = reader.read(1_000).await.unwrap();
            left -= read.len() as u64;
            let read = read.into_iter().filter(|read| read.partition == stream.partition);
            landed.extend(read.map(|delivery| delivery.body));
        }
        landed
    }

    pub(crate) async fn landed_places(&self) -> Vec<Place> {
        let landed = self.landed(NORMAL).await;
        landed.iter().flat_map(|bytes| places(bytes)).collect()
    }

    /// Waits until the broker has everything.
    pub(crate) async fn forwarded(&self) {
        for stream in self.journal.streams() {
            let mut reach = self.journal.watch(stream);
            let everything = reach.wait_for(|reach| reach.forwarded == reach.end);
            timeout(Duration::from_mins(10), everything).await.expect("all is forwarded").unwrap();
        }
    }

    pub(crate) async fn end(self) {
        self.stop.request();
        self.running.await.unwrap();
    }
}

/// The places that a frame carries.
pub(crate) fn places(frame: &[u8]) -> Vec<Place> {
    let LogMessage::Frame(frame) = wire::decode_log(frame).unwrap() else { panic!("no frame") };
    let numbers = frame.numbers();
    (numbers.first..=numbers.last).map(|number| Place { line: frame.line, number }).collect()
}

fn clock() -> Clock {
    Clock::following("2026-01-01T00:00:00Z".parse().unwrap())
}

pub(crate) fn log() -> Embedded {
    let clock = clock();
    Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap()
}

pub(crate) fn store() -> JournalStore {
    JournalStore::in_memory().unwrap()
}

/// Decides what becomes of a publish: `Ok(true)` lands it, `Ok(false)` only says so.
type Judge = dyn Fn(Topic, &[Message]) -> Result<bool, BrokerError> + Send + Sync;

/// A log that takes its time, notes every publish and lets a test judge it.
pub(crate) struct Judging {
    pub(crate) inner: Embedded,
    pub(crate) latency: Duration,
    pub(crate) judge: Box<Judge>,
    /// The topics of all publishes, with how many messages each carried.
    pub(crate) published: Mutex<Vec<(Topic, usize)>>,
}

impl Judging {
    pub(crate) fn new(
        log: &Embedded,
        latency: Duration,
        judge: impl Fn(Topic, &[Message]) -> Result<bool, BrokerError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (inner, judge) = (log.clone(), Box::new(judge));
        Arc::new(Self { inner, latency, judge, published: Mutex::default() })
    }
}

impl std::fmt::Debug for Judging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judging").finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for Judging {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        self.published.lock().push((topic, messages.len()));
        tokio::time::sleep(self.latency).await;
        if (self.judge)(topic, &messages)? {
            self.inner.publish(topic, partition, messages).await?;
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.inner.subscribe(topic, start).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.inner.bounds(topic).await
    }
}
