//! The pure parts that every number passes, for the benchmarks of `loadtest`; no part of what this crate offers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Partition, Position};
use jiff::Timestamp;
use schemas::{Abilities, Frame, LogMessage, Number, NumberRange, Place, Priority, Sites};

use crate::Moment;
use crate::batch::{Queue, Waiter};
use crate::config::LaneConfig;
use crate::driver::{Batch, Fetches, Purge};
use crate::floor::Floor;
use crate::hear::Hearing;
use crate::ledger::Located;
use crate::machine::{Machine, Purpose};

pub use crate::driver::varnish::cores as varnish;

/// What is heard of a line.
#[derive(Debug)]
pub struct Heard(Hearing);

impl Default for Heard {
    fn default() -> Self {
        Self(Hearing::from_base(0))
    }
}

impl Heard {
    /// Hears these numbers; answers how many ranges of them are new.
    pub fn hear(&mut self, numbers: NumberRange) -> usize {
        self.0.hear(numbers, Moment::ZERO).len()
    }
}

/// What is settled of a line.
#[derive(Debug, Default)]
pub struct Settled(Floor);

impl Settled {
    /// Settles these numbers; answers the floor.
    pub fn settle(&mut self, numbers: NumberRange) -> Number {
        self.0.settle(numbers);
        self.0.number()
    }
}

/// What waits to be purged.
#[derive(Debug, Default)]
pub struct Waiting(Queue);

impl Waiting {
    /// The number at `place` waits for `purge`.
    pub fn add(&mut self, purge: Purge, place: Place) {
        self.0.add(purge, Waiter::Number { place, expires_at: None }, Moment::ZERO);
    }

    /// Takes the next batch of at most `max` selectors and forgets who waits for it.
    pub fn take(&mut self, max: usize) -> Batch {
        self.0.take(max, &|_: &Waiter| false).batch()
    }
}

/// A lane that joined the bus, before a cache that is done at once and has no later passes.
#[derive(Debug)]
pub struct Lane {
    machine: Machine,
    read: u64,
    now: Moment,
}

impl Lane {
    /// Of a cache that holds these sites.
    pub fn new(sites: Arc<Sites>) -> Self {
        let purpose = Purpose {
            region: "local".parse().expect("a name"),
            agent: "edge-1".parse().expect("a name"),
            cache: "varnish".parse().expect("a name"),
            sites,
            priority: Priority::Normal,
            config: LaneConfig { starts_empty: true, ..LaneConfig::default() },
            rebounds: Vec::new(),
            fenced_rebound: None,
            parts: BTreeSet::new(),
            ready_fail_open_after: None,
            retention: Duration::from_hours(1),
        };
        let jitter = fastrand::Rng::with_seed(1);
        let mut machine = Machine::new(purpose, None, None, jitter, Moment::ZERO);
        machine.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
        // It listens for so long before it has joined.
        let now = Duration::from_secs(3);
        machine.tick(now);
        machine.ask(now);
        machine.able(Abilities::of_pages(100, "a cache that is done at once"), now);
        Self { machine, read: 0, now }
    }

    /// Hears a frame and purges what is to be purged; answers how many selectors that were.
    pub fn pass(&mut self, frame: Frame) -> usize {
        let at = Located {
            partition: Partition(0),
            position: Position(self.read),
            time: Timestamp::UNIX_EPOCH,
        };
        self.read += 1;
        let heard = self.machine.hear(LogMessage::Frame(frame), at, self.now);
        heard.expect("a frame of normal priority");
        self.machine.tick(self.now);
        let mut purged = 0;
        while let Some(job) = self.machine.take(self.now) {
            purged += job.batch.purges.len();
            self.machine.done(job.id, Ok(Fetches::Unfenced), self.now);
        }
        purged
    }
}
