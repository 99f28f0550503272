//! The whole publisher without HTTP, under paused time.

use std::sync::atomic::{AtomicBool, Ordering};

use broker_adapter::{
    Broker, BrokerError, EmbeddedConfig, Misbehaving, Misbehaviour, Start, Topic,
};
use daemon::Readiness;
use schemas::api::{Durable, InvalidationRequest, ProgressState};
use schemas::{Heartbeat, LogMessage, PUBLISHERS_BOARD, Priority, Site, wire};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::forwarder::{self, tests::bus::Judging};
use crate::handle::AcceptError;
use crate::tracker::Until;

struct Running {
    handle: PublisherHandle,
    health: Health,
    metrics: Arc<Mutex<Registry>>,
    log: Embedded,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Running {
    /// With its log in the journal's store, or before a broker that `misbehaves`.
    async fn start(misbehaves: Option<Misbehaviour>) -> Self {
        let clock = Clock::following("2026-01-01T00:00:00Z".parse().unwrap());
        let store = JournalStore::in_memory().unwrap();
        let config = EmbeddedConfig::default();
        let log = Embedded::open(store.database(), config, move || clock.now()).unwrap();
        let outlet = match misbehaves {
            None => Outlet::Shared(log.clone()),
            Some(misbehaviour) => {
                let inner = Arc::new(log.clone());
                Outlet::Remote(Arc::new(Misbehaving::new(inner, misbehaviour, 1)))
            }
        };
        Self::on(outlet, store, log, clock, PublisherConfig::default()).await
    }

    /// Before a broker of its own, which others hold too.
    async fn before(broker: &Arc<Misbehaving>, log: Embedded, config: PublisherConfig) -> Self {
        let clock = Clock::following("2026-01-01T00:00:00Z".parse().unwrap());
        let store = JournalStore::in_memory().unwrap();
        let broker: Arc<dyn Broker> = Arc::<Misbehaving>::clone(broker);
        Self::on(Outlet::Remote(broker), store, log, clock, config).await
    }

    async fn on(
        outlet: Outlet,
        store: JournalStore,
        log: Embedded,
        clock: Clock,
        config: PublisherConfig,
    ) -> Self {
        Self::on_partitions(1, outlet, store, log, clock, config).await
    }

    async fn on_partitions(
        partitions: u32,
        outlet: Outlet,
        store: JournalStore,
        log: Embedded,
        clock: Clock,
        config: PublisherConfig,
    ) -> Self {
        let (health, metrics) = (Health::default(), Arc::default());
        let site = Site {
            name: "main".parse().unwrap(),
            hosts: ["www.example.com".parse().unwrap()].into(),
            regions: schemas::Audience::All,
        };
        let publisher = Publisher::open(PublisherSetup {
            config,
            name: "p1".parse().unwrap(),
            sites: Arc::new(Sites::new([site])),
            store,
            outlet,
            trust: Trust::Anyone,
            partitions,
            retention: Duration::from_hours(1),
            clock,
            health: health.clone(),
            metrics: Arc::clone(&metrics),
        });
        let publisher = publisher.await.unwrap();
        let (handle, stop) = (publisher.handle(), Stop::new());
        let running = publisher.run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { handle, health, metrics, log, stop, task }
    }

    async fn heartbeats(&self, priority: Priority) -> Vec<Heartbeat> {
        let topic = Topic::log(priority.as_str());
        let bounds = self.log.bounds(topic).await.unwrap();
        let mut left = bounds.values().map(|bounds| bounds.end.0).sum::<u64>();
        let mut heartbeats = Vec::new();
        let mut reader = self.log.subscribe(topic, Start::Oldest).await.unwrap();
        while left > 0 {
            for delivery in reader.read(1_000).await.unwrap() {
                left -= 1;
                if let LogMessage::Heartbeat(beat) = wire::decode_log(&delivery.body).unwrap() {
                    heartbeats.push(beat);
                }
            }
        }
        heartbeats
    }

    fn readiness(&self) -> Readiness {
        self.health.conditions().pop().unwrap().1
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics.lock()).unwrap();
        text
    }

