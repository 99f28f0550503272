//! What a lane hears: which numbers are new, which are its business, and when they may be purged.

use std::sync::Arc;

use schemas::{
    Ability, Frame, Invalidation, LineId, LogMessage, Number, NumberRange, Outcome, Place,
    PublisherName, Selector, SiteName,
};

use super::{Machine, Purpose};
use crate::Moment;
use crate::batch::Waiter;
use crate::driver::{Fetches, Purge};
use crate::ledger::Located;
use crate::letters::Why;
use crate::line::Line;

/// Beyond every number that a publisher will ever give.
const HIGHEST: Number = Number::MAX - 1;
/// Most lines of a lane: more than any number of publishers opens within a retention.
const LINES_MAX: usize = 10_000;
/// Most publishers whose clock is followed.
const PUBLISHERS_MAX: usize = 1_000;

/// Why a message that was understood is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It belongs on another topic.
    WrongTopic,
    /// No publisher gives such numbers.
    Number,
    /// There are more lines than can be.
    Lines,
}

impl Unfit {
    /// The word for it in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::WrongTopic => "wrong_topic",
            Self::Number => "impossible_number",
            Self::Lines => "too_many_lines",
        }
    }
}

impl Machine {
    /// Takes one message from the log; what is held of it in memory counts against [`Machine::room`].
    pub(crate) fn hear(
        &mut self,
        message: LogMessage,
        at: Located,
        now: Moment,
    ) -> Result<(), Unfit> {
        self.pass(at, now);
        match message {
            LogMessage::Frame(frame) => self.hear_frame(frame, at, now),
            LogMessage::Heartbeat(heartbeat) => {
                self.start.heard_publisher();
                self.hear_clock(&heartbeat.publisher, heartbeat.at);
                let mut fit = Ok(());
                for (line, head) in heartbeat.lines {
                    let numbers = NumberRange { first: head.saturating_add(1), last: head };
                    match self.line(line, numbers, &heartbeat.publisher, at, now) {
                        Ok(line) => {
                            if line.learn_head(head, now) {
                                self.lookup.doubt(now);
                            }
                        }
                        Err(unfit) => fit = Err(unfit),
                    }
                }
                fit
            }
            LogMessage::Lost(lost) => {
                let numbers = NumberRange {
                    first: lost.numbers.last.saturating_add(1),
                    last: lost.numbers.last,
                };
                let line = self.line(lost.line, numbers, &lost.publisher, at, now)?;
                line.hearing.lose(lost.numbers, now);
                Ok(())
            }
        }
    }

    /// A message that was not understood, for this reason: read, parked elsewhere, and its numbers missed in time.
    pub(crate) fn park(&mut self, at: Located, reason: String, now: Moment) {
        self.pass(at, now);
        self.parked_error = Some((now, reason));
    }

    fn pass(&mut self, at: Located, now: Moment) {
        let jumped = self.ledger.read(at);
        if self.start.read(at, jumped, now) {
            self.ledger.lines.values_mut().for_each(|line| line.hearing.begin(now));
            self.judge_absence(at.time, now);
        }
        if jumped {
            self.lookup.doubt(now);
        }
        self.lookup.read(at.time, now);
    }

    pub(super) fn hear_frame(
        &mut self,
        frame: Frame,
        at: Located,
        now: Moment,
    ) -> Result<(), Unfit> {
        if !self.has_our_priority(&frame) {
            return Err(Unfit::WrongTopic);
        }
        self.start.heard_publisher();
        self.hear_clock(&frame.publisher, frame.committed_at);
        let numbers = frame.numbers();
        let line = self.line(frame.line, numbers, &frame.publisher, at, now)?;
        let passed_by = line.learn_head(numbers.first.saturating_sub(1), now);
        let new = line.hearing.hear(numbers, now);
        if passed_by {
            self.lookup.doubt(now);
        }
        let (first, mut invalidations) = (frame.first, frame.invalidations.into_iter());
        let mut next = first;
        for number in new.into_iter().flat_map(|range| range.first..=range.last) {
            let skip = usize::try_from(number - next).unwrap_or(usize::MAX);
            let Some(invalidation) = invalidations.nth(skip) else { break };
            next = number + 1;
            self.take_charge(Place { line: frame.line, number }, invalidation, at, now);
        }
        Ok(())
    }

    /// The line of that id, on which these `numbers` are heard. One first heard while joining begins right below
    /// them, any other at 1.
    fn line(
        &mut self,
        id: LineId,
        numbers: NumberRange,
        publisher: &PublisherName,
        at: Located,
        now: Moment,
    ) -> Result<&mut Line, Unfit> {
        if numbers.last > HIGHEST {
            return Err(Unfit::Number);
        }
        let full = self.ledger.lines.len() >= LINES_MAX;
        if full && !self.ledger.lines.contains_key(&id) {
            return Err(Unfit::Lines);
        }
        let base = if self.start.begins_at(at) { numbers.first.saturating_sub(1) } else { 0 };
        let settled = &mut self.settled;
        let line = self.ledger.lines.entry(id).or_insert_with(|| {
            settled.push(id, NumberRange { first: 0, last: base });
            Line::from_base(base)
        });
        line.publisher.get_or_insert_with(|| publisher.clone());
        line.heard = now;
        Ok(line)
    }

