//! What is known of one lane: its latest report, and how it stands to an invalidation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rangemap::{RangeInclusiveMap, RangeInclusiveSet};
use schemas::{
    Abilities, CircuitState, LaneReport, LineId, LineReport, Number, NumberRange, Outcome,
    OutcomeCounts, Place, Priority, SiteName,
};
use uuid::Uuid;

use super::pass::Pass;
use super::range::{Numbers, within_bounds};
use super::scope::{Duty, KindAbilities, Scope};

/// Most lines remembered per lane that its reports no longer show.
const LINES_MAX: usize = 1_024;

/// Most ranges of numbers per line that were settled under other abilities than the present ones.
const JUDGED_MAX: usize = 1_024;

/// A cache and its lanes.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Its kind.
    pub(super) driver: String,
    /// The sites it holds; `None`: every site.
    pub(super) sites: Option<BTreeSet<SiteName>>,
    /// The latest that it announced.
    pub(super) abilities: Option<Abilities>,
    /// One per priority.
    pub(super) lanes: BTreeMap<Priority, Lane>,
}

/// One lane as last reported.
#[derive(Debug)]
pub(super) struct Lane {
    /// The instance and the life of the cursor that the floors belong to.
    pub(super) life: (Uuid, u64),
    /// Whether it has caught up since it started, and owes no flush.
    pub(super) ready: bool,
    /// Whether it purges.
    pub(super) circuit: CircuitState,
    /// Its latest trouble.
    pub(super) last_error: Option<String>,
    /// Numbers it knows of and has not settled.
    pub(super) lag: u64,
    /// Age of the oldest of them when it reported.
    pub(super) oldest_unsettled_us: Option<u64>,
    /// What became of everything so far.
    pub(super) outcomes: OutcomeCounts,
    /// When its agent last named it.
    pub(super) heard_at: Timestamp,
    /// Whether its agent reports without naming it any more.
    pub(super) departed: bool,
    /// Its lines, those too that its reports no longer show.
    pub(super) lines: BTreeMap<LineId, Line>,
    /// Whether it is not stored as it stands here, its lines aside.
    pub(super) unstored: bool,
    /// Lines to forget in the store.
    pub(super) forgotten: Vec<LineId>,
}

/// One line of a lane.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the lane's present life began.
    pub(super) base: Number,
    /// Where the first lane of this name began: it and its successors owe what lies above.
    pub(super) owed_from: Number,
    /// First pass.
    pub(super) applied: Pass,
    /// Last pass.
    pub(super) finished: Pass,
    /// Numbers that have not arrived.
    pub(super) holes: RangeInclusiveSet<Number>,
    /// Outcomes other than purged.
    pub(super) exceptions: RangeInclusiveMap<Number, Outcome>,
    /// What was settled under abilities other than the present ones, with those.
    pub(super) judged: RangeInclusiveMap<Number, KindAbilities>,
    /// Whether it is not stored as it stands here.
    pub(super) unstored: bool,
    heard_at: Timestamp,
}

/// How a lane stands to an invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not its business.
    NotOwed,
    /// It has not settled it.
    Owes,
    /// It has.
    Settled {
        /// How.
        outcome: Outcome,
        /// Whether its last pass is done too.
        finished: bool,
    },
}

/// What a report of a lane settles that was not settled before.
#[derive(Debug)]
pub(super) struct News {
    pub(super) line: LineId,
    pub(super) applied: Vec<Numbers>,
    pub(super) finished: Vec<Numbers>,
}

/// A cache's abilities before and after a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) before: Option<KindAbilities>,
    pub(super) after: Option<KindAbilities>,
}

impl Change {
    /// None.
    pub(super) const NONE: Self = Self { before: None, after: None };
}

impl Cache {
    /// What it can do with each kind of selector, once it has answered.
    pub(super) fn kinds(&self) -> Option<KindAbilities> {
        self.abilities.as_ref().map(KindAbilities::announced)
    }

    /// Whether it holds objects of `site`.
    pub(super) fn holds(&self, site: &SiteName) -> bool {
        self.sites.as_ref().is_none_or(|sites| sites.contains(site))
    }
}

