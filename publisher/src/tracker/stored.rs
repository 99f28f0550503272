//! What the tracker keeps over restarts: who is registered, with floors and bases, and times of settling.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::{
    AgentName, CacheName, CacheReport, Incarnation, LaneReport, LineId, LineReport, Number,
    NumberRange, Orders, Priority, PublisherName, Report, Retirement,
};

use super::lane::Lane;
use super::line::{Change, Line};
use super::pass::{Timed, UnstoredTimes};
use super::range::within_bounds;
use super::registry::{Agent, Instance, Registered};
use super::scope::KindAbilities;
use super::{OwnLine, Tracker};

mod members;

/// A lane's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    pub(super) agent: AgentName,
    pub(super) cache: CacheName,
    pub(super) priority: Priority,
}

/// A lane without its lines.
#[derive(Debug)]
pub(super) struct LaneRow {
    pub(super) key: LaneKey,
    pub(super) departed: bool,
    /// A report of this lane alone, without lines, at the time it was last named.
    pub(super) report: Report,
}

/// A line of a lane without its times.
#[derive(Debug)]
pub(super) struct LineRow {
    pub(super) lane: LaneKey,
    pub(super) owed_from: Number,
    pub(super) judged: Vec<(NumberRange, KindAbilities)>,
    pub(super) report: LineReport,
}

/// Where the times of a pass belong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PassKey {
    pub(super) lane: LaneKey,
    pub(super) line: LineId,
    pub(super) last_pass: bool,
}

/// A line that this publisher numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnLineRow {
    pub(super) line: LineId,
    pub(super) priority: Priority,
    pub(super) since: Timestamp,
}

/// What has changed since it was last stored.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    pub(super) instances: Vec<(AgentName, Vec<Instance>)>,
    pub(super) lanes: Vec<LaneRow>,
    pub(super) lines: Vec<LineRow>,
    pub(super) times: Vec<(PassKey, UnstoredTimes)>,
    pub(super) forgotten: Vec<(LaneKey, LineId)>,
    pub(super) own_lines: Vec<OwnLineRow>,
    /// Agents to forget with all their lanes, before anything else is written.
    pub(super) removed: Vec<AgentName>,
    pub(super) retirements: Vec<RetirementRow>,
    pub(super) publishers: Vec<PublisherRow>,
    /// All that a publisher has ordered, for each of whom that has changed.
    pub(super) orders: Vec<Orders>,
    /// Keys of retirements, and names of publishers, to forget.
    pub(super) forgotten_retirements: Vec<String>,
    pub(super) forgotten_publishers: Vec<PublisherName>,
}

/// That someone was retired.
#[derive(Debug)]
pub(super) struct RetirementRow {
    pub(super) retirement: Retirement,
    pub(super) returned_at: Option<Timestamp>,
}

/// What a publisher announced.
#[derive(Debug)]
pub(super) struct PublisherRow {
    pub(super) incarnation: Incarnation,
    pub(super) heard_at: Option<Timestamp>,
}

/// All that is stored.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) instances: BTreeMap<AgentName, Vec<Instance>>,
    pub(super) lanes: Vec<LaneRow>,
    pub(super) lines: Vec<LineRow>,
    pub(super) times: BTreeMap<PassKey, Vec<Timed>>,
    pub(super) own_lines: Vec<OwnLineRow>,
    pub(super) retirements: Vec<RetirementRow>,
    pub(super) publishers: Vec<PublisherRow>,
    pub(super) orders: Vec<Orders>,
}

impl Unstored {
    /// Whether nothing has changed.
    pub(super) fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.own_lines.is_empty()
            && self.removed.is_empty()
            && self.retirements.is_empty()
            && self.publishers.is_empty()
            && self.orders.is_empty()
    }
}

