//! A lane, its log and its cache.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Partition};
use jiff::Timestamp;
use schemas::{
    Cursor, LineId, LogMessage, Number, NumberRange, Outcome, Place, Priority, Selector,
};
use uuid::Uuid;

use super::super::{Failure, Job, Machine, Purpose, samples};
use super::inner::Model;
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::{Fetches, Purge};
use crate::order::{HOP, Inner};
use crate::standing_orders::{Bidden, Bidding, Span};

const LAST_DELAY: Duration = Duration::from_secs(3);
const FENCED_DELAY: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(10);
/// A tag that the judging cache refuses.
pub(super) const BAD: u8 = 9;
/// Stands for the whole site, which includes every tag.
pub(super) const EVERYTHING: u8 = 8;
/// Unsettled numbers held at most.
const WINDOW: usize = 12;
/// Selectors held for later passes at most; the log is read again for others.
const SELECTORS: usize = 8;
/// So few that holes between them never fill the window: only a flush would help then.
const COMMITTED_MAX: usize = 24;

/// A purge that succeeded.
#[derive(Debug, Clone, Copy)]
struct Done {
    began: Moment,
    back: Moment,
    fenced: bool,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A frame with these tags is committed; the log keeps it so many times, so many steps later.
    Publish { tags: Vec<u8>, copies: usize, late: usize },
    /// The lane reads so many messages.
    Read(usize),
    /// The oldest batch under way comes back.
    Land(Answer),
    /// Time passes.
    Wait(u64),
    /// The inner lane settles so many more numbers, and makes so many final.
    Inner { settles: usize, finishes: usize },
    /// A human lets all wait, or all of the one site, for so many seconds.
    Pause { site: bool, seconds: u64 },
    /// No pause is in force any more.
    Resume,
    /// A human cancels a number, which may not be there yet.
    Cancel(Number),
    /// The agent dies and begins again from its cursor.
    Crash,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Purged,
    /// Purged, and nothing that was on its way then is kept.
    Fenced,
    Unavailable,
    /// The cache refuses the batch if it holds the bad tag.
    Judged,
}

fn named(tag: u8) -> Selector {
    if tag == EVERYTHING {
        return Selector::Everything;
    }
    Selector::Tag(format!("t{tag}").parse().expect("a tag"))
}

pub(super) struct World {
    pub(super) now: Moment,
    line: LineId,
    pub(super) committed: Vec<Vec<u8>>,
    pub(super) log: Vec<LogMessage>,
    late: Vec<(usize, LogMessage)>,
    read_up_to: usize,
    pub(super) machine: Machine,
    cursor: Option<Cursor>,
    flights: Vec<(Moment, Job)>,
    /// Per tag, every purge that succeeded.
    purged: HashMap<u8, Vec<Done>>,
    heard_at: HashMap<Number, Moment>,
    bad_refused: bool,
    orders: Vec<Bidding>,
    ordered: u128,
    paused_until: Moment,
    pub(super) cancelled: BTreeSet<Number>,
    inner: Option<Arc<Model>>,
}

impl World {
    /// A lane, which may come after another.
    pub(super) fn new(after_another: bool) -> Self {
        let line = LineId::from_bytes([3; 16]);
        let inner = after_another.then(|| Arc::new(Model::new(line)));
        let mut world = Self {
            now: Moment::ZERO,
            line,
            committed: Vec::new(),
            log: Vec::new(),
            late: Vec::new(),
            read_up_to: 0,
            machine: Self::machine(None, inner.clone(), Moment::ZERO),
            cursor: None,
            flights: Vec::new(),
            purged: HashMap::new(),
            heard_at: HashMap::new(),
            bad_refused: false,
            orders: Vec::new(),
            ordered: 0,
            paused_until: Moment::ZERO,
            cancelled: BTreeSet::new(),
            inner,
        };
        world.machine.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
        // The join is over: a line heard from now on begins at 1.
        world.wait(Duration::from_secs(3));
        world.cursor = Some(world.machine.cursor());
        world
    }

