//! Two publishers on one log elsewhere, each answering for what the other accepted. Paused time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use broker_adapter::{Embedded, EmbeddedConfig, Message, Misbehaving, Misbehaviour, Subscription};
use daemon::{Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::api::{
    Accepted, AgentState, InvalidationRequest, Progress, ProgressState, PublisherState,
};
use schemas::{
    Abilities, Ability, BoardMessage, CacheReport, CircuitState, LaneReport, LineReport,
    NumberRange, OutcomeCounts, Report, Site, Sites,
};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::handle::StatusError;
use crate::journal::JournalStore;
use crate::{Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup, Until};

fn clock() -> Clock {
    Clock::following("2026-01-01T00:00:00Z".parse().unwrap())
}

fn log(clock: Clock) -> Embedded {
    Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap()
}

struct Running {
    handle: PublisherHandle,
    metrics: Arc<Mutex<Registry>>,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(name: &str, clock: Clock, broker: Arc<dyn Broker>) -> Self {
        let store = JournalStore::in_memory().unwrap();
        Self::start_with(name, clock, broker, store).await
    }

    async fn start_with(
        name: &str,
        clock: Clock,
        broker: Arc<dyn Broker>,
        store: JournalStore,
    ) -> Self {
        let site = Site {
            name: "main".parse().unwrap(),
            hosts: ["www.example.com".parse().unwrap()].into(),
            regions: schemas::Audience::All,
        };
        let metrics: Arc<Mutex<Registry>> = Arc::default();
        let publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig::default(),
            name: name.parse().unwrap(),
            sites: Arc::new(Sites::new([site])),
            store,
            outlet: Outlet::Remote(broker),
            partitions: 1,
            retention: Duration::from_hours(1),
            clock,
            health: Health::default(),
            metrics: Arc::clone(&metrics),
        });
        let publisher = publisher.await.unwrap();
        let (handle, stop) = (publisher.handle(), Stop::new());
        let running = publisher.run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { handle, metrics, stop, task }
    }

    async fn accept(&self) -> Accepted {
        let request = InvalidationRequest { tags: vec!["t".to_owned()], ..Default::default() };
        self.handle.accept(&request).await.unwrap()
    }

    async fn progress(&self, id: Uuid) -> Progress {
        self.handle.progress(id).await.unwrap().unwrap()
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

/// Says that an agent has settled these numbers of these lines, and how its clock stands to that of `p1`.
async fn report(
    broker: &dyn Broker,
    clock: Clock,
    sequence: u64,
    lines: &BTreeMap<LineId, Number>,
) {
    report_holes(broker, clock, sequence, lines, &[]).await;
}

/// The same, with holes on each line.
async fn report_holes(
    broker: &dyn Broker,
    clock: Clock,
    sequence: u64,
    lines: &BTreeMap<LineId, Number>,
    holes: &[NumberRange],
) {
    let lines = lines.iter().map(|(line, last)| LineReport {
        line: *line,
        base: 0,
        applied: *last,
        applied_above: Vec::new(),
        finished: *last,
        finished_above: Vec::new(),
        exceptions: Vec::new(),
        holes: holes.to_vec(),
    });
    let lane = LaneReport {
        priority: Priority::Normal,
        life: 1,
        ready: true,
        circuit: CircuitState::Closed,
        last_error: None,
        lag: 0,
        oldest_unsettled_us: None,
        outcomes: OutcomeCounts::default(),
        lines: lines.collect(),
    };
    let all = Ability::Supported;
    let abilities = Abilities {
        url: all,
        url_any_query: all,
        prefix: all,
        tag: all,
        key: all,
        everything: all,
        soft: true,
        batch_selectors_max: 100,
        manner: "all".to_owned(),
    };
    let message = BoardMessage::Report(Box::new(Report {
        agent: "edge-1".parse().unwrap(),
        instance: Uuid::from_u128(7),
        sequence,
        region: "eu".parse().unwrap(),
        at: clock.now().checked_add(SignedDuration::from_secs(2)).unwrap(),
        caches: vec![CacheReport {
            cache: "varnish".parse().unwrap(),
            driver: "varnish".to_owned(),
            sites: None,
            abilities: Some(abilities),
            lanes: vec![lane],
        }],
        clocks: vec![schemas::ClockReading {
            publisher: "p1".parse().unwrap(),
            heard_after_us: 2_000_500,
        }],
    }));
    let (key, body) = (Some(message.key()), wire::encode_board(&message));
    let topic = Topic::board(message.board());
    broker.publish(topic, Partition(0), vec![Message { key, id: None, body }]).await.unwrap();
}

/// The last number of each line on the log of normal ones.
async fn heads(log: &Embedded) -> BTreeMap<LineId, Number> {
    let topic = Topic::log("normal");
    let end = log.bounds(topic).await.unwrap()[&Partition(0)].end.0;
    let mut reader = log.subscribe(topic, Start::Oldest).await.unwrap();
    let (mut heads, mut next) = (BTreeMap::new(), 0);
    while next < end {
        for delivery in reader.read(100).await.unwrap() {
            next = delivery.position.0 + 1;
            if let LogMessage::Frame(frame) = wire::decode_log(&delivery.body).unwrap() {
                heads.insert(frame.line, frame.numbers().last);
            }
        }
    }
    heads
}

#[tokio::test(start_paused = true)]
async fn each_publisher_answers_for_what_the_other_accepted() {
    let clock = clock();
    let log = log(clock);
    let one = Running::start("p1", clock, Arc::new(log.clone())).await;
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(30)).await;
    let (of_one, of_other) = (one.accept().await.id, other.accept().await.id);
    for id in [of_one, of_other] {
        for publisher in [&one, &other] {
            assert_eq!(publisher.progress(id).await.state, ProgressState::Published);
        }
    }
    let waiting = other.handle.wait(of_one, Until::Final, Duration::from_mins(1));
    let settled = async {
        sleep(Duration::from_secs(2)).await;
        report(&log, clock, 2, &heads(&log).await).await;
    };
    let (waited, ()) = tokio::join!(waiting, settled);
    let waited = waited.unwrap().unwrap();
    assert_eq!((waited.id, waited.state), (of_one, ProgressState::Final));
    assert_eq!(waited.clock, schemas::api::Clock::Two);
    assert_eq!(one.progress(of_one).await.clock, schemas::api::Clock::One);
    assert_eq!(one.progress(of_other).await.state, ProgressState::Final);
    one.end().await;
    other.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_journal_has_lost_is_found_on_the_log() {
    let clock = clock();
    let log = log(clock);
    let before = Running::start("p1", clock, Arc::new(log.clone())).await;
    let id = before.accept().await.id;
    before.end().await;
    sleep(Duration::from_hours(2)).await;
    let after = Running::start("p1", clock, Arc::new(log.clone())).await;
    report(&log, clock, 1, &heads(&log).await).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(after.progress(id).await.state, ProgressState::Final);
    after.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_nobody_gave_is_not_there() {
    let clock = clock();
    let log = log(clock);
    let publisher = Running::start("p1", clock, Arc::new(log)).await;
    publisher.accept().await;
    sleep(Duration::from_secs(3)).await;
    let at = |second: i64| {
        let second = u64::try_from(clock.now().as_second() + second).unwrap();
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, second, 0))
    };
    for unknown in [at(-1), at(0), at(-100_000), at(3_600), Uuid::from_u128(7), Uuid::nil()] {
        assert!(publisher.handle.progress(unknown).await.unwrap().is_none(), "{unknown}");
    }
    publisher.end().await;
}

