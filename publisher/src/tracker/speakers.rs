//! Publishers as the tracker sees them, and retirements of either kind.

use std::collections::{BTreeMap, BTreeSet};

use broker_adapter::Partition;
use jiff::Timestamp;
use schemas::api::{PublisherState, PublisherSummary};
use schemas::{
    Heartbeat, Incarnation, LineId, Number, OpenLine, Priority, PublisherName, Retired, Retirement,
};

use super::Tracker;
use super::line::Line;
use crate::journal::Stream;
use crate::search::Head;

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
        self.publishers.heartbeat(heartbeat, now);
    }

    /// Someone is gone for good, the board says.
    pub(crate) fn retirement(&mut self, retirement: Retirement, now: Timestamp) {
        let Retirement { retired, at, by } = retirement;
        match retired {
            Retired::Agent { name, instances } => {
                self.retire_agent(&name, at, by, &instances, now);
            }
            Retired::Publisher { name, lines, open } => {
                self.publishers.retire(&name, at, by, &lines, &open);
            }
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

    /// What has to be said on the board so that it counts as gone for good; `read` is what the log has shown of it
    /// last. `None` if nobody knows it.
    pub(crate) fn publisher_retirement(
        &self,
        name: &PublisherName,
        read: &BTreeMap<LineId, Head>,
        now: Timestamp,
    ) -> Option<Retirement> {
        let known = self.publishers.get(name)?;
        let mut lines = known.heads.clone();
        for (line, Head { last, .. }) in read {
            let others = self.publishers.who_left(*line).is_some_and(|left| left != name);
            if !others {
                let head = lines.entry(*line).or_insert(0);
                *head = (*head).max(*last);
            }
        }
        let shown = |(line, last): (LineId, Number)| (line, last.max(self.highest_shown(line)));
        let numbered = known.incarnation.iter().flat_map(|incarnation| &incarnation.lines);
        let mut open: Vec<_> = numbered
            .filter(|line| lines.contains_key(line))
            .flat_map(|line| self.where_open(*line, read.get(line)))
            .collect();
        open.sort_unstable();
        open.dedup();
        let at = known.gone_for_good().map_or(now, |retired| retired.at);
        Some(Retirement {
            retired: Retired::Publisher {
                name: name.clone(),
                lines: lines.into_iter().map(shown).collect(),
                open,
            },
            at,
            by: self.name.clone(),
        })
    }

    /// Where its publisher wrote a line: as the log has shown, or lanes do; else it may be either topic.
    fn where_open(&self, line: LineId, read: Option<&Head>) -> Vec<OpenLine> {
        if let Some(Head { stream, .. }) = read {
            let Stream { priority, partition } = *stream;
            return vec![OpenLine { line, priority, partition: partition.0 }];
        }
        let lanes = self.priorities(line);
        let any = |priority: &Priority| lanes.is_empty() || lanes.contains(priority);
        let priorities = Priority::ALL.into_iter().filter(any);
        priorities.map(|priority| OpenLine { line, priority, partition: 0 }).collect()
    }

    /// The last numbers on lines of publishers that were retired since then, and where to tell them: what lanes have
    /// settled since counts too.
    pub(crate) fn heads_of_retired(
        &self,
        since: Timestamp,
    ) -> BTreeMap<Stream, Vec<(LineId, Number)>> {
        let mut heads = BTreeMap::<_, Vec<_>>::new();
        for (OpenLine { line, priority, partition }, last) in self.publishers.left_open(since) {
            let last = last.max(self.highest_shown(line));
            let lanes = self.priorities(line);
            if last > 0 && (lanes.is_empty() || lanes.contains(&priority)) {
                let stream = Stream { priority, partition: Partition(partition) };
                heads.entry(stream).or_default().push((line, last));
            }
        }
        heads
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
    /// The priorities of the lanes that have heard of a line: no more than one, but for a line told in doubt.
    fn priorities(&self, line: LineId) -> BTreeSet<Priority> {
        let lanes = self.registry.lanes().filter(|known| known.lane.lines.contains_key(&line));
        lanes.map(|known| known.priority).collect()
    }
}