impl Tracker {
    /// What has changed since this was last asked. That agents were heard and said nothing new is told only
    /// `with_heartbeats`.
    pub(super) fn take_unstored(&mut self, with_heartbeats: bool) -> Unstored {
        let mut unstored = Unstored::default();
        for (name, agent) in self.registry.agents_mut() {
            let changed = take_unstored_lanes(name, agent, &mut unstored);
            if changed || (with_heartbeats && agent.unstored) {
                agent.unstored = false;
                let instances = agent.others.iter().copied().chain([agent.latest]).collect();
                unstored.instances.push((name.clone(), instances));
            }
        }
        for (line, own) in self.own_lines.iter_mut().filter(|(_, own)| !own.stored) {
            own.stored = true;
            let OwnLine { priority, since, .. } = *own;
            unstored.own_lines.push(OwnLineRow { line: *line, priority, since });
        }
        unstored.removed.append(&mut self.registry.removed);
        self.take_unstored_members(&mut unstored);
        unstored.orders = self.standing_orders.take_unstored();
        unstored
    }

    /// From now on, nothing counts as stored.
    pub(super) fn store_everything(&mut self) {
        for (_, agent) in self.registry.agents_mut() {
            for lane in agent.caches.values_mut().flat_map(|cache| cache.lanes.values_mut()) {
                lane.unstored = true;
                lane.lines.values_mut().for_each(|line| line.unstored = true);
            }
        }
    }

    /// Takes back what was stored. To be called before anything else.
    pub(super) fn restore(&mut self, stored: Stored) {
        let Stored { instances, lanes, lines, times, own_lines, .. } = stored;
        let mut agents = BTreeMap::new();
        for row in lanes {
            let instances = instances.get(&row.key.agent).map_or(&[][..], Vec::as_slice);
            let agent = agents
                .entry(row.key.agent.clone())
                .or_insert_with(|| agent_of(&row.report, instances));
            restore_lane(agent, row);
        }
        for row in lines {
            if let Some(lane) = lane_of(&mut agents, &row.lane) {
                restore_line(lane, row);
            }
        }
        for (key, times) in times {
            let lane = lane_of(&mut agents, &key.lane);
            if let Some(line) = lane.and_then(|lane| lane.lines.get_mut(&key.line)) {
                let pass = if key.last_pass { &mut line.finished } else { &mut line.applied };
                pass.restore(times);
            }
        }
        for (name, agent) in agents {
            self.registry.restore(name, agent);
        }
        for OwnLineRow { line, priority, since } in own_lines {
            self.own_line(line, priority, since).stored = true;
        }
        self.restore_members(stored.retirements, stored.publishers);
        self.standing_orders.restore(stored.orders);
    }
}

/// Answers whether there were any.
fn take_unstored_lanes(name: &AgentName, agent: &mut Agent, unstored: &mut Unstored) -> bool {
    let rows_before = unstored.lanes.len() + unstored.lines.len();
    let named = agent.lanes(name).filter(|registered| registered.lane.unstored);
    unstored.lanes.extend(named.map(|registered| lane_row(&registered)));
    for (cache_name, cache) in &mut agent.caches {
        for (priority, lane) in &mut cache.lanes {
            let key =
                LaneKey { agent: name.clone(), cache: cache_name.clone(), priority: *priority };
            lane.unstored = false;
            let forgotten = lane.forgotten.drain(..).map(|line| (key.clone(), line));
            unstored.forgotten.extend(forgotten);
            for (id, line) in lane.lines.iter_mut().filter(|(_, line)| line.unstored) {
                line.unstored = false;
                take_unstored_line(&key, *id, line, unstored);
            }
        }
    }
    unstored.lanes.len() + unstored.lines.len() > rows_before
}

