//! What the audit trail is told of the tracker's books, so that years later it can be told from the trail alone who owed an
//! invalidation and when they had done it.
//!
//! Once a second, what has changed: a lane (`lane`), how far it has come on a line of our own (`progress`), an agent that
//! owes nothing any more (`agent_gone`). At the start and once a day, everything.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::api::{InvalidationFacts, Progress};
use schemas::{
    Abilities, AgentName, Audience, CacheName, CacheReport, LaneReport, LineId, LineReport, Number,
    NumberRange, Outcome, Place, Priority, PublisherName, Recipients, Region, Report, SelectorKind,
    Site, SiteName, Sites,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Tracker;
use super::pass::Timed;
use super::scope::{KindAbilities, Scope};
use super::stored::{LaneKey, LaneRow, LineRow, OwnLineRow, PassKey, Stored, Unstored};

/// What such lines are called.
pub(crate) const LANE: &str = "lane";
pub(crate) const PROGRESS: &str = "progress";
/// Every lane was told.
pub(crate) const LANES: &str = "lanes";
pub(crate) const AGENT_GONE: &str = "agent_gone";

/// Most lines told a second: a large fleet is told less often, each lane in its turn.
const LINES_MAX: usize = 200;
/// Most ranges of times that one line tells.
const TIMES_MAX: usize = 256;

type Ranges = Vec<(Number, Number)>;
type Times = Vec<(Number, Number, Timestamp)>;

/// What is not told yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// The day on which everything was told.
    pub(super) whole: Option<Date>,
    gone: Vec<AgentName>,
    lanes: Vec<LaneTold>,
    lines: BTreeMap<(LaneKey, String), LineTold>,
}

/// A lane, without its lines.
#[derive(Debug, Serialize, Deserialize)]
struct LaneTold {
    agent: AgentName,
    cache: CacheName,
    priority: Priority,
    region: Region,
    sites: Option<BTreeSet<SiteName>>,
    driver: String,
    abilities: Option<Abilities>,
    instance: Uuid,
    life: u64,
    ready: bool,
    departed: bool,
}

/// How far a lane has come on a line.
#[derive(Debug, Serialize, Deserialize)]
struct LineTold {
    agent: AgentName,
    cache: CacheName,
    priority: Priority,
    line: String,
    base: Number,
    owed_from: Number,
    applied: Number,
    applied_above: Ranges,
    applied_at: Times,
    #[serde(rename = "final")]
    finished: Number,
    final_above: Ranges,
    final_at: Times,
    exceptions: Vec<(Number, Number, Outcome)>,
    judged: Vec<(Number, Number, u16)>,
}

impl Untold {
    /// Takes what is about to be stored, of lines of our own.
    pub(super) fn take(&mut self, unstored: &Unstored, is_own: impl Fn(&LineRow) -> bool) {
        self.gone.extend(unstored.removed.iter().cloned());
        self.lines.retain(|(key, _), _| !unstored.removed.contains(&key.agent));
        self.lanes.extend(unstored.lanes.iter().filter_map(LaneTold::of));
        for row in unstored.lines.iter().filter(|row| is_own(row)) {
            let key = (row.lane.clone(), row.report.line.to_string());
            let before = self.lines.remove(&key);
            let mut told = LineTold::of(row);
            if let Some(before) = before {
                (told.applied_at, told.final_at) = (before.applied_at, before.final_at);
            }
            self.lines.insert(key, told);
        }
        for (PassKey { lane, line, last_pass }, times) in &unstored.times {
            let Some(told) = self.lines.get_mut(&(lane.clone(), line.to_string())) else {
                continue;
            };
            let at = if *last_pass { &mut told.final_at } else { &mut told.applied_at };
            let times = times.times.iter().map(|it| (it.numbers.first, it.numbers.last, it.at));
            at.extend(times);
            at.drain(..at.len().saturating_sub(TIMES_MAX));
        }
    }

