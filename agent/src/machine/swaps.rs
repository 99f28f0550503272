//! A lane on logs that lose, roll back to an older copy, are recreated, trimmed, or replaced by another mirror, with
//! publishers that repair what their journals hold: every number ends heard, repaired, or flushed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Partition, PartitionBounds, Position};
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::{
    Abilities, Ability, Audience, Cursor, Frame, Heartbeat, Invalidation, LineId, LogMessage, Lost,
    Mode, Number, NumberRange, Priority, Selector, Site, Sites,
};

use super::{Machine, Purpose};
use crate::Moment;
use crate::config::LaneConfig;
use crate::flush::Cause;
use crate::ledger::Located;
use crate::lookup::SearchFrom;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Step {
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

fn step() -> impl Strategy<Value = Step> {
    let who = || 0usize..2;
    prop_oneof![
        8 => (who(), prop::bool::weighted(0.2)).prop_map(|(who, lost)| Step::Commit { who, lost }),
        6 => (1u32..15).prop_map(Step::Wait),
        2 => (1usize..30, who(), 0usize..30)
            .prop_map(|(messages, who, more)| Step::RollBack { messages, who, more }),
        1 => (who(), 0usize..60).prop_map(|(who, more)| Step::Recreate { who, more }),
        1 => (1usize..60).prop_map(Step::Trim),
        1 => (1usize..30).prop_map(Step::Mirror),
        2 => Just(Step::Subscribe),
        2 => Just(Step::Crash),
    ]
}

fn purpose() -> Purpose {
    let site = Site {
        name: "main".parse().expect("a name"),
        hosts: ["www.example.com".parse().expect("a host")].into(),
        regions: Audience::All,
    };
    Purpose {
        region: "local".parse().expect("a name"),
        sites: Arc::new(Sites::new([site])),
        priority: Priority::Normal,
        config: LaneConfig {
            starts_empty: true,
            flush_spread: 5 * SECOND,
            window: 20,
            ..LaneConfig::default()
        },
        rebounds: vec![SECOND],
        templates: BTreeSet::new(),
        ready_fail_open_after: None,
        retention: Duration::from_hours(1),
    }
}

fn abilities() -> Abilities {
    let yes = Ability::Supported;
    Abilities {
        url: yes,
        url_any_query: yes,
        prefix: yes,
        tag: yes,
        key: yes,
        everything: yes,
        soft: false,
        batch_selectors_max: 100,
        manner: "a model".to_owned(),
    }
}

fn time(now: Moment) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_hours(1) + now
}

#[derive(Debug)]
struct Publisher {
    line: LineId,
    committed_at: Vec<Moment>,
    journal_from: Number,
    repaired: HashMap<Number, Moment>,
}

impl Publisher {
    fn head(&self) -> Number {
        self.committed_at.len() as Number
    }

    fn frame(&self, number: Number) -> LogMessage {
        LogMessage::Frame(Frame {
            publisher: "p".parse().expect("a name"),
            line: self.line,
            first: number,
            committed_at: Timestamp::UNIX_EPOCH,
            invalidations: vec![Invalidation {
                id: uuid::Uuid::nil(),
                site: "main".parse().expect("a name"),
                selectors: vec![tag(self.line, number)],
                mode: Mode::Hard,
                priority: Priority::Normal,
                audience: Audience::All,
                accepted_at: Timestamp::UNIX_EPOCH,
                expires_in: None,
                after: None,
                reason: None,
                labels: BTreeMap::default(),
            }],
            signature: None,
        })
    }
}

fn tag(line: LineId, number: Number) -> Selector {
    Selector::Tag(format!("{line}-{number}").parse().expect("a tag"))
}

struct World {
    now: Moment,
    log: Vec<(Timestamp, LogMessage)>,
    first: usize,
    position: usize,
    publishers: [Publisher; 2],
    machine: Machine,
    cursor: Cursor,
    purged: HashSet<Selector>,
    checked: HashMap<LineId, Number>,
    flushed_at: Vec<Moment>,
    repairs: usize,
    reported: BTreeSet<Number>,
}