fn take_unstored_line(owner: &LaneKey, id: LineId, line: &mut Line, unstored: &mut Unstored) {
    for (last_pass, pass) in [(false, &mut line.applied), (true, &mut line.finished)] {
        if let Some(times) = pass.take_unstored() {
            unstored.times.push((PassKey { lane: owner.clone(), line: id, last_pass }, times));
        }
    }
    let range = |first: &Number, last: &Number| NumberRange { first: *first, last: *last };
    unstored.lines.push(LineRow {
        lane: owner.clone(),
        owed_from: line.owed_from,
        judged: line
            .judged
            .iter()
            .map(|(at, kinds)| (range(at.start(), at.end()), *kinds))
            .collect(),
        report: LineReport {
            line: id,
            base: line.base,
            applied: line.applied.floor(),
            applied_above: line.applied.above(),
            finished: line.finished.floor(),
            finished_above: line.finished.above(),
            exceptions: line
                .exceptions
                .iter()
                .map(|(at, outcome)| (range(at.start(), at.end()), *outcome))
                .collect(),
            holes: line.holes.iter().map(|at| range(at.start(), at.end())).collect(),
        },
    });
}

fn lane_row(registered: &Registered<'_>) -> LaneRow {
    let Registered { agent_name, agent, cache_name, cache, priority, lane } = *registered;
    let (instance, life) = lane.life;
    let lane_report = LaneReport {
        ready: lane.ready,
        circuit: lane.circuit,
        last_error: lane.last_error.clone(),
        lag: lane.lag,
        oldest_unsettled_us: lane.oldest_unsettled_us,
        outcomes: lane.outcomes,
        ..LaneReport::new(priority, life)
    };
    LaneRow {
        key: LaneKey { agent: agent_name.clone(), cache: cache_name.clone(), priority },
        departed: lane.departed,
        report: Report {
            agent: agent_name.clone(),
            instance,
            sequence: agent.latest.sequence,
            region: agent.region.clone(),
            at: lane.heard_at,
            caches: vec![CacheReport {
                cache: cache_name.clone(),
                driver: cache.driver.clone(),
                sites: cache.sites.clone(),
                abilities: cache.abilities.clone(),
                lanes: vec![lane_report],
            }],
            clocks: Vec::new(),
        },
    }
}

fn agent_of(report: &Report, instances: &[Instance]) -> Agent {
    let mut instances = instances.to_vec();
    instances.sort_by_key(|instance| instance.heard_at);
    let alone = Instance { id: report.instance, sequence: report.sequence, heard_at: report.at };
    let latest = instances.pop().unwrap_or(alone);
    let mut agent = Agent::new(report.region.clone(), latest);
    agent.others = instances;
    agent.unstored = false;
    agent
}

fn restore_lane(agent: &mut Agent, row: LaneRow) {
    let Report { instance, at, caches, .. } = row.report;
    for report in caches {
        let cache = agent.caches.entry(report.cache).or_default();
        cache.driver = report.driver;
        cache.sites = report.sites;
        cache.abilities = report.abilities;
        for lane_report in report.lanes {
            let mut lane = Lane::new((instance, lane_report.life), at);
            lane.report(instance, lane_report, Change::NONE, at);
            lane.departed = row.departed;
            lane.unstored = false;
            cache.lanes.insert(row.key.priority, lane);
        }
    }
}

fn restore_line(owner: &mut Lane, row: LineRow) {
    let mut line = Line::new(row.report.base, owner.heard_at);
    line.report(&row.report, false, Change::NONE, owner.heard_at);
    line.owed_from = row.owed_from;
    for (numbers, kinds) in row.judged {
        if let Some(range) = within_bounds(numbers) {
            line.judged.insert(range, kinds);
        }
    }
    line.applied.restore([]);
    line.finished.restore([]);
    line.unstored = false;
    owner.lines.insert(row.report.line, line);
}

fn lane_of<'a>(agents: &'a mut BTreeMap<AgentName, Agent>, key: &LaneKey) -> Option<&'a mut Lane> {
    agents.get_mut(&key.agent)?.caches.get_mut(&key.cache)?.lanes.get_mut(&key.priority)
}
