//! A whole lane under random loss, repetition, permutation, failures and crashes, checked after every step.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Partition, Position};
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::{
    Abilities, Ability, Audience, Cursor, Frame, Heartbeat, Invalidation, LineId, LogMessage, Mode,
    Number, Outcome, Priority, Selector, Site, Sites,
};

use super::{Failure, Job, Machine, Purpose};
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::Purge;
use crate::ledger::Located;

const LAST_DELAY: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(10);

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A frame with these tags is committed; the log keeps it so many times, so many steps later.
    Publish { tags: Vec<u8>, copies: usize, late: usize },
    /// The lane reads so many messages.
    Read(usize),
    /// The oldest batch under way comes back.
    Land(Answer),
    /// Time passes.
    Wait(u64),
    /// The agent dies and begins again from its cursor.
    Crash,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Purged,
    Unavailable,
    /// The cache refuses the batch if it holds the bad tag.
    Judged,
}

/// A tag that the judging cache refuses.
const BAD: u8 = 9;
/// Stands for the whole site, which includes every tag.
const EVERYTHING: u8 = 8;
/// Unsettled numbers held at most.
const WINDOW: usize = 12;
/// So few that holes between them never fill the window: only a flush would help then.
const COMMITTED_MAX: usize = 24;

fn step() -> impl Strategy<Value = Step> {
    let tags = prop::collection::vec(
        prop_oneof![16 => 0u8..6, 2 => Just(BAD), 1 => Just(EVERYTHING)],
        1..4,
    );
    prop_oneof![
        4 => (tags, 0usize..3, 0usize..6)
            .prop_map(|(tags, copies, late)| Step::Publish { tags, copies, late }),
        4 => (1usize..6).prop_map(Step::Read),
        6 => prop_oneof![
            4 => Just(Answer::Purged),
            1 => Just(Answer::Unavailable),
            2 => Just(Answer::Judged),
        ].prop_map(Step::Land),
        3 => (1u64..4_000).prop_map(Step::Wait),
        1 => Just(Step::Crash),
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
            hole_grace: GRACE,
            hole_deadline: Duration::from_secs(1_000_000),
            window: WINDOW,
            rebound_selectors: 20,
            ..LaneConfig::default()
        },
        rebounds: vec![Duration::from_secs(1), LAST_DELAY],
        templates: BTreeSet::new(),
        ready_fail_open_after: Some(GRACE),
        retention: Duration::from_hours(24),
    }
}

fn abilities() -> Abilities {
    let yes = Ability::Supported;
    Abilities {
        url: yes,
        url_any_query: yes,
        prefix: yes,
        tag: yes,
        key: Ability::NotHeld,
        everything: yes,
        soft: false,
        batch_selectors_max: 3,
        manner: "a model".to_owned(),
    }
}

fn named(tag: u8) -> Selector {
    if tag == EVERYTHING {
        return Selector::Everything;
    }
    Selector::Tag(format!("t{tag}").parse().expect("a tag"))
}

