//! All publishers of the bus: their incarnations, last numbers and heartbeats, and who is retired.
//!
//! Silence is counted against the newest heartbeat heard from anyone, our own included: while we hear nobody,
//! it is we who are deaf.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemas::api::{PublisherLine, PublisherState, PublisherSummary};
use schemas::{Heartbeat, Incarnation, LineId, Number, OpenLine, PublisherName};

use super::clocks::OneWay;

/// A publisher silent for longer, while others are heard, is silent: heartbeats come each second.
const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// Most publishers remembered; beyond it those not heard for longest are forgotten.
const PUBLISHERS_MAX: usize = 256;

/// Most lines remembered of one publisher.
const LINES_MAX: usize = 1_024;

/// All publishers by name.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    by_name: BTreeMap<PublisherName, Known>,
    listening_since: Option<Timestamp>,
    anyone_heard_at: Option<Timestamp>,
    /// No longer remembered, to be forgotten in the store.
    pub(super) forgotten: Vec<PublisherName>,
}

/// One publisher.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its present incarnation, as it announced it.
    pub(super) incarnation: Option<Incarnation>,
    /// The last number of each of its lines that is known.
    pub(super) heads: BTreeMap<LineId, Number>,
    /// When its latest heartbeat came.
    pub(super) heard_at: Option<Timestamp>,
    /// How long its heartbeats take to come here, by both clocks.
    pub(super) way: OneWay,
    /// Whether a human said that it is gone for good.
    pub(super) retired: Option<RetiredPublisher>,
    /// Whether incarnation or retirement are not stored as they stand here.
    pub(super) unstored: bool,
}

/// That a publisher was retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetiredPublisher {
    /// When, on the clock of the publisher that said so.
    pub(super) at: Timestamp,
    /// The publisher that said so.
    pub(super) by: PublisherName,
    /// Its lines, each with its last number.
    pub(super) lines: BTreeMap<LineId, Number>,
    /// Those that it had not closed itself.
    pub(super) open: Vec<OpenLine>,
    /// When it spoke again.
    pub(super) returned_at: Option<Timestamp>,
}

impl Publishers {
    /// From now on every heartbeat is heard.
    pub(super) fn listens(&mut self, now: Timestamp) {
        self.listening_since = Some(now);
    }

    /// What the board says of a publisher.
    pub(super) fn incarnation(&mut self, incarnation: Incarnation) {
        let known = self.known(&incarnation.publisher);
        if known.incarnation.as_ref() == Some(&incarnation) {
            return;
        }
        // A line that it neither numbers nor closes has been gone for longer than anything is kept.
        known.heads.retain(|line, _| names(&incarnation, *line));
        known.learn_heads(&incarnation.closes);
        let new_lines: Vec<_> = incarnation.lines.iter().map(|line| (*line, 0)).collect();
        known.learn_heads(&new_lines);
        if let Some(retired) = &mut known.retired
            && incarnation.lines.iter().any(|line| !retired.lines.contains_key(line))
        {
            retired.returned_at.get_or_insert(incarnation.since);
        }
        known.incarnation = Some(incarnation);
        known.unstored = true;
    }

