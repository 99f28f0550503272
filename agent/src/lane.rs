//! A lane at work: one cursor on the log, feeding one cache. The thin shell around [`Machine`].

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Broker, Delivery, Partition, Positions, Start, Topic};
use daemon::{BoxError, Clock, Condition, Readiness, Stop};
use futures::StreamExt;
use schemas::{Cursor, LaneReport, wire};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use crate::driver::Driver;
use crate::errand::{self, Flights, Landed};
use crate::feed::Feed;
use crate::ledger::Located;
use crate::machine::{Failure, Machine, Purpose};
use crate::metrics::LaneMetrics;
use crate::order::Inner;
use crate::progress::Progress;
use crate::shelf::Shelf;
use crate::{Moment, error_chain};

/// The lane looks around at least this often.
const GLANCE: Duration = Duration::from_secs(1);
/// Progress is shown at most this often under load; at once when idle.
const SHOW_EVERY: Duration = Duration::from_millis(5);
/// A changed cursor is stored at most this often.
const STORE_EVERY: Duration = Duration::from_secs(1);
/// A cursor of which only the resume hint has changed is stored this often.
const STORE_HINT_EVERY: Duration = Duration::from_mins(1);
/// On a stop, what is under way has this long.
const LAND_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for the broker to tell its bounds.
const BOUNDS_WITHIN: Duration = Duration::from_secs(10);
/// Wait between attempts to ask the broker for its bounds.
const BOUNDS_AGAIN: Duration = Duration::from_millis(500);
/// Most deliveries taken at once.
const READ_MAX: usize = 1_000;

/// What a lane needs.
#[derive(Debug)]
pub(crate) struct LaneSetup {
    pub(crate) name: String,
    pub(crate) purpose: Purpose,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) shelf: Shelf,
    pub(crate) progress: Arc<Progress>,
    pub(crate) inner: Option<Arc<Progress>>,
    pub(crate) clock: Clock,
    pub(crate) condition: Condition,
    pub(crate) stale_budget: Duration,
    pub(crate) metrics: LaneMetrics,
    pub(crate) jitter: fastrand::Rng,
}

/// A lane at work.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    machine: Machine,
    driver: Arc<dyn Driver>,
    shelf: Shelf,
    progress: Arc<Progress>,
    condition: Condition,
    stale_budget: Duration,
    metrics: LaneMetrics,
    begun: Instant,
    shown: Option<Instant>,
    unshown: bool,
    stored: Option<(Cursor, Instant)>,
    storing: bool,
}

impl Lane {
    /// Runs a lane until it is stopped. Reads nothing before `registered` says that the tracker knows the lane.
    pub(crate) async fn run(
        mut setup: LaneSetup,
        mut registered: watch::Receiver<bool>,
        stop: Stop,
    ) -> Result<(), BoxError> {
        let stored = setup.shelf.load()?;
        let topic = Topic::log(setup.purpose.priority.as_str());
        let begin = async {
            registered.wait_for(|registered| *registered).await?;
            Ok::<_, BoxError>(heads(setup.broker.as_ref(), topic).await)
        };
        let heads = tokio::select! {
            () = stop.requested() => return Ok(()),
            heads = begin => heads?,
        };
        let (broker, jitter) = (setup.broker.clone(), setup.jitter.fork());
        let inner = setup.inner.as_ref().map(|inner| inner.watch());
        let (mut lane, start) = Self::new(setup, stored, &heads);
        let feed = Feed::new(broker, topic, Start::At(start), jitter);
        lane.work(feed, inner, stop).await;
        Ok(())
    }

