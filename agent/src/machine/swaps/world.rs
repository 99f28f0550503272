//! A lane, its log, and two publishers with their journals.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use broker_adapter::{Bounds, Partition, PartitionBounds, Position};
use jiff::Timestamp;
use schemas::{Cursor, LineId, LogMessage, Lost, Number, NumberRange, Selector};

use super::super::{Machine, samples};
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::Fetches;
use crate::flush::Cause;
use crate::ledger::Located;
use crate::lookup::SearchFrom;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A publisher commits; the log may lose it.
    Commit { who: usize, lost: bool },
    /// Time passes; publishers beat each second.
    Wait(u32),
    /// The log is an older copy, on which a publisher has written on.
    RollBack { messages: usize, who: usize, more: usize },
    /// The log begins anew, and a publisher has written so much already.
    Recreate { who: usize, more: usize },
    /// The log forgets its oldest messages.
    Trim(usize),
    /// The same log elsewhere, where positions are other ones.
    Mirror(usize),
    /// The subscription breaks.
    Subscribe,
    /// The agent dies and begins again from its cursor.
    Crash,
    /// A journal forgets all but its latest numbers.
    Forget(usize),
}

fn time(now: Moment) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_hours(1) + now
}

#[derive(Debug)]
pub(super) struct Publisher {
    line: LineId,
    committed_at: Vec<Moment>,
    pub(super) journal_from: Number,
    repaired: HashMap<Number, Moment>,
    pub(super) stay: Stay,
}

/// Whether a publisher is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stay {
    /// It speaks.
    Here,
    /// It is gone.
    Silent,
    /// It is gone for good: others speak for it.
    Retired,
}

impl Publisher {
    fn head(&self) -> Number {
        self.committed_at.len() as Number
    }

    fn frame(&self, number: Number) -> LogMessage {
        samples::frame(self.line, number, vec![tag(self.line, number)])
    }
}

fn tag(line: LineId, number: Number) -> Selector {
    Selector::Tag(format!("{line}-{number}").parse().expect("a tag"))
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) log: Vec<(Timestamp, LogMessage)>,
    first: usize,
    position: usize,
    pub(super) publishers: [Publisher; 2],
    pub(super) machine: Machine,
    pub(super) cursor: Cursor,
    purged: HashSet<Selector>,
    checked: HashMap<LineId, Number>,
    flushed_at: Vec<Moment>,
    pub(super) repairs: usize,
    pub(super) reported: BTreeSet<Number>,
}

impl World {
    pub(super) fn new() -> Self {
        let publisher = |digit| Publisher {
            line: LineId::from_bytes([digit; 16]),
            committed_at: Vec::new(),
            journal_from: 1,
            repaired: HashMap::new(),
            stay: Stay::Here,
        };
        let mut machine = Self::machine(None, Moment::ZERO);
        machine.begin(&Bounds::new(), time(Moment::ZERO), Moment::ZERO);
        let cursor = machine.cursor();
        let mut world = Self {
            now: Moment::ZERO,
            log: Vec::new(),
            first: 0,
            position: 0,
            publishers: [publisher(1), publisher(2)],
            machine,
            cursor,
            purged: HashSet::new(),
            checked: HashMap::new(),
            flushed_at: Vec::new(),
            repairs: 0,
            reported: BTreeSet::new(),
        };
        world.wait(5);
        world
    }

