//! Publishers as the tracker sees them, and retirements of either kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::api::{PublisherState, PublisherSummary};
use schemas::{Heartbeat, Incarnation, LineId, Number, PublisherName, Retired, Retirement};

use super::Tracker;
use super::line::Line;

impl Tracker {
    /// What the board says of a publisher.
    pub(crate) fn incarnation(&mut self, incarnation: Incarnation) {
        self.publishers.incarnation(incarnation);
    }

    /// From `now` on every heartbeat is heard.
    pub(crate) fn listens_to_publishers(&mut self, now: Timestamp) {
        self.publishers.listens(now);
    }

    /// A publisher's heartbeat has come.
    pub(crate) fn heartbeat(&mut self, heartbeat: &Heartbeat, now: Timestamp) {
        self.publishers.heartbeat(&heartbeat.publisher, &heartbeat.lines, now);
    }

    /// Someone is gone for good, the board says.
    pub(crate) fn retirement(&mut self, retirement: Retirement, now: Timestamp) {
        let Retirement { retired, at, by } = retirement;
        match retired {
            Retired::Agent { name, instances } => {
                self.retire_agent(&name, at, by, &instances, now);
            }
            Retired::Publisher { name, lines } => self.publishers.retire(&name, at, by, &lines),
        }
    }

    /// Every publisher that was heard or announced, by name.
    pub(crate) fn publisher_summaries(&self, now: Timestamp) -> Vec<PublisherSummary> {
        let names = self.publishers.states().map(|(name, _)| name);
        names.filter_map(|name| self.publisher(name, now)).collect()
    }

    /// One publisher, if it was heard or announced.
    pub(crate) fn publisher(
        &self,
        name: &PublisherName,
        now: Timestamp,
    ) -> Option<PublisherSummary> {
        let known = self.publishers.get(name)?;
        let myself = *name == self.name;
        Some(self.publishers.summary(name, known, myself, |line| self.highest_shown(line), now))
    }

    /// What has to be said on the board so that it counts as gone for good; `read` are last numbers that the log
    /// has shown. `None` if nobody knows it.
    pub(crate) fn publisher_retirement(
        &self,
        name: &PublisherName,
        read: &BTreeMap<LineId, Number>,
        now: Timestamp,
    ) -> Option<Retirement> {
        let known = self.publishers.get(name)?;
        let mut lines = known.heads.clone();
        for (line, last) in read {
            let head = lines.entry(*line).or_insert(0);
            *head = (*head).max(*last);
        }
        let shown = |(line, last): (LineId, Number)| (line, last.max(self.highest_shown(line)));
        let at = known.gone_for_good().map_or(now, |retired| retired.at);
        Some(Retirement {
            retired: Retired::Publisher {
                name: name.clone(),
                lines: lines.into_iter().map(shown).collect(),
            },
            at,
            by: self.name.clone(),
        })
    }

    /// How many publishers stand how.
    pub(super) fn show_publishers(&self) {
        let mut counts = BTreeMap::from(PublisherState::ALL.map(|state| (state, 0)));
        for (name, state) in self.publishers.states() {
            let state = if *name == self.name { PublisherState::Live } else { state };
            *counts.entry(state).or_default() += 1;
        }
        self.metrics.publishers(counts);
    }

    /// The highest number of a line that some lane has shown.
    fn highest_shown(&self, line: LineId) -> Number {
        let known = self.registry.lanes().filter_map(|known| known.lane.lines.get(&line));
        let own = self.own_lines.get(&line).map_or(0, |own| own.head);
        known.map(Line::highest).max().unwrap_or(0).max(own)
    }
}
