//! Replays of a publisher that crashes, of a log that lets go, and of a log that strangers write on. Paused time.

use std::collections::{BTreeMap, BTreeSet};

use broker_adapter::{
    Embedded, EmbeddedConfig, Message, Misbehaving, Misbehaviour, Partition, Start, Topic,
};
use daemon::Health;
use futures::future::join_all;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use schemas::api::InvalidationRequest;
use schemas::{
    Audience, Frame, Invalidation, LineId, LogMessage, Priority, Selector, SigningKey, Site, wire,
};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::journal::JournalStore;
use crate::{Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup};

const TOPIC: Topic = Topic::log("normal");

fn clock() -> Clock {
    Clock::following("2026-01-01T00:00:00Z".parse().unwrap())
}

/// One life of a publisher.
struct Life {
    handle: PublisherHandle,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Life {
    async fn begin(clock: Clock, store: &JournalStore, outlet: Outlet, trust: Trust) -> Self {
        let site = Site {
            name: "main".parse().unwrap(),
            hosts: ["www.example.com".parse().unwrap()].into(),
            regions: Audience::All,
        };
        let publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig::default(),
            name: "p1".parse().unwrap(),
            sites: Arc::new(Sites::new([site])),
            store: store.clone(),
            outlet,
            trust,
            partitions: 1,
            retention: Duration::from_hours(1),
            clock,
            health: Health::default(),
            metrics: Arc::new(Mutex::new(Registry::default())),
        });
        let publisher = publisher.await.unwrap();
        let (handle, stop) = (publisher.handle(), Stop::new());
        let running = publisher.run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self { handle, stop, task }
    }

    async fn accept(&self, tag: &str) -> Uuid {
        let request = InvalidationRequest { tags: vec![tag.to_owned()], ..Default::default() };
        self.handle.accept(&request).await.unwrap().id
    }

    async fn replay(&self, since: &str, rate: u32) -> Result<Replay, NotReplayed> {
        let request = request(since, rate);
        self.handle.replays().begin(&Caller::ANYONE, &request, Uuid::new_v4()).await
    }

    fn replay_now(&self, id: Uuid) -> Replay {
        self.handle.replays().get(&Caller::ANYONE, id).unwrap()
    }

    async fn done(&self, id: Uuid) -> Replay {
        for _ in 0..100_000 {
            let replay = self.replay_now(id);
            if replay.state != ReplayState::Running {
                return replay;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end: {:?}", self.replay_now(id));
    }

    /// As SIGKILL does.
    async fn crash(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }

    async fn end(self) {
        self.stop.request();
        self.task.await.unwrap();
    }
}

fn request(since: &str, rate: u32) -> ReplayRequest {
    ReplayRequest { since: since.to_owned(), rate: Some(rate), ..ReplayRequest::default() }
}

fn shared_log(clock: Clock, store: &JournalStore, config: EmbeddedConfig) -> Embedded {
    Embedded::open(store.database(), config, move || clock.now()).unwrap()
}

/// What stands on the log of normal invalidations.
async fn logged(log: &Embedded) -> Vec<Invalidation> {
    let end = log.bounds(TOPIC).await.unwrap()[&Partition(0)].end.0;
    let mut reader = log.subscribe(TOPIC, Start::Oldest).await.unwrap();
    let (mut logged, mut next) = (Vec::new(), 0);
    while next < end {
        for delivery in reader.read(100).await.unwrap() {
            next = delivery.position.0 + 1;
            if let LogMessage::Frame(frame) = wire::decode_log(&delivery.body).unwrap() {
                logged.extend(frame.invalidations);
            }
        }
    }
    logged
}

/// How often each was replayed.
async fn replays(log: &Embedded) -> BTreeMap<Uuid, usize> {
    let mut replays = BTreeMap::new();
    for origin in logged(log).await.into_iter().filter_map(|it| it.origin) {
        *replays.entry(origin).or_default() += 1;
    }
    replays
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_crashes_or_stops_goes_on_and_leaves_nothing_out() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let log = shared_log(clock, &store, EmbeddedConfig::default());
    let begin = || {
        let outlet = Outlet::Shared(log.clone());
        Life::begin(clock, &store, outlet, Trust::Anyone)
    };
    let mut life = begin().await;
    // So few that the log's end comes with the first that are read, and many in one message.
    let tags: Vec<String> = (0..60).map(|number| format!("t{number}")).collect();
    let firsts = join_all(tags.iter().map(|tag| life.accept(tag))).await;
    let id = life.replay("1h", 5).await.unwrap().id;
    for crash in [true, false, true] {
        sleep(Duration::from_millis(2_530)).await;
        assert_eq!(life.replay_now(id).state, ReplayState::Running);
        if crash {
            life.crash().await;
        } else {
            life.end().await;
        }
        life = begin().await;
    }
    let done = life.done(id).await;
    assert_eq!((done.state, done.error), (ReplayState::Done, None));
    life.end().await;
    let replays = replays(&log).await;
    let expected: BTreeSet<Uuid> = firsts.into_iter().collect();
    assert_eq!(replays.keys().copied().collect::<BTreeSet<_>>(), expected, "none is left out");
    let repeated: usize = replays.values().map(|times| times - 1).sum();
    assert!(repeated <= 2 * 7, "a crash repeats no more than a second of it: {repeated}");
    assert_eq!(done.counts.matched, 60, "each counts once");
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_let_go_of_is_refused_with_the_time_since_when_it_holds() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let config = EmbeddedConfig { retention: Duration::from_mins(10), ..EmbeddedConfig::default() };
    let log = shared_log(clock, &store, config);
    let outlet = Outlet::Shared(log.clone());
    let life = Life::begin(clock, &store, outlet, Trust::Anyone).await;
    life.accept("old").await;
    let whole = life.replay("1h", 100).await.unwrap();
    assert_eq!(life.done(whole.id).await.published, 1, "before its beginning nothing is missing");
    sleep(Duration::from_mins(12)).await;
    life.accept("new").await;
    log.retain(clock.now()).await.unwrap();
    let Err(NotReplayed::Invalid(mistakes)) = life.replay("1h", 100).await else {
        panic!("it is taken")
    };
    assert_eq!(mistakes[0].pointer, "/since");
    let (_, since) = mistakes[0].detail.split_once("since ").unwrap();
    let since: Timestamp = since.split_once(':').and(since.get(..20)).unwrap().parse().unwrap();
    let age = clock.now().duration_since(since);
    assert!((500..=601).contains(&age.as_secs()), "{}", mistakes[0].detail);
    let since = (since + Duration::from_secs(1)).to_string();
    let held = life.replay(&since, 100).await.unwrap();
    assert_eq!(life.done(held.id).await.published, 1, "what it holds");
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_the_log_overtakes_fails_with_a_word_of_it() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let config = EmbeddedConfig { retention: Duration::from_mins(10), ..EmbeddedConfig::default() };
    let log = shared_log(clock, &store, config);
    let begin = || {
        let outlet = Outlet::Shared(log.clone());
        Life::begin(clock, &store, outlet, Trust::Anyone)
    };
    let life = begin().await;
    for number in 0..20 {
        life.accept(&format!("t{number}")).await;
    }
    let id = life.replay("1h", 1).await.unwrap().id;
    sleep(Duration::from_secs(3)).await;
    life.handle.replays().cancel(&Caller::ANYONE, id).await.unwrap();
    life.crash().await;
    let life = begin().await;
    assert_eq!(life.replay_now(id).state, ReplayState::Cancelled, "it is stored when it is told");
    sleep(Duration::from_mins(12)).await;
    log.retain(clock.now()).await.unwrap();
    life.handle.replays().resume(&Caller::ANYONE, id).await.unwrap();
    let failed = life.done(id).await;
    assert_eq!(failed.state, ReplayState::Failed);
    assert!(failed.error.unwrap().contains("no longer holds"));
    life.end().await;
}

/// A replay signs what it publishes: what nobody believes must not become what everybody does.
#[tokio::test(start_paused = true)]
async fn what_a_stranger_has_put_on_the_log_is_counted_and_not_published_again() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let [ours, other, stranger] = [(); 3].map(|()| SigningKey::generate().unwrap());
    let own = ours.public().to_string();
    let both = format!("{own}\n{}\n", other.public());
    let log = Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap();
    let shared = LineId::random();
    let put = async |key: Option<&SigningKey>, tag: &str| {
        let tag = Selector::Tag(tag.parse().unwrap());
        let (id, now) = crate::handle::naming::named_at(clock.now());
        let body = wire::encode_log(&LogMessage::Frame(Frame {
            publisher: "p2".parse().unwrap(),
            // What a stranger says of a number leaves it free for whoever is believed.
            line: shared,
            first: 1,
            committed_at: now,
            invalidations: vec![Invalidation::new(id, "main".parse().unwrap(), vec![tag], now)],
            signature: None,
        }));
        let spot = wire::Spot { topic: "normal", partition: 0 };
        let body = key.map_or(body.clone(), |key| wire::sign(&body, spot, key).unwrap());
        for _ in 0..2 {
            let message = Message { key: None, id: None, body: body.clone() };
            log.publish(TOPIC, Partition(0), vec![message]).await.unwrap();
        }
    };
    put(None, "unsigned").await;
    put(Some(&stranger), "stranger").await;
    put(Some(&other), "other").await;
    for (trusted, believed, not) in [(both, 2, 4), (own, 1, 6)] {
        let trust = Trust::Keys(trusted.parse().unwrap());
        let outlet = Outlet::Remote(Arc::new(log.clone()))
            .signed(SigningKey::from_pem(&ours.to_pem().unwrap()).unwrap());
        let store = if believed == 2 { store.clone() } else { JournalStore::in_memory().unwrap() };
        let life = Life::begin(clock, &store, outlet, trust).await;
        if believed == 2 {
            life.accept("own").await;
        }
        let looked = life.handle.replays().dry_run(&Caller::ANYONE, &request("1h", 100)).await;
        let counts = looked.unwrap().counts;
        let unbelieved = counts.left_out.unbelieved;
        assert_eq!((counts.matched, unbelieved), (believed, not), "{counts:?}");
        life.end().await;
    }
    assert_eq!(Priority::Normal.as_str(), TOPIC.name());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_begin_is_not_shown_as_running() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let log = shared_log(clock, &store, EmbeddedConfig::default());
    let life = Life::begin(clock, &store, Outlet::Shared(log.clone()), Trust::Anyone).await;
    for number in 0..20 {
        life.accept(&format!("t{number}")).await;
    }
    let id = life.replay("1h", 1).await.unwrap().id;
    sleep(Duration::from_secs(3)).await;
    life.handle.replays().cancel(&Caller::ANYONE, id).await.unwrap();
    let replays = life.handle.replays().clone();
    life.end().await;
    let begun = replays.begin(&Caller::ANYONE, &request("1h", 1), Uuid::new_v4()).await;
    assert!(matches!(begun, Err(NotReplayed::Unavailable { .. })), "{begun:?}");
    let resumed = replays.resume(&Caller::ANYONE, id).await;
    assert!(matches!(resumed, Err(NotReplayed::Unavailable { .. })), "{resumed:?}");
    let left = replays.list(&Caller::ANYONE);
    let left: Vec<_> = left.iter().map(|replay| (replay.id, replay.state)).collect();
    assert_eq!(left, [(id, ReplayState::Cancelled)]);
}