    fn machine(cursor: Option<&Cursor>, inner: Option<Arc<Model>>, now: Moment) -> Machine {
        let config = LaneConfig {
            starts_empty: true,
            hole_grace: GRACE,
            hole_deadline: Duration::from_secs(1_000_000),
            window: WINDOW,
            rebound_selectors: SELECTORS,
            ..LaneConfig::default()
        };
        let purpose = samples::purpose(config, vec![Duration::from_secs(1), LAST_DELAY]);
        let (fenced_rebound, ready_fail_open_after) = (Some(FENCED_DELAY), Some(GRACE));
        let purpose = Purpose { fenced_rebound, ready_fail_open_after, ..purpose };
        let inner = inner.map(|inner| inner as Arc<dyn Inner>);
        Machine::new(purpose, cursor, inner, fastrand::Rng::with_seed(5), now)
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Publish { tags, copies, late } => self.publish(tags, copies, late),
            Step::Read(count) => self.read(count),
            Step::Land(answer) => self.land(answer),
            Step::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Step::Inner { settles, finishes } => self.inner_goes_on(settles, finishes),
            Step::Pause { site, seconds } => self.pause(site, Duration::from_secs(seconds)),
            Step::Resume => self.resume(),
            Step::Cancel(number) => self.cancel(number),
            Step::Crash => self.crash(),
        }
        self.late.iter_mut().for_each(|(steps, _)| *steps = steps.saturating_sub(1));
        let landed = self.late.extract_if(.., |(steps, _)| *steps == 0);
        self.log.extend(landed.map(|(_, message)| message));
        self.advance();
    }

    fn frame(&self, first: Number) -> LogMessage {
        let at = usize::try_from(first - 1).expect("small");
        let tags = self.committed[at].iter().map(|tag| named(*tag));
        samples::frame(self.line, first, tags.collect())
    }

    fn publish(&mut self, tags: Vec<u8>, copies: usize, late: usize) {
        if self.committed.len() == COMMITTED_MAX {
            return;
        }
        self.committed.push(tags);
        let frame = self.frame(self.committed.len() as Number);
        self.late.extend((0..copies).map(|copy| (late * (copy + 1) + 1, frame.clone())));
    }

    fn heartbeat(&mut self) {
        self.log.push(samples::heartbeat(vec![(self.line, self.committed.len() as Number)]));
    }

    fn read(&mut self, count: usize) {
        for _ in 0..count {
            if self.machine.room() == 0 {
                return;
            }
            let Some(message) = self.log.get(self.read_up_to).cloned() else { return };
            if let LogMessage::Frame(frame) = &message {
                self.heard_at.entry(frame.first).or_insert(self.now);
            }
            let at = samples::located(self.read_up_to, Timestamp::UNIX_EPOCH);
            self.machine.hear(message, at, self.now).expect("fit to be heard");
            self.read_up_to += 1;
        }
    }

    /// Later passes over the bound read the log beside.
    fn read_again(&mut self) {
        while let Some(from) = self.machine.read_again(self.now) {
            let mut next = usize::try_from(from[&Partition(0)].0).expect("small");
            while self.machine.wants_again() {
                let message = self.log.get(next).cloned();
                assert!(message.is_some(), "it wants what was never read");
                let at = samples::located(next, Timestamp::UNIX_EPOCH);
                self.machine.hear_again(message, at, self.now);
                next += 1;
            }
        }
    }

    fn inner_goes_on(&mut self, settles: usize, finishes: usize) {
        if let Some(inner) = &self.inner {
            inner.go_on(settles, finishes, self.committed.len(), self.now);
        }
    }

    fn land(&mut self, answer: Answer) {
        if self.flights.is_empty() {
            return;
        }
        let (started, job) = self.flights.remove(0);
        let bad = job.batch.purges.iter().any(|purge| purge.selector == named(BAD));
        let result = match answer {
            Answer::Unavailable => {
                Err(Failure::Unavailable { after: None, error: "down".to_owned() })
            }
            Answer::Judged if bad => {
                self.bad_refused |= job.batch.purges.len() == 1;
                Err(Failure::Refused { error: "bad".to_owned(), exchange: None })
            }
            Answer::Purged | Answer::Fenced | Answer::Judged => {
                let fenced = matches!(answer, Answer::Fenced);
                let done = Done { began: started, back: self.now, fenced };
                for Purge { selector, .. } in &job.batch.purges {
                    let name = (0..=BAD).find(|t| named(*t) == *selector).expect("a tag of ours");
                    self.purged.entry(name).or_default().push(done);
                }
                Ok(if fenced { Fetches::Fenced } else { Fetches::Unfenced })
            }
        };
        self.machine.done(job.id, result, self.now);
    }

    fn order(&mut self, what: Bidden) {
        self.ordered += 1;
        let id = Uuid::from_u128(self.ordered);
        self.orders.push(Bidding { id, expires_at: Timestamp::MAX, what });
        self.machine.heed(self.orders.clone(), self.now);
    }

    fn pause(&mut self, site: bool, left: Duration) {
        self.resume();
        let site = site.then(|| "main".parse().expect("a name"));
        self.order(Bidden::Pause { site, span: Span { left, whole: left } });
        self.paused_until = self.now + left;
    }

    fn resume(&mut self) {
        self.orders.retain(|order| !matches!(order.what, Bidden::Pause { .. }));
        self.machine.heed(self.orders.clone(), self.now);
        self.paused_until = Moment::ZERO;
    }

    fn cancel(&mut self, number: Number) {
        if self.cancelled.insert(number) {
            let place = Place { line: self.line, number };
            self.order(Bidden::Cancel { place, priority: Priority::Normal });
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.advance();
    }

    fn crash(&mut self) {
        self.flights.clear();
        let cursor = self.cursor.take().expect("stored at the start");
        self.read_up_to =
            cursor.hints.first().map_or(0, |hint| usize::try_from(hint.position).expect("small"));
        self.machine = Self::machine(Some(&cursor), self.inner.clone(), self.now);
        self.cursor = Some(cursor);
        self.machine.heed(self.orders.clone(), self.now);
    }

    fn advance(&mut self) {
        self.machine.tick(self.now);
        self.read_again();
        if self.machine.ask(self.now) {
            self.machine.able(samples::abilities(3), self.now);
        }
        while let Some(job) = self.machine.take(self.now) {
            assert!(self.now >= self.paused_until, "a purge goes out during a pause");
            assert!(job.batch.purges.len() <= 3, "a batch is larger than the cache allows");
            let distinct: BTreeSet<_> = job.batch.purges.iter().map(|p| &p.selector).collect();
            assert_eq!(distinct.len(), job.batch.purges.len(), "a selector stands twice");
            self.flights.push((self.now, job));
        }
        let sizes = self.machine.sizes();
        assert!(sizes.unsettled <= WINDOW, "the window is a limit");
        // Letters that were made up for wait for their later passes too, whatever else is held.
        assert!(sizes.rebounds <= SELECTORS + sizes.dead_letters, "more than the bound is held");
        self.check_floors();
        if self.machine.has_cursor() {
            self.cursor = Some(self.machine.cursor());
        }
    }

    /// The purges of `tag` that began at `from` or later.
    fn purges_since(&self, tag: u8, from: Moment) -> impl Iterator<Item = Done> {
        let purges =
            [tag, EVERYTHING].into_iter().filter_map(|tag| self.purged.get(&tag)).flatten();
        purges.filter(move |purge| purge.began >= from).copied()
    }

    /// Whether the last pass of a number is done that was settled by this purge.
    fn has_last_pass(&self, number: Number, tag: u8, first: Done) -> bool {
        let from = match &self.inner {
            None if first.fenced => Some(first.back + FENCED_DELAY),
            None => Some(first.back + LAST_DELAY),
            Some(inner) => match inner.was(number) {
                (Some(applied), Some(finished)) => {
                    Some((first.back.max(applied) + LAST_DELAY).max(finished + HOP))
                }
                // The inner lane is not through with it.
                _ => None,
            },
        };
        from.is_some_and(|from| self.purges_since(tag, from).next().is_some())
    }

    /// A floor never passes a number that was not purged after it was heard, nor one that was not heard.
    fn check_floors(&mut self) {
        let report = self.machine.report(self.now);
        let Some(line) = report.lines.first() else { return };
        let cancelled = |number: &Number| {
            let ended = |(range, outcome): &(NumberRange, Outcome)| {
                *outcome == Outcome::Cancelled && range.contains(*number)
            };
            self.cancelled.contains(number) && line.exceptions.iter().any(ended)
        };
        for number in (1..=line.applied).filter(|number| !cancelled(number)) {
            let heard = self.heard_at.get(&number).expect("a floor passed a hole");
            for tag in &self.committed[usize::try_from(number - 1).expect("small")] {
                let mut settling = self.purges_since(*tag, *heard).peekable();
                let refused = *tag == BAD && self.bad_refused;
                let purged = settling.peek().is_some();
                assert!(purged || refused, "floor {} passed {number}", line.applied);
                if number <= line.finished {
                    let last = settling.any(|first| self.has_last_pass(number, *tag, first));
                    assert!(last || refused, "{number} is final without its last pass");
                }
            }
        }
        assert!(line.finished <= line.applied);
    }

    /// Everything committed so far lands at last or is lost; the cache works again.
    pub(super) fn quiesce(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.log.extend(late.into_iter().map(|(_, message)| message));
        self.heartbeat();
        self.inner_goes_on(usize::MAX / 2, usize::MAX / 2);
        self.resume();
        for _ in 0..200 {
            self.read(usize::MAX);
            while !self.flights.is_empty() {
                self.land(Answer::Judged);
                self.advance();
            }
            self.wait(Duration::from_millis(500));
        }
    }
}
