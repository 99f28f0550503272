//! A lane at work: one cursor on the log, feeding one cache. The thin shell around [`Machine`].

mod ahead;
mod following;
mod inside;
mod listening;
mod reading;
mod remembering;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, Topic};
use daemon::{BoxError, Clock, Condition, Stop};
use futures::StreamExt;
use schemas::{Cursor, KeptLetter, LogMessage};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::Moment;
use crate::board::PublishersBoard;
use crate::clocks::Clocks;
use crate::driver::Driver;
use crate::errand::{self, Flights, Landed};
use crate::letter_folder::LetterFolder;
use crate::machine::{Failure, Machine, Purpose};
use crate::metrics::LaneMetrics;
use crate::order::Inner;
use crate::progress::Progress;
use crate::reporter::{Fleet, Registration};
use crate::shelf::Shelf;
use crate::standing_orders::Addressee;
use crate::trust::{Distrusted, TrustBook, word};

use following::Following;
use inside::Inside;
use reading::{Read, Reading};

pub(crate) use standing::Budget;

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

/// What a lane needs.
#[derive(Debug)]
pub(crate) struct LaneSetup {
    pub(crate) name: String,
    pub(crate) purpose: Purpose,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) shelf: Shelf,
    pub(crate) letters: LetterFolder,
    pub(crate) progress: Arc<Progress>,
    pub(crate) inner: Option<Arc<Progress>>,
    pub(crate) clock: Clock,
    pub(crate) condition: Condition,
    pub(crate) budget: Budget,
    pub(crate) metrics: LaneMetrics,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) board: PublishersBoard,
    pub(crate) trust: TrustBook,
    pub(crate) addressee: Addressee,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) jitter: fastrand::Rng,
}

/// A lane at work.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    machine: Machine,
    driver: Arc<dyn Driver>,
    shelf: Shelf,
    folder: LetterFolder,
    progress: Arc<Progress>,
    clock: Clock,
    condition: Condition,
    budget: Budget,
    metrics: LaneMetrics,
    clocks: Arc<Clocks>,
    board: PublishersBoard,
    addressee: Addressee,
    hard_flushes: u64,
    fleet: Arc<Fleet>,
    begun: Instant,
    shown: Option<Instant>,
    unshown: bool,
    stored: Option<(Cursor, Instant)>,
    storing: bool,
    not_stored: Option<Instant>,
    tidied: Instant,
    heeded: Instant,
    inside: Option<Inside>,
    returned: bool,
    following: Option<Following>,
    distrusted: Distrusted,
}

impl Lane {
    /// Runs a lane until it is stopped. One without a cursor takes its base only once it is `registered`.
    pub(crate) async fn run(
        mut setup: LaneSetup,
        registered: watch::Receiver<Registration>,
        stop: Stop,
    ) -> Result<(), BoxError> {
        let stored = setup.shelf.load()?;
        let letters = setup.letters.load()?;
        let topic = Topic::log(setup.purpose.priority.as_str());
        let (broker, jitter) = (setup.broker.clone(), setup.jitter.fork());
        let trust = setup.trust.clone();
        let inner = setup.inner.as_ref().map(|inner| inner.watch());
        let reading = Reading::new(broker, topic, trust, registered, stored.as_ref(), jitter);
        let server = setup.shelf.server()?;
        Self::new(setup, stored, letters, server).work(reading, inner, stop).await;
        Ok(())
    }

    fn new(
        setup: LaneSetup,
        stored: Option<Cursor>,
        letters: Vec<KeptLetter>,
        server: Option<String>,
    ) -> Self {
        let followed = setup.progress.followed();
        let following = setup.inner.clone().map(|inner| Following::new(inner, followed.returns));
        let inner = setup.inner.map(|inner| inner as Arc<dyn Inner>);
        let cursor = remembering::gone_on_from(&setup.name, stored.clone(), &letters);
        let mut machine =
            Machine::new(setup.purpose, cursor.as_ref(), inner, setup.jitter, Moment::ZERO);
        machine.has_followed(followed.flushes);
        machine.adopt(letters);
        info!(lane = setup.name, resumed = stored.is_some(), "lane begins");
        let begun = Instant::now();
        let inside = setup.driver.shelf().is_some().then(|| Inside::new(server, begun));
        if inside.is_some() && machine.is_shared() {
            machine.begin_asking_others();
        }
        let lane = Self {
            name: setup.name,
            machine,
            driver: setup.driver,
            shelf: setup.shelf,
            folder: setup.letters,
            progress: setup.progress,
            clock: setup.clock,
            condition: setup.condition,
            budget: setup.budget,
            metrics: setup.metrics,
            clocks: setup.clocks,
            board: setup.board,
            addressee: setup.addressee,
            hard_flushes: 0,
            fleet: setup.fleet,
            begun,
            shown: None,
            unshown: true,
            stored: stored.map(|cursor| (cursor, begun)),
            storing: false,
            not_stored: None,
            tidied: begun,
            heeded: begun,
            inside,
            returned: false,
            following,
            distrusted: Distrusted::default(),
        };
        lane.tell_return(lane.stored.as_ref().map(|(cursor, _)| cursor));
        lane
    }