    /// A gauge.
    fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let mut rows = metrics.lines().filter_map(|row| row.split_once(' '));
        rows.find(|(of, _)| *of == name).expect("a metric of that name").1.parse().unwrap()
    }

    async fn end(self) {
        self.stop.request();
        self.task.await.unwrap();
    }
}

fn request() -> InvalidationRequest {
    InvalidationRequest { tags: vec!["t".to_owned()], ..InvalidationRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_each_second_tells_the_last_numbers_of_every_topic() {
    let publisher = Running::start(None).await;
    sleep(Duration::from_millis(2_500)).await;
    for priority in Priority::ALL {
        let beats = publisher.heartbeats(priority).await;
        assert_eq!(beats.len(), 3);
        assert!(beats.iter().all(|beat| beat.lines.is_empty() && beat.publisher.as_str() == "p1"));
    }
    publisher.handle.accept(&request()).await.unwrap();
    publisher.handle.accept(&request()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let last = publisher.heartbeats(Priority::Normal).await.pop().unwrap();
    assert_eq!(last.lines.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [2]);
    let last = publisher.heartbeats(Priority::Critical).await.pop().unwrap();
    assert_eq!(last.lines, [], "nothing was ever said there");
    assert_eq!(publisher.readiness(), Readiness::Ready);
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_it_still_accepts_and_says_so() {
    let deaf = Misbehaviour { fail: 1.0, ..Misbehaviour::default() };
    let publisher = Running::start(Some(deaf)).await;
    let accepted = publisher.handle.accept(&request()).await.unwrap();
    assert_eq!(accepted.durable, Durable::Journal);
    sleep(Duration::from_secs(2)).await;
    let Readiness::Degraded(why) = publisher.readiness() else { panic!("not degraded") };
    assert!(why.contains("1 invalidations wait in the journal"), "{why}");
    assert!(publisher.metrics().contains("purgebus_journal_unforwarded 1"));
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_cannot_take_is_refused_with_the_reason_until_the_broker_is_back() {
    let bounds = [
        (
            PublisherConfig { journal_age: Duration::from_mins(5), ..PublisherConfig::default() },
            ["longer than journal_age", "the oldest since 2026-01-01T00:00:00Z: too long"],
        ),
        (
            PublisherConfig {
                journal_bytes: bytesize::ByteSize::kib(70),
                ..PublisherConfig::default()
            },
            ["the journal is full", "the journal is full of what the broker does not have"],
        ),
    ];
    for (config, [refusal, readiness]) in bounds {
        let log = forwarder::tests::bus::log();
        let deaf = Misbehaviour { fail: 1.0, ..Misbehaviour::default() };
        let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), deaf, 1));
        let publisher = Running::before(&broker, log, config).await;
        let mut accepted = 0;
        let refused = loop {
            let request = InvalidationRequest { reason: Some("r".repeat(400)), ..request() };
            match publisher.handle.accept(&request).await {
                Ok(taken) => assert_eq!(taken.durable, Durable::Journal),
                Err(refused) => break refused,
            }
            accepted += 1;
        };
        sleep(Duration::from_secs(3)).await;
        assert!(accepted > 20 && refused.to_string().contains(refusal), "{accepted}: {refused}");
        let Readiness::NotReady(why) = publisher.readiness() else { panic!("it is ready") };
        assert!(why.contains(readiness) && why.contains("the broker takes nothing"), "{why}");
        assert!(why.contains(&format!("{accepted} invalidations wait in the journal")), "{why}");
        let age = publisher.metric("purgebus_journal_oldest_unforwarded_seconds");
        assert!(age >= f64::from(accepted) - 0.5, "{age} s, a second for each ack");
        broker.set(Misbehaviour::default());
        sleep(Duration::from_secs(10)).await;
        assert_eq!(publisher.readiness(), Readiness::Ready);
        assert_eq!(publisher.handle.accept(&request()).await.unwrap().durable, Durable::Broker);
        assert!(publisher.metrics().contains("purgebus_journal_oldest_unforwarded_seconds 0.0"));
        publisher.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_takes_nothing_holds_up_frames_for_a_moment_only_and_is_shown() {
    let log = forwarder::tests::bus::log();
    let deaf_board = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&deaf_board);
    let broker = Judging::new(&log, Duration::ZERO, move |topic, _| {
        let refused = topic == Topic::board(PUBLISHERS_BOARD) && told.load(Ordering::Relaxed);
        if refused { Err(BrokerError::Refused("not yours".into())) } else { Ok(true) }
    });
    let clock = Clock::following("2026-01-01T00:00:00Z".parse().unwrap());
    let store = JournalStore::in_memory().unwrap();
    let outlet = Outlet::Remote(broker);
    let publisher = Running::on(outlet, store, log, clock, PublisherConfig::default()).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(publisher.handle.accept(&request()).await.unwrap().durable, Durable::Journal);
    sleep(Duration::from_secs(12)).await;
    let later = publisher.handle.accept(&request()).await.unwrap();
    assert_eq!(later.durable, Durable::Broker, "{:?}", begun.elapsed());
    let Readiness::Degraded(why) = publisher.readiness() else { panic!("it does not say so") };
    assert!(why.contains("publishers board") && why.contains("not yours"), "{why}");
    deaf_board.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(publisher.readiness(), Readiness::Ready);
    let board = Topic::board(PUBLISHERS_BOARD);
    let bounds = publisher.log.bounds(board).await.unwrap();
    assert_eq!(bounds.len(), 1, "it is said at last");
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn every_partition_has_its_heartbeats_from_the_start() {
    let log = forwarder::tests::bus::log();
    let clock = Clock::following("2026-01-01T00:00:00Z".parse().unwrap());
    let (store, outlet) =
        (JournalStore::in_memory().unwrap(), Outlet::Remote(Arc::new(log.clone())));
    let setup = Running::on_partitions(3, outlet, store, log, clock, PublisherConfig::default());
    let publisher = setup.await;
    sleep(Duration::from_millis(2_500)).await;
    for priority in Priority::ALL {
        let bounds = publisher.log.bounds(Topic::log(priority.as_str())).await.unwrap();
        assert_eq!(bounds.values().map(|bounds| bounds.end.0).collect::<Vec<_>>(), [3, 3, 3]);
    }
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_when_the_time_is_over_or_the_publisher_stops() {
    let publisher = Running::start(None).await;
    let id = publisher.handle.accept(&request()).await.unwrap().id;
    let wait = |patience| publisher.handle.wait(id, Until::Final, patience);
    let before = tokio::time::Instant::now();
    let progress = wait(Duration::from_secs(7)).await.unwrap().unwrap();
    assert!(matches!(progress.state, ProgressState::Published | ProgressState::NoAgents));
    assert_eq!(before.elapsed().as_secs(), 7);
    let stopped = async {
        sleep(Duration::from_secs(3)).await;
        publisher.stop.request();
    };
    let (progress, ()) = tokio::join!(wait(Duration::from_secs(100)), stopped);
    assert!(progress.unwrap().is_some());
    assert_eq!(before.elapsed().as_secs(), 10);
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_has_stopped_refuses_and_still_finds() {
    let publisher = Running::start(None).await;
    let handle = publisher.handle.clone();
    let id = handle.accept(&request()).await.unwrap().id;
    publisher.end().await;
    let late = handle.accept(&request()).await;
    assert!(matches!(late, Err(AcceptError::Unavailable(_))), "{late:?}");
    assert!(handle.progress(id).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_shared_log_gets_every_frame_once() {
    let publisher = Running::start(None).await;
    for _ in 0..50 {
        publisher.handle.accept(&request()).await.unwrap();
    }
    sleep(Duration::from_millis(500)).await;
    let bounds = publisher.log.bounds(Topic::log("normal")).await.unwrap();
    let heartbeats = publisher.heartbeats(Priority::Normal).await.len() as u64;
    let messages = bounds.values().map(|bounds| bounds.end.0).sum::<u64>();
    assert_eq!(messages - heartbeats, 50);
    publisher.end().await;
}