    fn new(setup: LaneSetup, stored: Option<Cursor>, heads: &Bounds) -> (Self, Positions) {
        let inner = setup.inner.map(|inner| inner as Arc<dyn Inner>);
        let mut machine =
            Machine::new(setup.purpose, stored.as_ref(), inner, setup.jitter, Moment::ZERO);
        let start = match &stored {
            Some(cursor) => positions(cursor),
            None => heads
                .iter()
                .map(|(at, kept)| (*at, machine.begin_at(*at, *kept, setup.clock.now())))
                .collect(),
        };
        info!(lane = setup.name, resumed = stored.is_some(), "lane begins");
        let begun = Instant::now();
        let lane = Self {
            name: setup.name,
            machine,
            driver: setup.driver,
            shelf: setup.shelf,
            progress: setup.progress,
            condition: setup.condition,
            stale_budget: setup.stale_budget,
            metrics: setup.metrics,
            begun,
            shown: None,
            unshown: true,
            stored: stored.map(|cursor| (cursor, begun)),
            storing: false,
        };
        (lane, start)
    }

    async fn work(&mut self, mut feed: Feed, mut inner: Option<watch::Receiver<()>>, stop: Stop) {
        let mut flights = Flights::new();
        loop {
            self.advance(&flights);
            let room = self.machine.room().min(READ_MAX);
            if room == 0 {
                feed.idled();
            }
            tokio::select! {
                () = stop.requested() => break,
                Some(landed) = flights.next(), if !flights.is_empty() => self.land(landed),
                deliveries = feed.read(room.max(1)), if room > 0 => self.hear(&deliveries),
                () = moved(&mut inner) => {}
                () = sleep_until(self.wake_at()) => {}
            }
        }
        self.finish(flights).await;
    }

    fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    /// Does what is due, sends what is ready, shows what has changed.
    fn advance(&mut self, flights: &Flights) {
        let now = self.now();
        self.machine.tick(now);
        if self.machine.ask(now) {
            flights.push(Box::pin(errand::ask(self.driver.clone())));
        }
        while let Some(job) = self.machine.take(now) {
            flights.push(Box::pin(errand::purge(self.driver.clone(), job)));
        }
        for cause in self.machine.drain_flushes() {
            info!(lane = self.name, cause = cause.as_str(), "flush begins");
            self.metrics.flushed(cause.as_str());
        }
        let settled = self.machine.drain_settled();
        self.unshown |= !settled.is_empty();
        self.progress.settle(settled);
        self.show();
        if let Some(cursor) = self.cursor_to_store() {
            self.storing = true;
            flights.push(Box::pin(errand::store(self.shelf.clone(), cursor)));
        }
    }

    fn wake_at(&self) -> Instant {
        let machine = self.machine.deadline(self.now()).map(|at| self.begun + at);
        let show = self.shown.filter(|_| self.unshown).map(|shown| shown + SHOW_EVERY);
        let glance = Instant::now() + GLANCE;
        [machine, show].into_iter().flatten().fold(glance, Instant::min)
    }

    fn show(&mut self) {
        let age = self.shown.map(|shown| shown.elapsed());
        let due = age.is_none_or(|age| age >= GLANCE || self.unshown && age >= SHOW_EVERY);
        if !due {
            return;
        }
        self.shown = Some(Instant::now());
        self.unshown = false;
        let report = self.machine.report(self.now());
        self.metrics.show(&report, self.machine.sizes());
        self.condition.set(self.readiness(&report));
        self.progress.show(report, self.machine.abilities().cloned());
    }

    fn readiness(&self, report: &LaneReport) -> Readiness {
        let age = report.oldest_unsettled_us.map(Duration::from_micros);
        match (self.machine.not_ready_because(), age) {
            (Some(reason), _) => Readiness::NotReady(reason),
            (None, Some(age)) if age > self.stale_budget => Readiness::Degraded(format!(
                "the oldest unsettled invalidation is {} s old{}",
                age.as_secs(),
                report.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
            )),
            (None, _) => Readiness::Ready,
        }
    }

    fn hear(&mut self, deliveries: &[Delivery]) {
        let now = self.now();
        for delivery in deliveries {
            let Delivery { partition, position, time, .. } = *delivery;
            let at = Located { partition, position, time };
            match wire::decode_log(&delivery.body) {
                Ok(message) => self.machine.hear(message, at, now),
                Err(error) => {
                    warn!(lane = self.name, ?position, %error, "message parked");
                    self.metrics.parked();
                    self.machine.pass(at);
                }
            }
        }
    }