    async fn work(
        &mut self,
        mut reading: Reading,
        mut inner: Option<watch::Receiver<()>>,
        stop: Stop,
    ) {
        let mut flights = Flights::new();
        let mut ordered = Some(self.board.orders.watch());
        self.await_orders();
        self.heed();
        loop {
            self.take_in(&mut reading);
            self.advance(&flights, &reading);
            let (room, again) = (self.machine.room() > 0, self.machine.wants_again());
            tokio::select! {
                () = stop.requested() => break,
                Some(landed) = flights.next(), if !flights.is_empty() => self.land(landed),
                () = reading.fill(room, again) => {}
                () = moved(&mut inner) => {}
                () = moved(&mut ordered) => self.heed(),
                () = sleep_until(self.wake_at()) => {}
            }
        }
        self.finish(flights, reading).await;
    }

    /// Hears what was read, as far as there is room for it.
    fn take_in(&mut self, reading: &mut Reading) {
        let now = self.now();
        if std::mem::take(&mut self.returned) {
            reading.begin_again(self.stored.as_ref().map(|(cursor, _)| cursor));
        }
        if let Some(kept) = reading.take_opened() {
            let from = self.machine.begin(&kept, self.clock.now(), now);
            reading.begin_at(from);
        }
        if reading.take_resubscribed() {
            self.machine.doubt(now);
        }
        while self.machine.room() > 0
            && let Some(read) = reading.next()
        {
            self.hear(read, now);
        }
        while self.machine.room() > 0
            && let Some(Read { at, message }) = reading.next_found()
        {
            if let Ok(message) = message
                && !self.machine.find(message, at, now)
            {
                reading.end_search();
            }
        }
        let next = if reading.take_searched() {
            self.machine.searched(now)
        } else if reading.searching() {
            None
        } else {
            self.machine.look_up(now)
        };
        if let Some(from) = next {
            self.metrics.searched();
            reading.search(from);
        }
        self.take_in_again(reading, now);
    }

    /// Hears once more what a later pass needs.
    fn take_in_again(&mut self, reading: &mut Reading, now: Moment) {
        if let Some(from) = self.machine.read_again(now) {
            self.metrics.read_again();
            reading.read_again(from);
        }
        while self.machine.wants_again()
            && let Some(Read { at, message }) = reading.next_again()
        {
            self.machine.hear_again(message.ok(), at, now);
        }
        if !self.machine.reads_again() {
            reading.end_again();
        }
    }

    fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    /// Does what is due, sends what is ready, shows what has changed.
    fn advance(&mut self, flights: &Flights, reading: &Reading) {
        let now = self.now();
        self.follow(now);
        self.heed_again();
        self.machine.time_is(self.clock.now());
        self.machine.tick(now);
        self.tend(flights, now);
        let in_session = self.in_session();
        if in_session && self.machine.ask(now) {
            flights.push(Box::pin(errand::ask(self.driver.clone())));
        }
        if in_session && self.machine.asks_others(now) {
            flights.push(Box::pin(errand::ask_others(self.driver.clone())));
        }
        while in_session && let Some(job) = self.machine.take(now) {
            flights.push(Box::pin(errand::purge(self.driver.clone(), job)));
        }
        for cause in self.machine.drain_flushes() {
            info!(lane = self.name, cause = cause.as_str(), "flush begins");
            self.metrics.flushed(cause.as_str());
        }
        let settled = self.machine.drain_settled();
        self.unshown |= !settled.is_empty();
        self.progress.settle(settled);
        self.tell_ended_letters();
        self.show_flushes(now);
        self.show(reading);
        self.tidy();
        if let Some(cursor) = self.cursor_to_store() {
            self.storing = true;
            let changes = self.machine.take_letter_changes();
            flights.push(Box::pin(errand::store(self.keeping(), cursor, changes)));
        }
    }

    fn wake_at(&self) -> Instant {
        let machine = self.due().map(|at| self.begun + at);
        let show = self.shown.filter(|_| self.unshown).map(|shown| shown + SHOW_EVERY);
        let glance = Instant::now() + GLANCE;
        [machine, show].into_iter().flatten().fold(glance, Instant::min)
    }

    fn hear(&mut self, Read { at, message }: Read, now: Moment) {
        let (word, reason) = match message {
            Ok(message) => {
                if let LogMessage::Heartbeat(heartbeat) = &message {
                    self.clocks.hear(&heartbeat.publisher, heartbeat.at, self.clock.now());
                    heartbeat.agents.into_iter().for_each(|agents| self.fleet.learn(agents));
                }
                match self.machine.hear(message, at, now) {
                    Ok(()) => return,
                    Err(unfit) => (unfit.as_str(), unfit.as_str().replace('_', " ")),
                }
            }
            Err(error) => {
                self.distrusted.note(&error);
                (word(&error), error.to_string())
            }
        };
        warn!(lane = self.name, position = at.position.0, reason, "message parked");
        self.metrics.parked(word);
        self.machine.park(at, reason, now);
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
            Landed::Recalled(result) => self.recalled(result),
            Landed::Looked(result) => self.looked(result),
            Landed::OthersTold(result) => self.others_told(result),
            Landed::Stored(cursor, changes, result) => self.was_stored(*cursor, changes, result),
        }
    }

    /// Reading has stopped: lets what is under way come back, and stores the cursor.
    async fn finish(&mut self, mut flights: Flights, reading: Reading) {
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
        self.show(&reading);
        drop(reading);
        if self.machine.has_cursor() && self.in_session() {
            let changes = self.machine.take_letter_changes();
            let stored = errand::store(self.keeping(), self.machine.cursor(), changes).await;
            if matches!(stored, Landed::Stored(_, _, Ok(()))) {
                self.progress.has_followed(self.followed());
            }
            self.land(stored);
        }
        info!(lane = self.name, "lane ended");
    }
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