    /// Some of it, as what happened and its facts; `all` of it at the end. After every lane, that they are all.
    pub(super) fn told(&mut self, every_lane: bool, all: bool) -> Vec<(&'static str, Value)> {
        let mut told = Vec::new();
        let value = |told: serde_json::Result<Value>| told.unwrap_or_default();
        told.extend(
            self.gone.drain(..).map(|agent| (AGENT_GONE, serde_json::json!({"agent": agent}))),
        );
        told.extend(self.lanes.drain(..).map(|lane| (LANE, value(serde_json::to_value(lane)))));
        if every_lane {
            told.push((LANES, serde_json::json!({})));
        }
        for _ in 0..if all { usize::MAX } else { LINES_MAX } {
            let Some((_, line)) = self.lines.pop_first() else { break };
            told.push((PROGRESS, value(serde_json::to_value(line))));
        }
        told
    }
}

impl LaneTold {
    fn of(row: &LaneRow) -> Option<Self> {
        let cache = row.report.caches.first()?;
        let lane = cache.lanes.first()?;
        Some(Self {
            agent: row.key.agent.clone(),
            cache: row.key.cache.clone(),
            priority: row.key.priority,
            region: row.report.region.clone(),
            sites: cache.sites.clone(),
            driver: cache.driver.clone(),
            abilities: cache.abilities.clone(),
            instance: row.report.instance,
            life: lane.life,
            ready: lane.ready,
            departed: row.departed,
        })
    }

    fn key(&self) -> LaneKey {
        let Self { agent, cache, priority, .. } = self;
        LaneKey { agent: agent.clone(), cache: cache.clone(), priority: *priority }
    }

    fn row(&self, at: Timestamp) -> LaneRow {
        let report = LaneReport { ready: self.ready, ..LaneReport::new(self.priority, self.life) };
        let cache = CacheReport {
            cache: self.cache.clone(),
            driver: self.driver.clone(),
            sites: self.sites.clone(),
            abilities: self.abilities.clone(),
            lanes: vec![report],
        };
        LaneRow {
            key: self.key(),
            departed: self.departed,
            report: Report {
                agent: self.agent.clone(),
                instance: self.instance,
                sequence: 0,
                region: self.region.clone(),
                at,
                caches: vec![cache],
                clocks: Vec::new(),
            },
        }
    }
}

impl LineTold {
    fn of(row: &LineRow) -> Self {
        let LineRow { lane, owed_from, judged, report } = row;
        let ranges = |ranges: &[NumberRange]| ranges.iter().map(|at| (at.first, at.last)).collect();
        Self {
            agent: lane.agent.clone(),
            cache: lane.cache.clone(),
            priority: lane.priority,
            line: report.line.to_string(),
            base: report.base,
            owed_from: *owed_from,
            applied: report.applied,
            applied_above: ranges(&report.applied_above),
            applied_at: Vec::new(),
            finished: report.finished,
            final_above: ranges(&report.finished_above),
            final_at: Vec::new(),
            exceptions: report.exceptions.iter().map(|(at, it)| (at.first, at.last, *it)).collect(),
            judged: judged.iter().map(|(at, kinds)| (at.first, at.last, kinds.bits())).collect(),
        }
    }

    fn key(&self) -> LaneKey {
        let Self { agent, cache, priority, .. } = self;
        LaneKey { agent: agent.clone(), cache: cache.clone(), priority: *priority }
    }

    fn row(&self) -> Option<LineRow> {
        let range = |first, last| NumberRange { first, last };
        let ranges =
            |ranges: &Ranges| ranges.iter().map(|(first, last)| range(*first, *last)).collect();
        let exceptions =
            self.exceptions.iter().map(|(first, last, of)| (range(*first, *last), *of));
        let judged = self.judged.iter();
        Some(LineRow {
            lane: self.key(),
            owed_from: self.owed_from,
            judged: judged
                .map(|(first, last, bits)| (range(*first, *last), KindAbilities::from_bits(*bits)))
                .collect(),
            report: LineReport {
                line: self.line.parse().ok()?,
                base: self.base,
                applied: self.applied,
                applied_above: ranges(&self.applied_above),
                finished: self.finished,
                finished_above: ranges(&self.final_above),
                exceptions: exceptions.collect(),
                holes: Vec::new(),
            },
        })
    }
}

/// Reads from lines of a trail how far one invalidation has come.
#[derive(Debug)]
pub(crate) struct History {
    place: Place,
    scope: Scope,
    facts: InvalidationFacts,
    lanes: BTreeMap<LaneKey, LaneTold>,
    lines: BTreeMap<LaneKey, LineTold>,
    times: BTreeMap<PassKey, Vec<Timed>>,
    /// Whether every lane was told since it was published.
    whole: bool,
}

