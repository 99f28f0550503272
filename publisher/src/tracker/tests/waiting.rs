//! The tracker at work: a real board, a real database file, waiters.

use std::time::Duration;

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Message, Partition, Topic};
use daemon::{Clock, Health, Stop};
use redb::Database;
use schemas::wire::encode_board;
use schemas::{BoardMessage, REPORTS_BOARD};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::{TrackerHandle, Tracking, TrackingSetup, Until};
use super::*;

async fn open(database: Arc<Database>, broker: impl Broker, clock: Clock) -> Tracking {
    let setup = TrackingSetup {
        database,
        broker: Arc::new(broker),
        name: "p1".parse().unwrap(),
        sites: sites(),
        clock,
        others_publish: false,
        trail: crate::audit::Trail::default(),
        condition: Health::default().condition("tracker"),
    };
    Tracking::open(setup).await.unwrap()
}

/// A publisher's tracker with its board, running.
struct Publisher {
    broker: Embedded,
    handle: TrackerHandle,
    metrics: super::super::metrics::TrackerMetrics,
    stop: Stop,
    tasks: JoinSet<Result<(), daemon::BoxError>>,
}

impl Publisher {
    async fn start(file: &std::path::Path) -> Self {
        let database = Arc::new(Database::create(file).unwrap());
        let clock = Clock::system();
        let config = EmbeddedConfig::default();
        let broker = Embedded::open(Arc::clone(&database), config, move || clock.now()).unwrap();
        let tracking = open(database, broker.clone(), clock).await;
        let (handle, metrics) = (tracking.handle(), tracking.metrics());
        let (stop, mut tasks) = (Stop::new(), JoinSet::new());
        tasks.spawn(tracking.run(stop.clone()));
        Self { broker, handle, metrics, stop, tasks }
    }

    async fn stop(mut self) {
        self.stop.request();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
    }

    async fn board(&self, key: &str, body: bytes::Bytes) {
        let message = Message { key: Some(key.to_owned()), id: None, body };
        let topic = Topic::board(REPORTS_BOARD);
        self.broker.publish(topic, Partition(0), vec![message]).await.unwrap();
    }

    async fn hear(&self, agent: &mut Agent) {
        let report = BoardMessage::Report(Box::new(agent.next()));
        self.board(agent.report.agent.as_str(), encode_board(&report)).await;
    }

    async fn wait(&self, number: Number, until: Until, seconds: u64) -> ProgressState {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        self.handle.wait(place(number), &now(), until, deadline).await.state
    }
}

fn now() -> Invalidation {
    Invalidation { accepted_at: Clock::system().now(), ..invalidation() }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_wakes_when_the_last_report_is_in() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let publisher = Publisher::start(file.path()).await;
    publisher.handle.accepted(place(1), &now());
    let mut agent = Agent::new("one", "eu");
    let began = Instant::now();
    let reports = async {
        publisher.hear(&mut agent).await;
        publisher.hear(agent.floors(1, 0)).await;
    };
    let (applied, ()) = tokio::join!(publisher.wait(1, Until::Applied, 20), reports);
    assert_eq!(applied, ProgressState::Applied);
    let (finished, ()) =
        tokio::join!(publisher.wait(1, Until::Final, 20), publisher.hear(agent.floors(1, 1)));
    assert_eq!(finished, ProgressState::Final);
    assert!(began.elapsed() < Duration::from_millis(500), "it did not wake, it looked again");
    publisher.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_what_there_is_at_the_deadline_and_what_is_blocked_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let publisher = Publisher::start(file.path()).await;
    let mut agent = Agent::new("one", "eu");
    agent.floors(1, 1).line().exceptions = vec![(range(1, 1), schemas::Outcome::Refused)];
    publisher.hear(&mut agent).await;
    let began = Instant::now();
    assert_eq!(publisher.wait(1, Until::Applied, 60).await, ProgressState::Blocked);
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for what will not come");
    let began = Instant::now();
    assert_eq!(publisher.wait(2, Until::Applied, 5).await, ProgressState::Published);
    assert_eq!(began.elapsed().as_secs(), 5);
    publisher.stop().await;
}

#[tokio::test]
async fn a_restarted_publisher_knows_its_agents_before_it_hears_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let publisher = Publisher::start(file.path()).await;
    publisher.handle.accepted(place(1), &now());
    publisher.hear(Agent::new("one", "eu").floors(1, 1)).await;
    publisher.wait(1, Until::Final, 20).await;
    publisher.stop().await;
    let database = Arc::new(Database::create(file.path()).unwrap());
    let unheard =
        broker_adapter::Embedded::in_memory(EmbeddedConfig::default(), Timestamp::default);
    let tracking = open(database, unheard.unwrap(), Clock::system()).await;
    let progress = tracking.handle().progress(place(1), &now());
    assert_eq!(progress.state, ProgressState::Final);
    assert!(progress.applied_at.is_some());
}

#[tokio::test]
async fn what_is_not_understood_is_counted_and_passed_over() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let publisher = Publisher::start(file.path()).await;
    publisher.board("noise", bytes::Bytes::from_static(b"not ours")).await;
    publisher.hear(Agent::new("one", "eu").floors(1, 1)).await;
    assert_eq!(publisher.wait(1, Until::Final, 20).await, ProgressState::Final);
    assert_eq!(publisher.metrics.parked.get(), 1);
    assert_eq!(publisher.handle.caches().len(), 1);
    assert_eq!(publisher.handle.regions()[0].agents, 1);
    assert_eq!(publisher.handle.dry_run(&now()).len(), 1);
    publisher.stop().await;
}