/// What is live would wait behind all of it once the broker is back.
#[tokio::test(start_paused = true)]
async fn while_only_the_journal_takes_what_is_published_a_replay_waits() {
    let (clock, store) = (clock(), JournalStore::in_memory().unwrap());
    let log = Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap();
    let broker = Arc::new(Misbehaving::new(Arc::new(log), Misbehaviour::default(), 1));
    let outlet = Outlet::Remote(broker.clone());
    let life = Life::begin(clock, &store, outlet, Trust::Anyone).await;
    let tags: Vec<String> = (0..100).map(|number| format!("t{number}")).collect();
    join_all(tags.iter().map(|tag| life.accept(tag))).await;
    sleep(Duration::from_secs(1)).await;
    broker.set(Misbehaviour { fail: 1.0, ..Misbehaviour::default() });
    let id = life.replay("1h", 20).await.unwrap().id;
    let mut waits = None;
    for _ in 0..1_000 {
        sleep(Duration::from_millis(10)).await;
        waits = waits.or(life.replay_now(id).waits);
    }
    assert_eq!(waits.as_deref(), Some("the broker does not take what is published"));
    let meanwhile = life.replay_now(id).published;
    broker.set(Misbehaviour::default());
    let done = life.done(id).await;
    assert_eq!((done.state, done.published), (ReplayState::Done, 100));
    assert!(meanwhile < 50, "{meanwhile} of 100 in ten seconds, at twenty a second");
    life.end().await;
}
