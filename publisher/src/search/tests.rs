//! Publishers on one log elsewhere, each answering for what another accepted, or for one that is gone. Paused time.

mod finding;
mod leaving;
mod newest;

use std::collections::BTreeMap;

use broker_adapter::{Embedded, EmbeddedConfig, Message};
use daemon::{Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::api::{Accepted, InvalidationRequest, Progress};
use schemas::{BoardMessage, ClockReading, LineReport, NumberRange, Report, Site, Sites, Trust};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::journal::JournalStore;
use crate::samples::{self, lane_report};
use crate::{Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup};

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
            trust: Trust::Anyone,
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
        applied: *last,
        finished: *last,
        holes: holes.to_vec(),
        ..LineReport::new(*line)
    });
    let heard = ClockReading { publisher: "p1".parse().unwrap(), heard_after_us: 2_000_500 };
    let message = BoardMessage::Report(Box::new(Report {
        sequence,
        at: clock.now().checked_add(SignedDuration::from_secs(2)).unwrap(),
        clocks: vec![heard],
        ..samples::report("edge-1", "eu", lane_report(lines.collect()))
    }));
    let (key, body) = (Some(message.key()), wire::encode_board(&message));
    let topic = Topic::board(message.board());
    broker.publish(topic, Partition(0), vec![Message { key, id: None, body }]).await.unwrap();
}

/// What the log of normal invalidations holds.
async fn logged(log: &Embedded) -> Vec<LogMessage> {
    let topic = Topic::log("normal");
    let end = log.bounds(topic).await.unwrap()[&Partition(0)].end.0;
    let mut reader = log.subscribe(topic, Start::Oldest).await.unwrap();
    let (mut messages, mut next) = (Vec::new(), 0);
    while next < end {
        for delivery in reader.read(100).await.unwrap() {
            next = delivery.position.0 + 1;
            messages.push(wire::decode_log(&delivery.body).unwrap());
        }
    }
    messages
}

/// The last number of each line there.
async fn heads(log: &Embedded) -> BTreeMap<LineId, Number> {
    let frames = logged(log).await.into_iter().filter_map(|message| match message {
        LogMessage::Frame(frame) => Some((frame.line, frame.numbers().last)),
        _ => None,
    });
    frames.collect()
}
