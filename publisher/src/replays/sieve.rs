//! Takes what fits from the messages of the log, and counts it: for a dry run and for a replay the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker_adapter::{Delivery, Topic};
use jiff::Timestamp;
use rangemap::RangeInclusiveSet;
use schemas::api::{ReplayCounts, ReplaySample};
use schemas::wire::{self, LogDecoder, Spot};
use schemas::{Invalidation, LineId, LogMessage, Number, Place, Region, Sites, Trust};

use super::choice::{Choice, Verdict};
use crate::handle::regions_of;
use crate::tracker::{Miss, TrackerHandle, count_by_kind};

/// Beyond every number that a publisher will ever give.
const HIGHEST: Number = Number::MAX - 1;
/// Most lines, and ranges of one line, remembered: with more, what stands on the log twice may be published twice.
const LINES_MAX: usize = 10_000;
const RANGES_MAX: usize = 10_000;
/// Most regions counted.
const REGIONS_MAX: usize = 256;
/// How many are shown, and how many selectors of each.
pub(super) const SAMPLE_MAX: usize = 10;
const SELECTORS_SHOWN_MAX: usize = 5;

/// What a sieve needs.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    choice: Choice,
    sites: Arc<Sites>,
    regions: Arc<BTreeSet<Region>>,
    tracker: TrackerHandle,
    trust: Arc<Trust>,
}

/// What was read, so that what stands on the log twice counts once.
#[derive(Debug, Default)]
pub(super) struct Seen {
    decoder: LogDecoder,
    lines: BTreeMap<LineId, RangeInclusiveSet<Number>>,
}

/// An invalidation of a message that may fit.
#[derive(Debug)]
pub(super) struct Sifted {
    /// Which of its message.
    pub(super) index: u32,
    pub(super) fate: Fate,
    pub(super) invalidation: Invalidation,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is published again.
    Again,
    /// It replays what is of that time itself.
    Replay,
    /// It was not worth doing any more.
    Expired,
    /// Nobody believed has said it.
    Unbelieved,
    /// Nobody knows any more how late it was.
    LatenessUnknown,
}

impl Sieve {
    pub(super) fn new(
        choice: Choice,
        sites: Arc<Sites>,
        tracker: TrackerHandle,
        trust: Arc<Trust>,
    ) -> Self {
        Self { choice, sites, regions: tracker.known_regions(), tracker, trust }
    }

    pub(super) fn choice(&self) -> &Choice {
        &self.choice
    }

    /// What of a message may fit, but for the first `skip` of its invalidations.
    pub(super) fn sift(
        &self,
        seen: &mut Seen,
        topic: Topic,
        delivery: &Delivery,
        skip: u32,
        now: Timestamp,
    ) -> Vec<Sifted> {
        let Ok(LogMessage::Frame(frame)) = seen.decoder.decode(&delivery.body) else {
            return Vec::new();
        };
        let (line, numbers) = (frame.line, frame.numbers());
        let mut sifted = Vec::new();
        let mut places = Vec::new();
        for (index, invalidation) in (0..).zip(frame.invalidations) {
            let place = Place { line, number: numbers.first.saturating_add(u64::from(index)) };
            let fate = match self.choice.judge(&invalidation, &self.sites, now) {
                Verdict::Beside => continue,
                Verdict::Replay => Fate::Replay,
                Verdict::Expired => Fate::Expired,
                Verdict::Fits => Fate::Again,
            };
            if index >= skip && !seen.has(place) {
                sifted.push(Sifted { index, fate, invalidation });
                places.push(place);
            }
        }
        self.ask_who_missed(&places, &mut sifted);
        if sifted.is_empty() {
            return sifted;
        }
        let spot = Spot { topic: topic.name(), partition: delivery.partition.0 };
        if wire::verify(&delivery.body, spot, &self.trust).is_ok() {
            seen.saw(line, numbers.first, numbers.last);
        } else {
            for sifted in &mut sifted {
                sifted.fate = Fate::Unbelieved;
            }
        }
        sifted
    }

    fn ask_who_missed(&self, places: &[Place], sifted: &mut Vec<Sifted>) {
        let Some(by) = self.choice.missed_by() else { return };
        let asked = sifted.iter().map(|sifted| &sifted.invalidation);
        let mut misses = self.tracker.missed(places.iter().copied().zip(asked), &by).into_iter();
        sifted.retain_mut(|sifted| match misses.next() {
            Some(Miss::Missed) => true,
            Some(Miss::Unknown) if sifted.fate == Fate::Again => {
                sifted.fate = Fate::LatenessUnknown;
                true
            }
            _ => false,
        });
    }

    /// Counts one.
    pub(super) fn count(&self, counts: &mut ReplayCounts, sifted: &Sifted) {
        let left_out = &mut counts.left_out;
        match sifted.fate {
            Fate::Again => {}
            Fate::Replay => return left_out.replays += 1,
            Fate::Expired => return left_out.expired += 1,
            Fate::Unbelieved => return left_out.unbelieved += 1,
            Fate::LatenessUnknown => return left_out.lateness_unknown += 1,
        }
        let invalidation = &sifted.invalidation;
        counts.matched += 1;
        *counts.sites.entry(invalidation.site.to_string()).or_default() += 1;
        for (kind, count) in count_by_kind(&invalidation.selectors) {
            *counts.selectors.entry(kind).or_default() += count as u64;
        }
        for region in self.regions_of(invalidation) {
            let known = counts.regions.contains_key(region.as_str());
            if known || counts.regions.len() < REGIONS_MAX {
                *counts.regions.entry(region.to_string()).or_default() += 1;
            }
        }
    }

    /// Shows one.
    pub(super) fn sample(&self, invalidation: &Invalidation) -> ReplaySample {
        let Invalidation { id, site, accepted_at, priority, selectors, .. } = invalidation;
        let shown = selectors.iter().take(SELECTORS_SHOWN_MAX);
        ReplaySample {
            id: *id,
            site: site.clone(),
            published_at: *accepted_at,
            priority: *priority,
            selectors: shown.map(ToString::to_string).collect(),
            regions: self.regions_of(invalidation),
        }
    }

    fn regions_of(&self, invalidation: &Invalidation) -> Vec<Region> {
        if let Some(region) = &self.choice.filter().region {
            return vec![region.clone()];
        }
        let Invalidation { site, audience, .. } = invalidation;
        regions_of(&self.sites, site, audience, || Arc::clone(&self.regions))
    }
}

impl Seen {
    fn has(&self, place: Place) -> bool {
        self.lines.get(&place.line).is_some_and(|numbers| numbers.contains(&place.number))
    }

    fn saw(&mut self, line: LineId, first: Number, last: Number) {
        if first > last || last > HIGHEST {
            return;
        }
        if self.lines.len() > LINES_MAX {
            self.lines.clear();
        }
        let numbers = self.lines.entry(line).or_default();
        numbers.insert(first..=last);
        if numbers.len() > RANGES_MAX {
            numbers.clear();
        }
    }
}
