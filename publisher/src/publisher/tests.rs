//! The whole publisher without HTTP, under paused time.

use broker_adapter::{Broker, EmbeddedConfig, Misbehaving, Misbehaviour, Start, Topic};
use daemon::Readiness;
use schemas::api::{Durable, InvalidationRequest, ProgressState};
use schemas::{Heartbeat, LogMessage, Priority, Site, wire};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
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
        let (health, metrics) = (Health::default(), Arc::default());
        let site = Site {
            name: "main".parse().unwrap(),
            hosts: ["www.example.com".parse().unwrap()].into(),
            regions: schemas::Audience::All,
        };
        let publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig::default(),
            name: "p1".parse().unwrap(),
            sites: Arc::new(Sites::new([site])),
            store,
            outlet,
            partitions: 1,
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