    fn land(&mut self, landed: Landed) {
        let now = self.now();
        self.unshown = true;
        match landed {
            Landed::Purged { id, selectors, took, result } => {
                let retry = matches!(result, Err(Failure::Unavailable { .. }));
                if let Err(failure) = &result {
                    warn!(lane = self.name, selectors, error = failure.error(), "purge failed");
                }
                self.metrics.purged(selectors, took.as_secs_f64(), retry);
                self.machine.done(id, result, now);
            }
            Landed::Asked(Ok(abilities)) => {
                info!(lane = self.name, manner = abilities.manner, "cache answered");
                self.machine.able(abilities, now);
            }
            Landed::Asked(Err(failure)) => {
                warn!(lane = self.name, error = failure.error(), "cache not usable");
                self.machine.unable(failure, now);
            }
            Landed::Stored(cursor, result) => {
                self.storing = false;
                match result {
                    Ok(()) => self.stored = Some((cursor, Instant::now())),
                    Err(error) => {
                        warn!(lane = self.name, error = error_chain(&error), "cursor not stored");
                        let age = self.stored.take().map(|(cursor, _)| (cursor, Instant::now()));
                        self.stored = age;
                    }
                }
            }
        }
    }

    /// The cursor, if it has changed and it is time to store it.
    fn cursor_to_store(&self) -> Option<Cursor> {
        if self.storing || !self.machine.has_cursor() {
            return None;
        }
        let age = self.stored.as_ref().map(|(_, at)| at.elapsed());
        if age.is_some_and(|age| age < STORE_EVERY) {
            return None;
        }
        let cursor = self.machine.cursor();
        let due = self.stored.as_ref().is_none_or(|(stored, at)| {
            let hints_only = Cursor { hints: stored.hints.clone(), ..cursor.clone() } == *stored;
            !hints_only || at.elapsed() >= STORE_HINT_EVERY && cursor != *stored
        });
        due.then_some(cursor)
    }

    /// Reading has stopped: lets what is under way come back, and stores the cursor.
    async fn finish(&mut self, mut flights: Flights) {
        let landing = async {
            while let Some(landed) = flights.next().await {
                self.land(landed);
            }
        };
        if timeout(LAND_WITHIN, landing).await.is_err() {
            warn!(
                lane = self.name,
                "stopped with purges under way; they are done again at the next start"
            );
        }
        self.progress.settle(self.machine.drain_settled());
        self.shown = None;
        self.show();
        if self.machine.has_cursor() {
            let stored = errand::store(self.shelf.clone(), self.machine.cursor()).await;
            self.land(stored);
        }
        info!(lane = self.name, "lane ended");
    }
}

/// Asks until the broker tells what it keeps.
async fn heads(broker: &dyn Broker, topic: Topic) -> Bounds {
    loop {
        match timeout(BOUNDS_WITHIN, broker.bounds(topic)).await {
            Ok(Ok(bounds)) => return bounds,
            Ok(Err(error)) => warn!(%topic, error = error_chain(&error), "cannot ask the log"),
            Err(_) => warn!(%topic, "the log does not answer"),
        }
        sleep(BOUNDS_AGAIN).await;
    }
}

fn positions(cursor: &Cursor) -> Positions {
    let hints = cursor.hints.iter();
    hints.map(|hint| (Partition(hint.partition), broker_adapter::Position(hint.position))).collect()
}

async fn moved(inner: &mut Option<watch::Receiver<()>>) {
    match inner {
        // The inner lane outlives nobody's wish to wait for it: once it has ended nothing moves any more.
        Some(moves) => {
            if moves.changed().await.is_err() {
                *inner = None;
            }
        }
        None => std::future::pending().await,
    }
}
