//! Those who listen to what happens.

use std::fmt;
use std::sync::Arc;

use daemon::Stop;
use schemas::api::Event;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::PublisherHandle;
use crate::tracker::{EventBatch, TrackerHandle};

/// Most listeners at once.
pub(super) const LISTENERS_MAX: usize = 64;

/// Where to go on after an event: the number of the next, and the life of the publisher that counts so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    epoch: u64,
    next: u64,
}

/// One who listens. It holds a place among the events, and none of them.
#[derive(Debug)]
pub(crate) struct Listener {
    tracker: TrackerHandle,
    happened: watch::Receiver<()>,
    leaving: Stop,
    /// Whether it goes on where it was.
    resumes: bool,
    next: u64,
    _place: OwnedSemaphorePermit,
}

impl EventId {
    /// One that no life of a publisher has given.
    const STRANGE: Self = Self { epoch: 0, next: u64::MAX };

    /// What is none is one of another life.
    pub(crate) fn read(text: &[u8]) -> Self {
        let read = || {
            let (epoch, next) = std::str::from_utf8(text).ok()?.split_once('-')?;
            let epoch = u64::from_str_radix(epoch, 16).ok()?;
            Some(Self { epoch, next: next.parse().ok()? })
        };
        read().unwrap_or(Self::STRANGE)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.next)
    }
}

impl PublisherHandle {
    /// Listens to what happens after `last`, or, if that is of another life, to all of this one that is remembered;
    /// without it, from now on. `None` if as many listen as may.
    pub(crate) fn listen(&self, last: Option<EventId>) -> Option<Listener> {
        let place = Arc::clone(&self.0.listeners).try_acquire_owned().ok()?;
        let tracker = self.0.tracker.clone();
        // Subscribed first: what happens from here on wakes it.
        let happened = tracker.happened();
        let newest = tracker.next_event();
        let own = |id: &EventId| id.epoch == tracker.epoch() && id.next <= newest;
        let known = last.filter(own);
        let next = match (last, known) {
            (None, _) => newest,
            (Some(_), Some(id)) => id.next,
            (Some(_), None) => 0,
        };
        let (leaving, resumes) = (self.0.leaving.clone(), known.is_some());
        Some(Listener { tracker, happened, leaving, resumes, next, _place: place })
    }
}

impl Listener {
    /// Whether it goes on right where it was.
    pub(crate) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Where it is.
    pub(crate) fn at(&self) -> EventId {
        EventId { epoch: self.tracker.epoch(), next: self.next }
    }

    /// The next events, at most `max` and one that says how many are missing; `None` when the publisher stops.
    pub(crate) async fn hear(&mut self, max: usize) -> Option<Vec<(EventId, Event)>> {
        loop {
            self.happened.borrow_and_update();
            let EventBatch { events, next } = self.tracker.events_from(self.next, max);
            self.next = next;
            if !events.is_empty() {
                let epoch = self.tracker.epoch();
                let named = |(number, event)| (EventId { epoch, next: number + 1 }, event);
                return Some(events.into_iter().map(named).collect());
            }
            tokio::select! {
                () = self.leaving.requested() => return None,
                changed = self.happened.changed() => changed.ok()?,
            }
        }
    }
}
