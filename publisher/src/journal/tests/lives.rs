//! A journal through all its lives.

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Start};
use daemon::{Clock, Crew, Stop};
use schemas::{Frame, LogMessage, Selector, wire};

use super::super::writer::OnAccepted;
use super::super::*;
use crate::outlet::Outlet;

const GRACE: Duration = Duration::from_secs(5);
const START: &str = "2026-01-01T00:00:00Z";

/// Every life of one journal in tests.
pub(super) struct Lives {
    pub(super) store: JournalStore,
    pub(super) log: Embedded,
    pub(super) shared: bool,
    pub(super) limits: Limits,
    pub(super) partitions: u32,
    pub(super) ack_wait: Duration,
    pub(super) clock: Clock,
}

/// One life.
pub(super) struct Life {
    pub(super) journal: Journal,
    pub(super) stop: Stop,
    pub(super) crew: tokio::task::JoinHandle<()>,
    pub(super) desk: Arc<parking_lot::Mutex<commit::Desk>>,
    pub(super) numbered: Arc<parking_lot::Mutex<Vec<Place>>>,
}

impl Lives {
    pub(super) fn new(store: JournalStore, shared: bool) -> Self {
        let clock = Clock::following(START.parse().unwrap());
        let log = Embedded::open(store.database(), EmbeddedConfig::default(), move || clock.now())
            .unwrap();
        let limits = Limits {
            bytes: 1 << 30,
            retention: Duration::from_hours(1),
            age: Duration::from_hours(24),
        };
        let ack_wait = Duration::from_secs(1);
        Self { store, log, shared, limits, partitions: 1, ack_wait, clock }
    }

    pub(super) fn begin(&self) -> Life {
        let numbered = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let noted = Arc::clone(&numbered);
        let (journal, writer) = self.open(Box::new(move |place, _| noted.lock().push(place)));
        let stop = Stop::new();
        let desk = writer.desk();
        let mut crew = Crew::new(stop.clone());
        crew.spawn("journal", writer.run(crew.stop()));
        let crew = tokio::task::spawn_local(async move { crew.run(GRACE).await.unwrap() });
        Life { journal, stop, crew, desk, numbered }
    }

    /// A journal whose writer does not run yet.
    pub(super) fn open(&self, on_accepted: OnAccepted) -> (Journal, Writer) {
        let setup = JournalSetup {
            store: self.store.clone(),
            publisher: "p1".parse().unwrap(),
            outlet: if self.shared {
                Outlet::Shared(self.log.clone())
            } else {
                Outlet::Remote(Arc::new(self.log.clone()))
            },
            limits: self.limits,
            partitions: self.partitions,
            ack_wait: self.ack_wait,
            clock: self.clock,
            on_accepted,
        };
        setup.open().unwrap()
    }

    pub(super) fn invalidation(&self, priority: Priority, tag: &str) -> Invalidation {
        let now = self.clock.now();
        let tag = Selector::Tag(tag.parse().unwrap());
        let accepted_at = Timestamp::from_microsecond(now.as_microsecond()).unwrap();
        let site = "main".parse().unwrap();
        Invalidation { priority, ..Invalidation::new(Uuid::new_v4(), site, vec![tag], accepted_at) }
    }

    /// One of a site.
    pub(super) fn of_site(&self, priority: Priority, site: &str) -> Invalidation {
        Invalidation { site: site.parse().unwrap(), ..self.invalidation(priority, "t") }
    }

    /// Some kilobytes of it.
    pub(super) fn large(&self, bytes: usize) -> Invalidation {
        let mut large = self.invalidation(Priority::Normal, "large");
        large.reason = Some("r".repeat(bytes));
        large
    }

    /// What the log has of a stream.
    pub(super) async fn logged(&self, stream: Stream) -> Vec<Frame> {
        let topic = stream.topic();
        let mut left = self.log.bounds(topic).await.unwrap().values().map(|b| b.end.0).sum::<u64>();
        let mut frames = Vec::new();
        let mut reader = self.log.subscribe(topic, Start::Oldest).await.unwrap();
        while left > 0 {
            for delivery in reader.read(1_000).await.unwrap() {
                left -= 1;
                if delivery.partition != stream.partition {
                    continue;
                }
                let LogMessage::Frame(frame) = wire::decode_log(&delivery.body).unwrap() else {
                    panic!("not a frame");
                };
                frames.push(frame);
            }
        }
        frames
    }
}

impl Life {
    pub(super) async fn end(self) {
        self.stop.request();
        self.crew.await.unwrap();
    }

    pub(super) async fn stored(&self, stream: Stream) -> Vec<Frame> {
        let stored = self.journal.frames_from(stream, 0, usize::MAX).await.unwrap();
        let frames = stored.iter().map(|stored| match wire::decode_log(&stored.bytes).unwrap() {
            LogMessage::Frame(frame) => frame,
            other => panic!("{other:?} is not a frame"),
        });
        frames.collect()
    }
}