impl World {
    fn new() -> Self {
        let publisher = |digit| Publisher {
            line: LineId::from_bytes([digit; 16]),
            committed_at: Vec::new(),
            journal_from: 1,
            repaired: HashMap::new(),
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
        Machine::new(purpose(), cursor, None, fastrand::Rng::with_seed(5), now)
    }

    fn step(&mut self, step: Step) {
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

    fn commit(&mut self, who: usize, lost: bool) {
        self.publishers[who].committed_at.push(self.now);
        let publisher = &self.publishers[who];
        let frame = publisher.frame(publisher.head());
        if !lost {
            self.append(frame);
        }
    }

    fn write_on(&mut self, who: usize, more: usize) {
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

    fn crash(&mut self) {
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

    fn wait(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now += SECOND;
            self.beat();
            self.advance();
        }
    }

    fn beat(&mut self) {
        let beats = self.publishers.each_ref().map(|publisher| {
            LogMessage::Heartbeat(Heartbeat {
                publisher: "p".parse().expect("a name"),
                at: Timestamp::UNIX_EPOCH,
                lines: vec![(publisher.line, publisher.head())],
                agents: None,
            })
        });
        for beat in beats {
            self.append(beat);
        }
        for (line, hole) in self.holes() {
            self.repair(line, hole);
        }
    }

    fn holes(&mut self) -> Vec<(LineId, NumberRange)> {
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
                LogMessage::Lost(Lost { publisher: "p".parse().expect("a name"), line, numbers })
            });
        }
        self.repairs += sent.len();
        for message in sent {
            self.append(message);
        }
    }

    fn at(&self, position: usize) -> Located {
        let time = self.log[position].0;
        Located { partition: Partition(0), position: Position(position as u64), time }
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
            self.machine.able(abilities(), self.now);
        }
        while let Some(job) = self.machine.take(self.now) {
            for purge in &job.batch.purges {
                match &purge.selector {
                    Selector::Everything => self.flushed_at.push(self.now),
                    selector => drop(self.purged.insert(selector.clone())),
                }
            }
            self.machine.done(job.id, Ok(()), self.now);
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

    fn flushes_for_holes(&mut self) -> usize {
        let begun = self.machine.drain_flushes();
        begun.into_iter().filter(|cause| *cause == Cause::Hole).count()
    }

    fn settled(&mut self) -> bool {
        let lines = self.machine.report(self.now).lines;
        self.publishers.iter().all(|publisher| {
            let line = lines.iter().find(|line| line.line == publisher.line);
            let finished = line.map_or(0, |line| line.finished);
            finished == publisher.head()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_becomes_of_the_log_every_number_ends_heard_or_repaired_and_nobody_flushes(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.wait(100);
        prop_assert!(world.settled(), "{:#?}", world.machine.report(world.now));
        prop_assert_eq!(world.flushes_for_holes(), 0);
        prop_assert_eq!(world.holes(), []);
    }

    #[test]
    fn what_no_journal_holds_any_more_is_flushed(
        steps in prop::collection::vec(
            prop_oneof![9 => step(), 1 => (0usize..5).prop_map(Step::Forget)], 1..40
        )
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.wait(100);
        prop_assert!(world.settled(), "{:#?}", world.machine.report(world.now));
        prop_assert_eq!(world.holes(), []);
    }
}

/// A lane that has read a log of which nobody can repair anything.
fn nothing_to_repair() -> World {
    let mut world = World::new();
    for _ in 0..5 {
        world.commit(0, false);
        world.wait(2);
    }
    for publisher in &mut world.publishers {
        publisher.journal_from = Number::MAX;
    }
    world
}

#[test]
fn another_mirror_is_looked_through_before_anything_is_reported() {
    let mut world = nothing_to_repair();
    let cursor = world.cursor.clone();
    world.write_on(0, 20);
    world.log.drain(..12);
    world.cursor = cursor;
    world.crash();
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn an_older_copy_on_which_others_have_written_on_is_looked_through_before_anything_is_reported() {
    let mut world = nothing_to_repair();
    let beats = world.log.len();
    world.log.truncate(beats - 10);
    world.write_on(1, 30);
    world.step(Step::Subscribe);
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn a_recreated_log_that_has_outgrown_the_place_of_the_lane_is_looked_through() {
    let mut world = nothing_to_repair();
    world.step(Step::Recreate { who: 1, more: 200 });
    world.step(Step::Subscribe);
    world.wait(100);
    assert!(world.settled() && world.reported.is_empty(), "{:?}", world.reported);
}

#[test]
fn what_is_really_lost_is_reported_all_the_same_and_searched_for_once() {
    let mut world = World::new();
    world.wait(30);
    world.commit(0, true);
    world.step(Step::Subscribe);
    world.wait(9);
    assert!(world.holes().is_empty());
    world.wait(15);
    assert_eq!((world.settled(), world.repairs), (true, 1));
}