/// A log that takes nothing and gives nothing.
#[derive(Debug)]
struct Mute(Embedded);

#[async_trait]
impl Broker for Mute {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        self.0.publish(topic, partition, messages).await
    }

    async fn subscribe(&self, _: Topic, _: Start) -> Result<Box<dyn Subscription>, BrokerError> {
        Ok(Box::new(Silence))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.0.bounds(topic).await
    }
}

#[derive(Debug)]
struct Silence;

#[async_trait]
impl Subscription for Silence {
    async fn read(&mut self, _: usize) -> Result<Vec<Delivery>, BrokerError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_read_the_log_in_time_does_not_say_that_it_is_not_there() {
    let clock = clock();
    let log = log(clock);
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    let id = other.accept().await.id;
    let mute = Running::start("p1", clock, Arc::new(Mute(log.clone()))).await;
    let before = Instant::now();
    let answer = mute.handle.progress(id).await;
    assert!(matches!(answer, Err(StatusError::Undecided { .. })), "{answer:?}");
    assert_eq!(before.elapsed(), SEARCH_WITHIN);
    let failing = Misbehaviour { read_fail: 1.0, ..Misbehaviour::default() };
    let failing = Arc::new(Misbehaving::new(Arc::new(log), failing, 1));
    let failing = Running::start("p3", clock, failing).await;
    let answer = failing.handle.progress(id).await;
    assert!(matches!(answer, Err(StatusError::Undecided { .. })), "{answer:?}");
    for publisher in [other, mute, failing] {
        publisher.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_retired_at_one_publisher_is_retired_at_all() {
    let clock = clock();
    let log = log(clock);
    let one = Running::start("p1", clock, Arc::new(log.clone())).await;
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    let third = Running::start("p3", clock, Arc::new(log.clone())).await;
    let lost = third.accept().await.id;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(2)).await;
    third.end().await;
    let offset = one.handle.agents()[0].clock.unwrap();
    assert!((offset.offset_seconds - 2.0).abs() <= offset.bound_seconds + 0.001, "{offset:?}");
    assert!(one.metrics().contains("purgebus_clock_offset_seconds 2.0"), "{}", one.metrics());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(other.handle.agents()[0].state, AgentState::Gone);
    let states = |publisher: &Running| -> Vec<PublisherState> {
        publisher.handle.publishers().iter().map(|shown| shown.state).collect()
    };
    let (live, silent) = (PublisherState::Live, PublisherState::Silent);
    assert_eq!(states(&one), [live, live, silent]);
    assert!(one.metrics().contains("purgebus_publishers{state=\"silent\"} 1"));
    one.handle.retire_agent(&"edge-1".parse().unwrap(), false).await.unwrap();
    let retired = one.handle.retire_publisher(&"p3".parse().unwrap(), false).await.unwrap();
    let highest = retired.lines.iter().map(|line| line.last).max();
    assert_eq!((retired.state, highest), (PublisherState::Retired, Some(1)));
    sleep(Duration::from_secs(2)).await;
    for publisher in [&one, &other] {
        assert_eq!(states(publisher), [live, live, PublisherState::Retired]);
        assert_eq!(publisher.handle.agents()[0].state, AgentState::Retired);
        assert_eq!(publisher.progress(lost).await.state, ProgressState::NoAgents);
    }
    assert!(one.metrics().contains("purgebus_agents{state=\"retired\"} 1"));
    let late = Running::start("p4", clock, Arc::new(log.clone())).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(late.handle.agents()[0].state, AgentState::Retired, "its last word is on the board");
    for publisher in [one, other, late] {
        publisher.end().await;
    }
}

/// What was said to be lost on the log of normal ones.
async fn lost(log: &Embedded) -> Vec<schemas::Lost> {
    let topic = Topic::log("normal");
    let end = log.bounds(topic).await.unwrap()[&Partition(0)].end.0;
    let mut reader = log.subscribe(topic, Start::Oldest).await.unwrap();
    let (mut lost, mut next) = (Vec::new(), 0);
    while next < end {
        for delivery in reader.read(100).await.unwrap() {
            next = delivery.position.0 + 1;
            if let LogMessage::Lost(said) = wire::decode_log(&delivery.body).unwrap() {
                lost.push(said);
            }
        }
    }
    lost
}

#[tokio::test(start_paused = true)]
async fn what_only_a_retired_publisher_could_send_again_is_said_to_be_lost() {
    let clock = clock();
    let log = log(clock);
    let gone = Running::start("p2", clock, Arc::new(log.clone())).await;
    gone.accept().await;
    sleep(Duration::from_secs(2)).await;
    gone.end().await;
    let left = Running::start("p1", clock, Arc::new(log.clone())).await;
    let line = *heads(&log).await.first_key_value().unwrap().0;
    let (nothing, hole) = (BTreeMap::from([(line, 0)]), NumberRange { first: 1, last: 1 });
    sleep(Duration::from_secs(20)).await;
    report_holes(&log, clock, 1, &nothing, &[hole]).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(lost(&log).await, [], "its own publisher may come back");
    left.handle.retire_publisher(&"p2".parse().unwrap(), false).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    report_holes(&log, clock, 2, &nothing, &[hole]).await;
    sleep(Duration::from_secs(5)).await;
    let said = lost(&log).await;
    assert_eq!(
        said.iter().map(|lost| (lost.line, lost.numbers)).collect::<Vec<_>>(),
        [(line, hole)]
    );
    left.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_retirement_that_the_board_does_not_take_retires_nobody() {
    let clock = clock();
    let log = log(clock);
    let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), Misbehaviour::default(), 1));
    let publisher = Running::start("p1", clock, broker.clone()).await;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(20)).await;
    broker.set(Misbehaviour { fail: 1.0, ..Misbehaviour::default() });
    let refused = publisher.handle.retire_agent(&"edge-1".parse().unwrap(), false).await;
    assert!(matches!(refused, Err(crate::tracker::RetireError::Unavailable(_))), "{refused:?}");
    assert_eq!(publisher.handle.agents()[0].state, AgentState::Gone);
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_long_silent_is_gone_since_its_last_report_also_for_a_new_publisher() {
    let clock = clock();
    let log = log(clock);
    report(&log, clock, 1, &BTreeMap::new()).await;
    let reported_at = clock.now();
    sleep(Duration::from_hours(1)).await;
    let publisher = Running::start("p1", clock, Arc::new(log.clone())).await;
    sleep(Duration::from_secs(20)).await;
    let agent = publisher.handle.agents().remove(0);
    assert_eq!(agent.state, AgentState::Gone);
    let off = agent.since.unwrap().duration_since(reported_at).abs();
    assert!(off < SignedDuration::from_secs(1), "{off} off");
    publisher.end().await;
}