impl Lane {
    /// A lane nobody has reported yet.
    pub(super) fn new(life: (Uuid, u64), at: Timestamp) -> Self {
        Self {
            life,
            ready: false,
            circuit: CircuitState::Closed,
            last_error: None,
            lag: 0,
            oldest_unsettled_us: None,
            outcomes: OutcomeCounts::default(),
            heard_at: at,
            departed: false,
            lines: BTreeMap::new(),
            unstored: true,
            forgotten: Vec::new(),
        }
    }

    /// Takes its latest report.
    pub(super) fn report(
        &mut self,
        instance: Uuid,
        report: LaneReport,
        change: Change,
        at: Timestamp,
    ) -> Vec<News> {
        let life = (instance, report.life);
        let relapsed = self.life != life;
        self.unstored |= relapsed
            || self.departed
            || self.ready != report.ready
            || self.circuit != report.circuit
            || self.last_error != report.last_error;
        self.life = life;
        self.ready = report.ready;
        self.circuit = report.circuit;
        self.last_error = report.last_error;
        self.lag = report.lag;
        self.oldest_unsettled_us = report.oldest_unsettled_us;
        self.outcomes = report.outcomes;
        self.heard_at = at;
        self.departed = false;
        if relapsed {
            self.forget_lines_but(&report.lines);
        }
        let news =
            report.lines.into_iter().map(|line| self.report_line(&line, relapsed, change, at));
        let news = news.collect();
        self.limit_lines();
        news
    }

    /// How it stands to the invalidation at `place`, if its region is concerned.
    pub(super) fn standing(&self, cache: &Cache, place: Place, scope: &Scope) -> Standing {
        if !cache.holds(&scope.site) {
            return Standing::NotOwed;
        }
        let line = self.lines.get(&place.line);
        let judged = line.and_then(|line| line.judged(place.number));
        let Some(duty) = judged.or_else(|| cache.kinds()).map(|kinds| scope.duty(kinds)) else {
            return Standing::Owes;
        };
        if duty == Duty::NotOurs {
            return Standing::NotOwed;
        }
        line.map_or(Standing::Owes, |line| line.standing(place.number, duty, self.ready))
    }

    /// Numbers up to `head` that it has not settled on a line.
    pub(super) fn unsettled(&self, line: LineId, head: Number) -> Vec<Numbers> {
        let line = self.lines.get(&line);
        let from = line.map_or(0, |line| line.base).saturating_add(1);
        match line {
            _ if from > head => Vec::new(),
            Some(line) => line.applied.settled().gaps(&(from..=head)).collect(),
            None => vec![from..=head],
        }
    }

    fn report_line(
        &mut self,
        report: &LineReport,
        relapsed: bool,
        change: Change,
        at: Timestamp,
    ) -> News {
        let line = self.lines.entry(report.line).or_insert_with(|| Line::new(report.base, at));
        let before = line.kept();
        if relapsed {
            line.relapse(report);
        }
        let news = line.report(report, change, at);
        line.unstored |= before != line.kept() || !news.applied.is_empty();
        line.unstored |= !news.finished.is_empty();
        news
    }

    /// A new life does not know what an old one had settled on lines that it does not show.
    fn forget_lines_but(&mut self, shown: &[LineReport]) {
        let shown: BTreeSet<LineId> = shown.iter().map(|line| line.line).collect();
        self.forgotten.extend(self.lines.keys().filter(|line| !shown.contains(line)));
        self.lines.retain(|line, _| shown.contains(line));
    }

    /// Over the limit, the lines not shown for longest are forgotten.
    fn limit_lines(&mut self) {
        while self.lines.len() > LINES_MAX {
            let oldest = self.lines.iter().min_by_key(|(_, line)| line.heard_at);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.lines.remove(&oldest);
            self.forgotten.push(oldest);
        }
    }
}

impl Line {
    /// A line as a report shows it.
    pub(super) fn reported(report: &LineReport, at: Timestamp) -> Self {
        let mut line = Self::new(report.base, at);
        line.report(report, Change::NONE, at);
        line
    }

    fn new(base: Number, at: Timestamp) -> Self {
        Self {
            base,
            owed_from: base,
            applied: Pass::default(),
            finished: Pass::default(),
            holes: RangeInclusiveSet::new(),
            exceptions: RangeInclusiveMap::new(),
            judged: RangeInclusiveMap::new(),
            unstored: true,
            heard_at: at,
        }
    }

