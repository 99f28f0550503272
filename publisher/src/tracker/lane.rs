//! What is known of one lane: its latest report, and how it stands to an invalidation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemas::{
    Abilities, CircuitState, DeadLetters, LanePause, LaneReport, LineId, LineReport, Number,
    OutcomeCounts, Place, Priority, SiteName,
};
use uuid::Uuid;

use super::line::{Change, Line, News, Standing};
use super::range::Numbers;
use super::scope::{Duty, KindAbilities, Scope};
use super::telling::CacheTold;

/// Most lines remembered per lane that its reports no longer show.
const LINES_MAX: usize = 1_024;

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
    /// What was told of it.
    pub(super) told: CacheTold,
}

/// Whether an earlier life or instance was registered in a lane's place: it may have owed more than the lane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descent {
    /// Nobody was.
    First,
    /// Somebody was.
    Successor,
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
    /// Orders in force that it has carried out.
    pub(super) obeyed: Vec<Uuid>,
    /// What its cache refused.
    pub(super) dead_letters: DeadLetters,
    /// The pauses that it obeys.
    pub(super) paused: Vec<LanePause>,
    /// When its agent last named it.
    pub(super) heard_at: Timestamp,
    /// Whether its agent reports without naming it any more.
    pub(super) departed: bool,
    /// Whether someone stood in its place before.
    pub(super) descent: Descent,
    /// Its lines, those too that its reports no longer show.
    pub(super) lines: BTreeMap<LineId, Line>,
    /// Whether it is not stored as it stands here, its lines aside.
    pub(super) unstored: bool,
    /// Lines to forget in the store.
    pub(super) forgotten: Vec<LineId>,
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
            obeyed: Vec::new(),
            dead_letters: DeadLetters::default(),
            paused: Vec::new(),
            heard_at: at,
            departed: false,
            descent: Descent::First,
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
        self.obeyed = report.obeyed;
        self.dead_letters = report.dead_letters;
        self.paused = report.paused;
        self.heard_at = at;
        self.departed = false;
        if relapsed {
            self.descent = Descent::Successor;
            self.take_back_lines_but(&report.lines);
        }
        let mut news = Vec::new();
        for shown in report.lines {
            // Its predecessor was registered when the line began, for all that is known: then it owed all of it.
            let owed_from = match self.descent {
                Descent::First => shown.base,
                Descent::Successor => 0,
            };
            let known = self.lines.entry(shown.line);
            let known = known.or_insert_with(|| Line::new(owed_from, at));
            news.push(known.report(&shown, relapsed, change, at));
        }
        self.limit_lines();
        news
    }

    /// A line that begins now.
    pub(super) fn begin_line(&mut self, line: LineId, at: Timestamp) {
        self.lines.entry(line).or_insert_with(|| Line::new(0, at));
        self.limit_lines();
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

    /// A new life does not know what an old one had settled on lines that it does not show, and owes it.
    fn take_back_lines_but(&mut self, shown: &[LineReport]) {
        let shown: BTreeSet<LineId> = shown.iter().map(|line| line.line).collect();
        for (_, line) in self.lines.iter_mut().filter(|(line, _)| !shown.contains(line)) {
            line.take_back();
        }
    }

    /// Over the limit, the lines not shown for longest are forgotten.
    fn limit_lines(&mut self) {
        while self.lines.len() > LINES_MAX {
            let oldest = self.lines.iter().min_by_key(|(_, line)| line.heard_at());
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            self.lines.remove(&oldest);
            self.forgotten.push(oldest);
        }
    }
}