    fn machine(cursor: Option<&Cursor>, now: Moment) -> Machine {
        let config = LaneConfig {
            starts_empty: true,
            flush_spread: 5 * SECOND,
            window: 20,
            ..LaneConfig::default()
        };
        let purpose = samples::purpose(config, vec![SECOND]);
        Machine::new(purpose, cursor, None, fastrand::Rng::with_seed(5), now)
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Commit { who, lost } => self.commit(who, lost),
            Step::Wait(seconds) => self.wait(seconds),
            Step::RollBack { messages, who, more } => {
                self.log.truncate(self.first.max(self.log.len().saturating_sub(messages)));
                self.write_on(who, more);
            }
            Step::Recreate { who, more } => {
                self.log.clear();
                self.first = 0;
                self.write_on(who, more);
            }
            Step::Trim(messages) => self.first = (self.first + messages).min(self.log.len()),
            Step::Mirror(less) => {
                let less = less.min(self.first);
                self.log.drain(..less);
                self.first -= less;
            }
            Step::Subscribe => {
                self.machine.doubt(self.now);
                self.find_place();
            }
            Step::Crash => self.crash(),
            Step::Forget(kept) => {
                for publisher in &mut self.publishers {
                    publisher.journal_from =
                        (publisher.head() + 1).saturating_sub(kept as Number).max(1);
                }
            }
        }
        self.advance();
    }

    fn append(&mut self, message: LogMessage) {
        self.log.push((time(self.now), message));
    }

    pub(super) fn commit(&mut self, who: usize, lost: bool) {
        self.publishers[who].committed_at.push(self.now);
        let publisher = &self.publishers[who];
        let frame = publisher.frame(publisher.head());
        if !lost {
            self.append(frame);
        }
    }

    pub(super) fn write_on(&mut self, who: usize, more: usize) {
        for _ in 0..more {
            self.now += SECOND / 10;
            self.commit(who, false);
        }
    }

    /// As adapters do: outside of what is kept, the oldest is next.
    fn find_place(&mut self) {
        if !(self.first..=self.log.len()).contains(&self.position) {
            self.position = self.first;
        }
    }

    pub(super) fn crash(&mut self) {
        self.machine = Self::machine(Some(&self.cursor), self.now);
        let hint = self.cursor.hints.first().map_or(0, |hint| hint.position);
        self.position = usize::try_from(hint).expect("small");
        self.find_place();
        let kept = PartitionBounds {
            first: Position(self.first as u64),
            end: Position(self.log.len() as u64),
        };
        self.machine.begin(&[(Partition(0), kept)].into(), time(self.now), self.now);
    }

    pub(super) fn wait(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now += SECOND;
            self.beat();
            self.advance();
        }
    }

    fn beat(&mut self) {
        let own = |publisher: &Publisher| vec![(publisher.line, publisher.head())];
        let [mut one, mut other] = self.publishers.each_ref().map(own);
        match self.publishers[0].stay {
            Stay::Here => {}
            Stay::Silent => one.clear(),
            Stay::Retired => other.append(&mut one),
        }
        for lines in [one, other].into_iter().filter(|lines| !lines.is_empty()) {
            self.append(samples::heartbeat(lines));
        }
        for (line, hole) in self.holes() {
            self.repair(line, hole);
        }
    }

    pub(super) fn holes(&mut self) -> Vec<(LineId, NumberRange)> {
        let lines = self.machine.report(self.now).lines.into_iter();
        lines.flat_map(|line| line.holes.into_iter().map(move |hole| (line.line, hole))).collect()
    }

    fn repair(&mut self, line: LineId, hole: NumberRange) {
        let now = self.now;
        self.reported.extend(hole.first..=hole.last);
        let publisher = self.publishers.iter_mut().find(|publisher| publisher.line == line);
        let publisher = publisher.expect("a line of ours");
        let mut sent = Vec::new();
        for number in hole.first..=hole.last {
            let lately = publisher.repaired.get(&number).is_some_and(|at| now < *at + 10 * SECOND);
            if lately {
                continue;
            }
            publisher.repaired.insert(number, now);
            let numbers = NumberRange { first: number, last: number };
            sent.push(if number >= publisher.journal_from {
                publisher.frame(number)
            } else {
                LogMessage::Lost(Lost { publisher: samples::publisher(), line, numbers })
            });
        }
        self.repairs += sent.len();
        for message in sent {
            self.append(message);
        }
    }

    fn at(&self, position: usize) -> Located {
        samples::located(position, self.log[position].0)
    }

    fn advance(&mut self) {
        self.find_place();
        while self.position < self.log.len() && self.machine.room() > 0 {
            let message = self.log[self.position].1.clone();
            self.machine.hear(message, self.at(self.position), self.now).expect("fit to be heard");
            self.position += 1;
            self.purge();
        }
        self.purge();
        let mut search = self.machine.look_up(self.now);
        while let Some(from) = search {
            self.search(from);
            search = self.machine.searched(self.now);
        }
        self.purge();
        self.check_floors();
        if self.machine.has_cursor() {
            self.cursor = self.machine.cursor();
        }
    }

    fn search(&mut self, from: SearchFrom) {
        for position in self.first..self.log.len() {
            let (time, message) = self.log[position].clone();
            let early = matches!(from, SearchFrom::Since(since) if time < since);
            if !early && !self.machine.find(message, self.at(position), self.now) {
                return;
            }
            self.purge();
        }
    }

    /// The cache works, and answers at once.
    fn purge(&mut self) {
        self.machine.tick(self.now);
        if self.machine.ask(self.now) {
            self.machine.able(samples::abilities(100), self.now);
        }
        while let Some(job) = self.machine.take(self.now) {
            for purge in &job.batch.purges {
                match &purge.selector {
                    Selector::Everything => self.flushed_at.push(self.now),
                    selector => drop(self.purged.insert(selector.clone())),
                }
            }
            self.machine.done(job.id, Ok(Fetches::Unfenced), self.now);
        }
    }

    /// A floor passes only what was purged, or flushed after it was committed.
    fn check_floors(&mut self) {
        for line in self.machine.report(self.now).lines {
            let publisher = self.publishers.iter().find(|publisher| publisher.line == line.line);
            let publisher = publisher.expect("a line of ours");
            assert_eq!(line.base, 0);
            assert!(line.finished <= line.applied);
            let checked = self.checked.entry(line.line).or_default();
            for number in *checked + 1..=line.applied {
                let committed_at =
                    publisher.committed_at[usize::try_from(number - 1).expect("small")];
                let purged = self.purged.contains(&tag(line.line, number));
                let flushed = self.flushed_at.last().is_some_and(|at| *at >= committed_at);
                assert!(purged || flushed, "the floor passed {number}");
            }
            *checked = line.applied.max(*checked);
        }
    }

    pub(super) fn flushes_for_holes(&mut self) -> usize {
        let begun = self.machine.drain_flushes();
        begun.into_iter().filter(|cause| *cause == Cause::Hole).count()
    }

    pub(super) fn settled(&mut self) -> bool {
        let lines = self.machine.report(self.now).lines;
        self.publishers.iter().all(|publisher| {
            let line = lines.iter().find(|line| line.line == publisher.line);
            let finished = line.map_or(0, |line| line.finished);
            finished == publisher.head()
        })
    }
}