    /// The kinds of selector it could purge when it settled `number`, if they were others than now.
    pub(super) fn judged(&self, number: Number) -> Option<KindAbilities> {
        self.judged.get(&number).copied()
    }

    fn standing(&self, number: Number, duty: Duty, ready: bool) -> Standing {
        if number <= self.owed_from {
            return Standing::NotOwed;
        }
        let began_later = number <= self.base;
        if !self.applied.has(number) || (began_later && !ready) {
            return Standing::Owes;
        }
        let outcome = if began_later { Outcome::Flushed } else { self.outcome(number, duty) };
        Standing::Settled { outcome, finished: self.finished.has(number) }
    }

    fn outcome(&self, number: Number, duty: Duty) -> Outcome {
        let outcome = self.exceptions.get(&number).copied().unwrap_or(Outcome::Purged);
        match (duty, outcome) {
            (_, Outcome::Flushed) | (Duty::NotOurs | Duty::Purge, _) => outcome,
            (Duty::Unsupported, _) => outcome.max(Outcome::Unsupported),
        }
    }

    fn relapse(&mut self, report: &LineReport) {
        self.applied.relapse(report.applied, &report.applied_above);
        self.finished.relapse(report.finished, &report.finished_above);
        self.exceptions.clear();
        let lost: Vec<Numbers> =
            self.applied.settled().gaps(&(1..=super::range::HIGHEST)).collect();
        for range in lost {
            self.judged.remove(range);
        }
    }

    fn report(&mut self, report: &LineReport, change: Change, at: Timestamp) -> News {
        self.heard_at = at;
        self.base = report.base;
        self.owed_from = self.owed_from.min(report.base);
        self.holes = report.holes.iter().copied().filter_map(within_bounds).collect();
        self.take_exceptions(report);
        let settled_before = self.judging(change).then(|| self.applied.settled().clone());
        let applied = self.applied.report(report.applied, &report.applied_above, at);
        let finished = self.finished.report(report.finished, &report.finished_above, at);
        if let (Some(settled), Change { before: Some(before), after: Some(after) }) =
            (settled_before, change)
        {
            self.judge_by(settled.iter(), before);
            self.judge_by(applied.iter(), before.worse(after));
        }
        News { line: report.line, applied, finished }
    }

    fn judging(&self, change: Change) -> bool {
        change.before.is_some() && change.before != change.after
    }

    /// Remembers what a cache could do when it settled these numbers, where that is not known yet.
    fn judge_by<'a>(
        &mut self,
        settled: impl Iterator<Item = &'a Numbers>,
        abilities: KindAbilities,
    ) {
        for range in settled {
            for gap in self.judged.gaps(range).collect::<Vec<_>>() {
                self.judged.insert(gap, abilities);
            }
        }
        while self.judged.len() > JUDGED_MAX {
            let mut lowest = self.judged.iter().take(2).map(|(range, at)| (range.clone(), *at));
            let (Some((first, one)), Some((second, other))) = (lowest.next(), lowest.next()) else {
                return;
            };
            drop(lowest);
            self.judged.insert(*first.start()..=*second.end(), one.worse(other));
        }
    }

    /// What the report settles ends as the report says; what only earlier ones of this life settled
    /// ends as those said.
    fn take_exceptions(&mut self, report: &LineReport) {
        let floor = NumberRange { first: 1, last: report.applied.min(super::range::HIGHEST) };
        let settled = report.applied_above.iter().copied().chain([floor]);
        for range in settled.filter_map(within_bounds) {
            self.exceptions.remove(range);
        }
        let mut exceptions = report.exceptions.clone();
        exceptions.sort_by_key(|(_, outcome)| *outcome);
        for (numbers, outcome) in exceptions {
            if let Some(range) = within_bounds(numbers) {
                self.exceptions.insert(range, outcome);
            }
        }
    }

    /// Of what a store keeps beside the passes, enough to see a change.
    fn kept(&self) -> (Number, Number, usize, usize) {
        (self.base, self.owed_from, self.exceptions.len(), self.judged.len())
    }
}
