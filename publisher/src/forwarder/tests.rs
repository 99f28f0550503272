//! Forwarding and repairs over a log that lies elsewhere and misbehaves, under paused time.

use std::collections::BTreeSet;

use async_trait::async_trait;
use broker_adapter::{
    Bounds, BrokerError, Embedded, EmbeddedConfig, Misbehaving, Misbehaviour, Start, Subscription,
};
use bytes::Bytes;
use daemon::{Clock, Crew};
use parking_lot::Mutex;
use schemas::api::Durable;
use schemas::{
    BoardMessage, CacheReport, CircuitState, Invalidation, LaneReport, LineReport, LogMessage,
    NumberRange, OutcomeCounts, Place, REPORTS_BOARD, Report, wire,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::journal::{JournalSetup, JournalStore, Limits};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::repair::Repairer;

/// A journal and its forwarders before a broker.
struct Bus {
    journal: Journal,
    log: Embedded,
    clock: Clock,
    stop: Stop,
    running: JoinHandle<()>,
}

impl Bus {
    fn start(store: JournalStore, log: &Embedded, broker: Arc<dyn Broker>) -> Self {
        let clock = clock();
        let (journal, writer) = JournalSetup {
            store,
            publisher: "p1".parse().unwrap(),
            outlet: Outlet::Remote(Arc::clone(&broker)),
            limits: Limits { bytes: 1 << 30, retention: Duration::from_hours(1) },
            ack_wait: Duration::from_secs(1),
            clock,
            on_accepted: Box::new(|_, _| {}),
        }
        .open()
        .unwrap();
        let stop = Stop::new();
        let mut crew = Crew::new(stop.clone());
        crew.spawn("journal", writer.run(crew.stop()));
        for priority in Priority::ALL {
            let (journal, broker) = (journal.clone(), Arc::clone(&broker));
            crew.spawn("forwarder", Forwarder { journal, broker, priority }.run(crew.stop()));
        }
        let repairer = Repairer::new(journal.clone(), broker, Metrics::default());
        crew.spawn("repairs", repairer.run(crew.stop()));
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let running = tokio::spawn(async move { crew.run(Duration::from_secs(5)).await.unwrap() });
        Self { journal, log: log.clone(), clock, stop, running }
    }

    async fn accept(&self) -> (Place, Durable) {
        let receipt = self.journal.accept(self.invalidation(), None).await.unwrap();
        (receipt.place, receipt.durable)
    }

    fn invalidation(&self) -> Invalidation {
        Invalidation {
            id: Uuid::new_v4(),
            site: "main".parse().unwrap(),
            selectors: vec![schemas::Selector::Everything],
            mode: schemas::Mode::Hard,
            priority: Priority::Normal,
            audience: schemas::Audience::All,
            accepted_at: self.clock.now(),
            expires_in: None,
            after: None,
            reason: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    /// The frames on the log, as they landed.
    async fn landed(&self) -> Vec<Bytes> {
        let topic = Topic::log("normal");
        let bounds = self.log.bounds(topic).await.unwrap();
        let mut left = bounds.values().map(|bounds| bounds.end.0).sum::<u64>();
        let mut reader = self.log.subscribe(topic, Start::Oldest).await.unwrap();
        let mut landed = Vec::new();
        while left > 0 {
            let read = reader.read(1_000).await.unwrap();
            left -= read.len() as u64;
            landed.extend(read.into_iter().map(|delivery| delivery.body));
        }
        landed
    }

    async fn landed_places(&self) -> Vec<Place> {
        let landed = self.landed().await;
        landed.iter().flat_map(|bytes| places(bytes)).collect()
    }

    /// Waits until the broker has everything.
    async fn forwarded(&self) {
        let mut reach = self.journal.watch(Priority::Normal);
        let everything = reach.wait_for(|reach| reach.forwarded == reach.end);
        timeout(Duration::from_mins(10), everything).await.expect("all is forwarded").unwrap();
    }

    async fn end(self) {
        self.stop.request();
        self.running.await.unwrap();
    }
}

fn places(frame: &[u8]) -> Vec<Place> {
    let LogMessage::Frame(frame) = wire::decode_log(frame).unwrap() else { panic!("no frame") };
    let numbers = frame.numbers();
    (numbers.first..=numbers.last).map(|number| Place { line: frame.line, number }).collect()
}

fn clock() -> Clock {
    Clock::following("2026-01-01T00:00:00Z".parse().unwrap())
}

fn log() -> Embedded {
    let clock = clock();
    Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap()
}

fn store() -> JournalStore {
    JournalStore::in_memory().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_sound_broker_gets_every_frame_once_and_in_order() {
    let log = log();
    let bus = Bus::start(store(), &log, Arc::new(log.clone()));
    let mut places = Vec::new();
    for _ in 0..100 {
        let (place, durable) = bus.accept().await;
        assert_eq!(durable, Durable::Broker);
        places.push(place);
    }
    assert_eq!(bus.landed_places().await, places);
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_misbehaving_broker_gets_every_frame_at_last_and_broker_means_it_has_it() {
    for seed in 0..4 {
        let log = log();
        let trouble = Misbehaviour {
            fail: 0.3,
            time_out: 0.2,
            delay: 0.3,
            delay_max: Duration::from_secs(15),
            ..Misbehaviour::default()
        };
        let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), trouble, seed));
        let bus = Bus::start(store(), &log, broker);
        let mut all = BTreeSet::new();
        for _ in 0..40 {
            let (place, durable) = bus.accept().await;
            if durable == Durable::Broker {
                assert!(bus.landed_places().await.contains(&place), "seed {seed}: {place:?}");
            }
            all.insert(place);
        }
        bus.forwarded().await;
        let landed: BTreeSet<_> = bus.landed_places().await.into_iter().collect();
        assert_eq!(landed, all, "seed {seed}");
        bus.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_did_not_take_is_forwarded_in_the_next_life() {
    let (log, store) = (log(), store());
    let deaf = Misbehaviour { fail: 1.0, ..Misbehaviour::default() };
    let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), deaf, 1));
    let bus = Bus::start(store.clone(), &log, broker);
    let (place, durable) = bus.accept().await;
    assert_eq!(durable, Durable::Journal);
    bus.end().await;
    let bus = Bus::start(store, &log, Arc::new(log.clone()));
    bus.forwarded().await;
    assert_eq!(bus.landed_places().await, [place]);
    bus.end().await;
}

/// Notes the order in which topics are published to.
#[derive(Debug)]
struct Noting {
    inner: Embedded,
    topics: Mutex<Vec<Topic>>,
}

#[async_trait]
impl Broker for Noting {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        self.topics.lock().push(topic);
        self.inner.publish(topic, partition, messages).await
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

#[tokio::test(start_paused = true)]
async fn an_incarnation_is_announced_before_its_first_frame_and_once() {
    let log = log();
    let noting = Arc::new(Noting { inner: log.clone(), topics: Mutex::default() });
    let bus = Bus::start(store(), &log, noting.clone());
    bus.accept().await;
    bus.accept().await;
    let frames = Topic::log("normal");
    assert_eq!(*noting.topics.lock(), [Topic::board(PUBLISHERS_BOARD), frames, frames]);
    bus.end().await;
}

/// A report that a lane lacks `holes`.
async fn report(bus: &Bus, sequence: u64, line: LineId, holes: Vec<NumberRange>) {
    let line = LineReport {
        line,
        base: 0,
        applied: 0,
        applied_above: Vec::new(),
        finished: 0,
        finished_above: Vec::new(),
        exceptions: Vec::new(),
        holes,
    };
    let reported = LaneReport {
        priority: Priority::Normal,
        life: 1,
        ready: true,
        circuit: CircuitState::Closed,
        last_error: None,
        lag: 1,
        oldest_unsettled_us: None,
        outcomes: OutcomeCounts::default(),
        lines: vec![line],
    };
    let report = Report {
        agent: "edge-1".parse().unwrap(),
        instance: Uuid::from_u128(1),
        sequence,
        region: "eu".parse().unwrap(),
        at: bus.clock.now(),
        caches: vec![CacheReport {
            cache: "varnish".parse().unwrap(),
            driver: "varnish".to_owned(),
            sites: None,
            abilities: None,
            lanes: vec![reported],
        }],
        clocks: Vec::new(),
    };
    let body = wire::encode_board(&BoardMessage::Report(Box::new(report)));
    let message = Message { key: Some("edge-1".to_owned()), id: None, body };
    let board = Topic::board(REPORTS_BOARD);
    bus.log.publish(board, Partition::default(), vec![message]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_byte_for_byte_and_not_again_for_ten_seconds() {
    let log = log();
    let bus = Bus::start(store(), &log, Arc::new(log.clone()));
    let mut line = LineId::from_bytes([0; 16]);
    for _ in 0..5 {
        line = bus.accept().await.0.line;
    }
    let before = bus.landed().await;
    let hole = vec![NumberRange { first: 2, last: 3 }];
    report(&bus, 1, line, hole.clone()).await;
    report(&bus, 2, line, hole.clone()).await;
    report(&bus, 3, LineId::random(), hole.clone()).await;
    let after = bus.landed().await;
    assert_eq!(after[5..], before[1..3], "sent again once, and only what is missing");
    sleep(Duration::from_secs(10)).await;
    report(&bus, 4, line, hole).await;
    assert_eq!(bus.landed().await.len(), 9, "it is still missing");
    bus.end().await;
}