impl History {
    /// Of what a line of the trail says was published.
    pub(crate) fn of(record: &Value) -> Option<Self> {
        let text = |name: &str| record[name].as_str();
        let site: SiteName = text("site")?.parse().ok()?;
        let line: LineId = text("line")?.parse().ok()?;
        let read = |name: &str| record[name].clone();
        let (mode, priority) = (read("mode"), read("priority"));
        let priority: Priority = serde_json::from_value(priority).ok()?;
        let regions: Option<BTreeSet<Region>> = serde_json::from_value(read("regions")).ok()?;
        let kinds: Vec<SelectorKind> = serde_json::from_value(read("kinds")).ok()?;
        let audience = regions.map_or(Audience::All, Audience::Regions);
        // Left out where all are meant.
        let recipients = Recipients {
            agents: serde_json::from_value(read("agents")).unwrap_or_default(),
            caches: serde_json::from_value(read("caches")).unwrap_or_default(),
        };
        Some(Self {
            place: Place { line, number: record["number"].as_u64()? },
            scope: Scope::from_parts(site.clone(), priority, audience, recipients, kinds),
            facts: InvalidationFacts {
                id: text("id")?.parse().ok()?,
                site,
                published_at: text("at")?.parse().ok()?,
                mode: serde_json::from_value(mode).ok()?,
                priority,
                selectors: serde_json::from_value(read("counts")).ok()?,
                origin: text("replay_of").and_then(|origin| origin.parse().ok()),
            },
            lanes: BTreeMap::new(),
            lines: BTreeMap::new(),
            times: BTreeMap::new(),
            whole: false,
        })
    }

    /// Whether lines of that name tell it something.
    pub(crate) fn reads(what: &str) -> bool {
        [LANE, LANES, PROGRESS, AGENT_GONE].contains(&what)
    }

    /// Takes a line; answers whether how far it has come may be another by now.
    pub(crate) fn take(&mut self, what: &str, line: &[u8]) -> bool {
        match what {
            LANE => {
                if let Ok(lane) = serde_json::from_slice::<LaneTold>(line) {
                    self.lanes.insert(lane.key(), lane);
                }
                false
            }
            LANES => {
                self.whole = true;
                true
            }
            AGENT_GONE => {
                let line: Value = serde_json::from_slice(line).unwrap_or_default();
                let is_gone = |key: &LaneKey| line["agent"].as_str() == Some(key.agent.as_str());
                self.lanes.retain(|key, _| !is_gone(key));
                true
            }
            PROGRESS => self.take_line(line),
            _ => false,
        }
    }

    fn take_line(&mut self, line: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<LineTold>(line) else { return false };
        if line.line != self.place.line.to_string() {
            return false;
        }
        let number = self.place.number;
        for (last_pass, times) in [(false, &line.applied_at), (true, &line.final_at)] {
            let found = times.iter().find(|(first, last, _)| (*first..=*last).contains(&number));
            if let Some((_, _, at)) = found {
                let key = PassKey { lane: line.key(), line: self.place.line, last_pass };
                let numbers = NumberRange { first: number, last: number };
                // The first time that it was told settled is when it was.
                self.times.entry(key).or_insert_with(|| vec![Timed { numbers, at: *at }]);
            }
        }
        self.lines.insert(line.key(), line);
        true
    }

    /// How far it has come, and whether that was told of every lane.
    pub(crate) fn progress(&self, now: Timestamp) -> (Progress, bool) {
        let site =
            Site { name: self.facts.site.clone(), hosts: BTreeSet::new(), regions: Audience::All };
        let name = PublisherName::from_str("trail").expect("it is a name");
        let mut tracker = Tracker::new(name, Arc::new(Sites::new([site])), now);
        let own = OwnLineRow {
            line: self.place.line,
            priority: self.facts.priority,
            since: self.facts.published_at,
        };
        tracker.restore(Stored {
            lanes: self.lanes.values().map(|lane| lane.row(now)).collect(),
            lines: self.lines.values().filter_map(LineTold::row).collect(),
            times: self.times.clone(),
            own_lines: vec![own],
            ..Stored::default()
        });
        (tracker.progress_of(self.place, &self.scope, self.facts.clone(), now), self.whole)
    }
}