struct World {
    now: Moment,
    line: LineId,
    committed: Vec<Vec<u8>>,
    log: Vec<LogMessage>,
    late: Vec<(usize, LogMessage)>,
    read_up_to: usize,
    machine: Machine,
    cursor: Option<Cursor>,
    flights: Vec<(Moment, Job)>,
    /// Per tag, every purge that succeeded: when it began and when it came back.
    purged: HashMap<u8, Vec<(Moment, Moment)>>,
    heard_at: HashMap<Number, Moment>,
    bad_refused: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Moment::ZERO,
            line: LineId::from_bytes([3; 16]),
            committed: Vec::new(),
            log: Vec::new(),
            late: Vec::new(),
            read_up_to: 0,
            machine: Self::machine(None, Moment::ZERO),
            cursor: None,
            flights: Vec::new(),
            purged: HashMap::new(),
            heard_at: HashMap::new(),
            bad_refused: false,
        };
        world.machine.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
        // The join is over: a line heard from now on begins at 1.
        world.wait(Duration::from_secs(3));
        world.cursor = Some(world.machine.cursor());
        world
    }

    fn machine(cursor: Option<&Cursor>, now: Moment) -> Machine {
        Machine::new(purpose(), cursor, None, fastrand::Rng::with_seed(5), now)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { tags, copies, late } => self.publish(tags, copies, late),
            Step::Read(count) => self.read(count),
            Step::Land(answer) => self.land(answer),
            Step::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Step::Crash => self.crash(),
        }
        self.late.iter_mut().for_each(|(steps, _)| *steps = steps.saturating_sub(1));
        let landed = self.late.extract_if(.., |(steps, _)| *steps == 0);
        self.log.extend(landed.map(|(_, message)| message));
        self.advance();
    }

    fn frame(&self, first: Number) -> LogMessage {
        let at = usize::try_from(first - 1).expect("small");
        let invalidation = |tags: &Vec<u8>| Invalidation {
            id: uuid::Uuid::nil(),
            site: "main".parse().expect("a name"),
            selectors: tags.iter().map(|t| named(*t)).collect(),
            mode: Mode::Hard,
            priority: Priority::Normal,
            audience: Audience::All,
            accepted_at: Timestamp::UNIX_EPOCH,
            expires_in: None,
            after: None,
            reason: None,
            labels: std::collections::BTreeMap::default(),
        };
        LogMessage::Frame(Frame {
            publisher: "p".parse().expect("a name"),
            line: self.line,
            first,
            committed_at: Timestamp::UNIX_EPOCH,
            invalidations: vec![invalidation(&self.committed[at])],
            signature: None,
        })
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
        self.log.push(LogMessage::Heartbeat(Heartbeat {
            publisher: "p".parse().expect("a name"),
            at: Timestamp::UNIX_EPOCH,
            lines: vec![(self.line, self.committed.len() as Number)],
            agents: None,
        }));
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
            let at = Located {
                partition: Partition(0),
                position: Position(self.read_up_to as u64),
                time: Timestamp::UNIX_EPOCH,
            };
            self.machine.hear(message, at, self.now).expect("fit to be heard");
            self.read_up_to += 1;
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
                Err(Failure::Refused { error: "bad".to_owned() })
            }
            Answer::Purged | Answer::Judged => {
                for Purge { selector, .. } in &job.batch.purges {
                    let name = (0..=BAD).find(|t| named(*t) == *selector).expect("a tag of ours");
                    self.purged.entry(name).or_default().push((started, self.now));
                }
                Ok(())
            }
        };
        self.machine.done(job.id, result, self.now);
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
        self.machine = Self::machine(Some(&cursor), self.now);
        self.cursor = Some(cursor);
    }

    fn advance(&mut self) {
        self.machine.tick(self.now);
        if self.machine.ask(self.now) {
            self.machine.able(abilities(), self.now);
        }
        while let Some(job) = self.machine.take(self.now) {
            assert!(job.batch.purges.len() <= 3, "a batch is larger than the cache allows");
            let distinct: BTreeSet<_> = job.batch.purges.iter().map(|p| &p.selector).collect();
            assert_eq!(distinct.len(), job.batch.purges.len(), "a selector stands twice");
            self.flights.push((self.now, job));
        }
        assert!(self.machine.sizes().unsettled <= WINDOW, "the window is a limit");
        self.check_floors();
        if self.machine.has_cursor() {
            self.cursor = Some(self.machine.cursor());
        }
    }

    /// When the first purge of `tag` that began at `from` or later came back.
    fn purged_since(&self, tag: u8, from: Moment) -> Option<Moment> {
        let purges =
            [tag, EVERYTHING].into_iter().filter_map(|tag| self.purged.get(&tag)).flatten();
        purges.filter(|(began, _)| *began >= from).map(|(_, back)| *back).min()
    }

    /// A floor never passes a number that was not purged after it was heard, nor one that was not heard.
    fn check_floors(&mut self) {
        let report = self.machine.report(self.now);
        let Some(line) = report.lines.first() else { return };
        for number in 1..=line.applied {
            let heard = self.heard_at.get(&number).expect("a floor passed a hole");
            for tag in &self.committed[usize::try_from(number - 1).expect("small")] {
                let settled = self.purged_since(*tag, *heard);
                let refused = *tag == BAD && self.bad_refused;
                assert!(settled.is_some() || refused, "floor {} passed {number}", line.applied);
                if let (true, Some(settled)) = (number <= line.finished, settled) {
                    let last = self.purged_since(*tag, settled + LAST_DELAY);
                    assert!(last.is_some() || refused, "{number} is final without its last pass");
                }
            }
        }
        assert!(line.finished <= line.applied);
    }

    /// Everything committed so far lands at last or is lost; the cache works again.
    fn quiesce(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.log.extend(late.into_iter().map(|(_, message)| message));
        self.heartbeat();
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_number_ends_final_or_is_reported_as_a_hole(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.quiesce();
        let appended: BTreeSet<Number> = world.log.iter().filter_map(|message| match message {
            LogMessage::Frame(frame) => Some(frame.first),
            _ => None,
        }).collect();
        let committed = world.committed.len() as Number;
        let report = world.machine.report(world.now);
        let Some(line) = report.lines.first() else {
            prop_assert_eq!(committed, 0);
            return Ok(());
        };
        let holes: BTreeSet<Number> =
            line.holes.iter().flat_map(|hole| hole.first..=hole.last).collect();
        let finished = |number: &Number| {
            *number <= line.finished || line.finished_above.iter().any(|range| range.contains(*number))
        };
        for number in 1..=committed {
            prop_assert_eq!(finished(&number), appended.contains(&number), "number {}", number);
            prop_assert_eq!(holes.contains(&number), !appended.contains(&number), "hole {}", number);
        }
        prop_assert_eq!(world.machine.sizes().unsettled, 0);
        prop_assert_eq!(world.machine.sizes().rebounds, 0);
        let refused = line.exceptions.iter().filter(|(_, outcome)| *outcome == Outcome::Refused);
        for (range, _) in refused {
            let at = usize::try_from(range.first - 1).expect("small");
            prop_assert!(world.committed[at].contains(&BAD), "a good number became a dead letter");
        }
    }
}