    fn hear_clock(&mut self, publisher: &PublisherName, at: jiff::Timestamp) {
        let full = self.newest.len() >= PUBLISHERS_MAX;
        match self.newest.get_mut(publisher) {
            Some(newest) => *newest = at.max(*newest),
            None if full => {}
            None => drop(self.newest.insert(publisher.clone(), at)),
        }
    }

    fn take_charge(&mut self, place: Place, invalidation: Invalidation, at: Located, now: Moment) {
        let number = NumberRange { first: place.number, last: place.number };
        if !self.is_for_us(&invalidation) || !self.may_hold(&invalidation) {
            self.ledger.pass_over(place.line, number);
            self.settled.push(place.line, number);
            return;
        }
        let selectors = u32::try_from(invalidation.selectors.len()).unwrap_or(u32::MAX);
        self.ledger.open(place, selectors, at, now);
        if self.cancelled.contains(&place) {
            return self.cancel(place);
        }
        // Nothing has been held since the cache has answered.
        if self.inner.is_none() && self.abilities.is_some() {
            return self.enqueue(place, invalidation, now);
        }
        self.held.hold(place, Arc::new(invalidation), now);
    }

    /// Whether it is meant for this cache of this agent in this region.
    fn is_for_us(&self, invalidation: &Invalidation) -> bool {
        let Purpose { region, agent, cache, .. } = &self.purpose;
        invalidation.audience.includes(region) && invalidation.recipients.includes(agent, cache)
    }

    /// A site that this agent was never told of may be held: saying so beats silence.
    fn may_hold(&self, invalidation: &Invalidation) -> bool {
        let unknown = self.purpose.sites.get(&invalidation.site).is_none();
        self.holds(&invalidation.site) || unknown && self.purpose.config.sites.is_none()
    }

    /// Lets go what need not wait for the inner cache any more: first passes to the queue, later ones to their delay.
    pub(super) fn release(&mut self, now: Moment) {
        let inner = self.inner.clone();
        if self.abilities.is_some() {
            let barrier = Some(self.purpose.config.barrier);
            while !self.letters.is_full()
                && let Some((place, invalidation)) =
                    self.held.release(inner.as_deref(), barrier, now)
            {
                self.enqueue(place, Arc::unwrap_or_clone(invalidation), now);
            }
        }
        while let Some((_, (purge, waiter))) = self.parked.release(inner.as_deref(), None, now) {
            // Whatever was fetched from the inner cache until now came after the fence.
            self.await_rebounds(&purge, vec![waiter], Fetches::Unfenced, now);
        }
    }

    fn enqueue(&mut self, place: Place, invalidation: Invalidation, now: Moment) {
        let Invalidation { site, selectors, mode, accepted_at, expires_in, .. } = invalidation;
        let expires_at = expires_in.and_then(|after| accepted_at.checked_add(after).ok());
        let mode = self.mode_for(mode);
        for selector in selectors {
            let belongs = self.belongs(&site, &selector);
            let ability = self.ability(&selector);
            let purge = Purge::new(site.clone(), selector, mode);
            match (belongs, ability) {
                (Err(reason), _) => {
                    self.refuse(&purge, &[place], Why::of(&reason), now);
                    self.settle_finally(place, Outcome::Refused);
                }
                (Ok(()), Ability::Supported) => {
                    self.queue.add(purge, Waiter::Number { place, expires_at }, now);
                }
                (Ok(()), Ability::Unsupported) => self.settle_finally(place, Outcome::Unsupported),
                (Ok(()), Ability::NotHeld) => self.settle_finally(place, Outcome::NotOurs),
            }
        }
    }

    pub(super) fn has_our_priority(&self, frame: &Frame) -> bool {
        frame.invalidations.iter().all(|sent| sent.priority == self.purpose.priority)
    }

    pub(super) fn purge_for(&self, invalidation: &Invalidation, selector: &Selector) -> Purge {
        let (site, selector) = (invalidation.site.clone(), selector.clone());
        Purge::new(site, selector, self.mode_for(invalidation.mode))
    }

    /// No event of one site touches an object of another, whatever the log says.
    pub(super) fn belongs(&self, site: &SiteName, selector: &Selector) -> Result<(), String> {
        let Some(site) = self.purpose.sites.get(site) else {
            return Err(format!("site {site} is not in this agent's configuration"));
        };
        match selector.host() {
            Some(host) if !site.hosts.contains(host) => {
                Err(format!("host {host} does not belong to site {} here", site.name))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn ability(&self, selector: &Selector) -> Ability {
        self.abilities.as_ref().map_or(Ability::Unsupported, |known| known.of(selector.kind()))
    }

    fn mode_for(&self, mode: schemas::Mode) -> schemas::Mode {
        self.abilities.as_ref().map_or(mode, |known| known.mode_for(mode))
    }
}