    /// A heartbeat has come.
    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat, now: Timestamp) {
        let Heartbeat { publisher: name, at, lines: heads, .. } = heartbeat;
        self.anyone_heard_at = Some(now);
        // Of others' lines it only passes on what they said last.
        let own = |line| self.who_left(line).is_none_or(|left| left == name);
        let heads: Vec<_> = heads.iter().copied().filter(|(line, _)| own(*line)).collect();
        let known = self.known(name);
        known.heard_at = Some(now);
        known.way.heard(*at, now);
        known.learn_heads(&heads);
        if let Some(retired) = &mut known.retired
            && retired.returned_at.is_none()
        {
            retired.returned_at = Some(now);
            known.unstored = true;
        }
    }

    /// A human says that it is gone for good. The same word again changes nothing.
    pub(super) fn retire(
        &mut self,
        name: &PublisherName,
        at: Timestamp,
        by: PublisherName,
        lines: &[(LineId, Number)],
        open: &[OpenLine],
    ) {
        let known = self.known(name);
        if known.retired.as_ref().is_some_and(|retired| retired.at >= at) {
            return;
        }
        known.learn_heads(lines);
        let spoke_since = |incarnation: &Incarnation| {
            incarnation.lines.iter().any(|line| !lines.iter().any(|(known, _)| known == line))
        };
        let returned = known.incarnation.as_ref().filter(|incarnation| spoke_since(incarnation));
        let returned_at = returned.map(|incarnation| incarnation.since);
        let lines = lines.iter().copied().take(LINES_MAX).collect();
        let open = open.iter().copied().take(LINES_MAX).collect();
        known.retired = Some(RetiredPublisher { at, by, lines, open, returned_at });
        known.unstored = true;
    }

    /// Takes one back from a store.
    pub(super) fn restore(&mut self, name: PublisherName, known: Known) {
        self.by_name.insert(name, known);
    }

    /// What is known of one.
    pub(super) fn get(&self, name: &PublisherName) -> Option<&Known> {
        self.by_name.get(name)
    }

    /// All, to be stored.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PublisherName, &mut Known)> {
        self.by_name.iter_mut()
    }

    /// Whether nobody will ever give what is missing on this line: its publisher is gone for good, or came back without
    /// that part of its journal.
    pub(super) fn is_retired_line(&self, line: LineId) -> bool {
        self.who_left(line).is_some()
    }

    /// Who spoke on this line and is gone for good.
    pub(super) fn who_left(&self, line: LineId) -> Option<&PublisherName> {
        self.by_name.iter().find(|(_, known)| known.has_retired(line)).map(|(name, _)| name)
    }

    /// The lines on which publishers spoke to the last that were retired since then, each with its last number. One
    /// closed earlier was told while its publisher lived, and may be forgotten by agents already.
    pub(super) fn left_open(&self, since: Timestamp) -> impl Iterator<Item = (OpenLine, Number)> {
        let retired = self.by_name.values().flat_map(|known| {
            known.retired.iter().flat_map(move |retired| {
                let open = retired.open.iter().filter(|open| known.has_retired(open.line));
                open.map(move |open| (retired, *open))
            })
        });
        let recent = retired.filter(move |(retired, _)| retired.at >= since);
        recent.map(|(retired, open)| (open, retired.lines.get(&open.line).copied().unwrap_or(0)))
    }

    /// How much too long a time may be that began on the clock of that line's publisher and ended on ours.
    pub(super) fn too_long(&self, line: LineId) -> Option<SignedDuration> {
        self.by_name.values().find(|known| known.heads.contains_key(&line))?.way.fastest()
    }

    /// How a publisher stands.
    pub(super) fn state(&self, known: &Known) -> PublisherState {
        if known.gone_for_good().is_some() {
            return PublisherState::Retired;
        }
        let latest = known.heard_at.max(self.listening_since);
        let silent = match (self.anyone_heard_at, latest) {
            (Some(anyone), Some(latest)) => anyone.duration_since(latest) > SILENT_AFTER,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if silent { PublisherState::Silent } else { PublisherState::Live }
    }

    /// Every publisher with its state.
    pub(super) fn states(&self) -> impl Iterator<Item = (&PublisherName, PublisherState)> {
        self.by_name.iter().map(|(name, known)| (name, self.state(known)))
    }

    /// One row; `seen` tells the highest number that lanes have shown of a line.
    pub(super) fn summary(
        &self,
        name: &PublisherName,
        known: &Known,
        myself: bool,
        seen: impl Fn(LineId) -> Number,
        now: Timestamp,
    ) -> PublisherSummary {
        let incarnation = known.incarnation.as_ref();
        let open: BTreeSet<LineId> =
            incarnation.iter().flat_map(|incarnation| &incarnation.lines).copied().collect();
        let line = |(line, head): (&LineId, &Number)| PublisherLine {
            line: line.to_string(),
            last: (*head).max(seen(*line)),
            open: open.contains(line),
        };
        let retired = known.gone_for_good();
        PublisherSummary {
            publisher: name.clone(),
            myself,
            state: if myself { PublisherState::Live } else { self.state(known) },
            incarnation_since: incarnation.map(|incarnation| incarnation.since),
            heard_at: known.heard_at,
            heard_age_seconds: known.heard_at.map(|at| now.duration_since(at).as_secs_f64()),
            lines: known.heads.iter().map(line).collect(),
            retired_at: retired.map(|retired| retired.at),
            retired_by: retired.map(|retired| retired.by.clone()),
        }
    }

    fn known(&mut self, name: &PublisherName) -> &mut Known {
        if !self.by_name.contains_key(name) && self.by_name.len() >= PUBLISHERS_MAX {
            let longest = self.by_name.iter().min_by_key(|(_, known)| known.heard_at);
            if let Some(longest) = longest.map(|(name, _)| name.clone()) {
                self.by_name.remove(&longest);
                self.forgotten.push(longest);
            }
        }
        self.by_name.entry(name.clone()).or_default()
    }
}

impl Known {
    /// Its retirement, unless it has spoken again since.
    pub(super) fn gone_for_good(&self) -> Option<&RetiredPublisher> {
        self.retired.as_ref().filter(|retired| retired.returned_at.is_none())
    }

    fn has_retired(&self, line: LineId) -> bool {
        let Some(retired) = &self.retired else { return false };
        let forgets = |incarnation: &Incarnation| !names(incarnation, line);
        retired.lines.contains_key(&line)
            && (retired.returned_at.is_none() || self.incarnation.as_ref().is_some_and(forgets))
    }

    /// Its lines have come at least this far.
    pub(super) fn learn_heads(&mut self, heads: &[(LineId, Number)]) {
        for (line, last) in heads {
            if self.heads.len() < LINES_MAX || self.heads.contains_key(line) {
                let head = self.heads.entry(*line).or_insert(0);
                *head = (*head).max(*last);
            }
        }
    }
}

/// Whether an incarnation numbers a line, or closes it and so remembers it.
fn names(incarnation: &Incarnation, line: LineId) -> bool {
    incarnation.lines.contains(&line)
        || incarnation.closes.iter().any(|(closed, _)| *closed == line)
}
