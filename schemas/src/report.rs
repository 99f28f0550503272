//! An agent's latest word on the board: its caches, floors, exceptions, holes, counts and clock.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentName, CacheName, DeadLetters, LanePause, LineId, Mode, Number, NumberRange, Outcome,
    Priority, PublisherName, Region, SelectorKind, SiteName,
};

/// One agent's latest word.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who speaks.
    pub agent: AgentName,
    /// Random, kept in the state folder: two of them under one name are two agents.
    pub instance: Uuid,
    /// Rises with every report of this instance, over restarts too.
    pub sequence: u64,
    /// The region it serves.
    pub region: Region,
    /// When it was made, on the agent's clock.
    pub at: Timestamp,
    /// Its caches.
    pub caches: Vec<CacheReport>,
    /// How its clock stands to those of the publishers it hears; ascending by publisher, one each.
    pub clocks: Vec<ClockReading>,
}

/// One agent's view of one publisher's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReading {
    /// Whose clock.
    pub publisher: PublisherName,
    /// The least of (agent's clock when it heard a heartbeat) - (publisher's clock in it) of late, in microseconds:
    /// the agent's lead plus the shortest way here. Together with the way back it bounds the lead.
    pub heard_after_us: i64,
}

/// One cache and its two lanes.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheReport {
    /// The cache.
    pub cache: CacheName,
    /// Its kind: `varnish`, `redis`, `edge`.
    pub driver: String,
    /// The sites it holds; `None`: every site.
    pub sites: Option<BTreeSet<SiteName>>,
    /// What it can purge; `None` until the cache has answered.
    pub abilities: Option<Abilities>,
    /// Its lanes, one per priority.
    pub lanes: Vec<LaneReport>,
}

/// One lane.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneReport {
    /// Which of the cache's lanes.
    pub priority: Priority,
    /// Which life of its cursor.
    pub life: u64,
    /// Whether its floor has reached the heads seen at its start and no flush is due.
    pub ready: bool,
    /// Whether it purges, or probes with real pending work.
    pub circuit: CircuitState,
    /// The latest trouble, for humans.
    pub last_error: Option<String>,
    /// Numbers known and not settled, holes included.
    pub lag: u64,
    /// Age in microseconds of the oldest number heard and not settled.
    pub oldest_unsettled_us: Option<u64>,
    /// What became of everything so far, since the lane started.
    pub outcomes: OutcomeCounts,
    /// Progress per line.
    pub lines: Vec<LineReport>,
    /// Orders in force that it has carried out; ascending.
    pub obeyed: Vec<Uuid>,
    /// What its cache refused.
    pub dead_letters: DeadLetters,
    /// The pauses that it obeys; ascending by id.
    pub paused: Vec<LanePause>,
}

impl LaneReport {
    /// Of a lane of which no more is known.
    pub fn new(priority: Priority, life: u64) -> Self {
        Self {
            priority,
            life,
            ready: false,
            circuit: CircuitState::Closed,
            last_error: None,
            lag: 0,
            oldest_unsettled_us: None,
            outcomes: OutcomeCounts::default(),
            lines: Vec::new(),
            obeyed: Vec::new(),
            dead_letters: DeadLetters::default(),
            paused: Vec::new(),
        }
    }
}

/// Progress on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineReport {
    /// The line.
    pub line: LineId,
    /// Where the lane began: it owes what lies above.
    pub base: Number,
    /// All numbers up to here have been purged once.
    pub applied: Number,
    /// What has been purged once above `applied`.
    pub applied_above: Vec<NumberRange>,
    /// All numbers up to here have had their last pass.
    pub finished: Number,
    /// What has had its last pass above `finished`.
    pub finished_above: Vec<NumberRange>,
    /// Outcomes other than `purged`; `not_ours` and `unsupported` are never listed.
    pub exceptions: Vec<(NumberRange, Outcome)>,
    /// Numbers known of and not heard for longer than the grace.
    pub holes: Vec<NumberRange>,
}

impl LineReport {
    /// Of a line of which a lane has heard nothing.
    pub fn new(line: LineId) -> Self {
        Self {
            line,
            base: 0,
            applied: 0,
            applied_above: Vec::new(),
            finished: 0,
            finished_above: Vec::new(),
            exceptions: Vec::new(),
            holes: Vec::new(),
        }
    }
}

/// Whether a lane trusts its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// It purges.
    Closed,
    /// It failed repeatedly; real pending work is tried after each wait.
    Open,
}

/// How often each outcome was given, in the order of [`Outcome::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeCounts([u64; Outcome::ALL.len()]);

impl OutcomeCounts {
    /// Counts `numbers` more.
    pub fn add(&mut self, outcome: Outcome, numbers: u64) {
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(numbers);
    }

    /// How many there were of `outcome`.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// As an array in the order of [`Outcome::ALL`].
    pub fn to_array(self) -> [u64; Outcome::ALL.len()] {
        self.0
    }

    /// From an array in the order of [`Outcome::ALL`].
    pub fn from_array(counts: [u64; Outcome::ALL.len()]) -> Self {
        Self(counts)
    }
}

/// What a cache can do with one kind of selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// It purges them.
    Supported,
    /// It may hold such objects but cannot purge them so: `unsupported`, which blocks.
    Unsupported,
    /// It never holds such objects: `not_ours`.
    NotHeld,
}

/// What a cache understands, found by probing where it can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Abilities {
    /// Exact URLs.
    pub url: Ability,
    /// URLs with any query.
    pub url_any_query: Ability,
    /// Path prefixes of whole segments.
    pub prefix: Ability,
    /// Tags.
    pub tag: Ability,
    /// Raw keys of a data cache.
    pub key: Ability,
    /// The whole site.
    pub everything: Ability,
    /// Whether it can mark stale; else a soft purge is done hard.
    pub soft: bool,
    /// Most selectors in one batch.
    pub batch_selectors_max: u32,
    /// How it works, in words for `caches`: "xkey", "plain PURGE".
    pub manner: String,
}

impl Abilities {
    /// Of a cache of pages that understands every kind of selector and removes what it purges.
    pub fn of_pages(batch_selectors_max: u32, manner: impl Into<String>) -> Self {
        Self {
            url: Ability::Supported,
            url_any_query: Ability::Supported,
            prefix: Ability::Supported,
            tag: Ability::Supported,
            key: Ability::NotHeld,
            everything: Ability::Supported,
            soft: false,
            batch_selectors_max,
            manner: manner.into(),
        }
    }

    /// What it can do with selectors of `kind`.
    pub fn of(&self, kind: SelectorKind) -> Ability {
        match kind {
            SelectorKind::Url => self.url,
            SelectorKind::UrlAnyQuery => self.url_any_query,
            SelectorKind::Prefix => self.prefix,
            SelectorKind::Tag => self.tag,
            SelectorKind::Key => self.key,
            SelectorKind::Everything => self.everything,
        }
    }

    /// The mode in which it carries out `mode`: never a weaker one.
    pub fn mode_for(&self, mode: Mode) -> Mode {
        if self.soft { mode } else { Mode::Hard }
    }
}
