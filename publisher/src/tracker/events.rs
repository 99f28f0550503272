//! What happened lately, for those who listen: a ring of numbered events, so that a slow listener costs no memory.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use schemas::Sites;
use schemas::api::{BlockedEvent, CacheEvent, FlushEvent};
use schemas::api::{Clock, Event, InvalidationEvent, LaggedEvent, Missing, ReachedEvent};
use uuid::Uuid;

use super::pending::milliseconds;
use super::scope::Scope;

/// Most events remembered.
pub(super) const EVENTS_MAX: usize = 16_384;

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// To an invalidation.
    Invalidation {
        subject: Subject,
        what: Step,
    },
    Flush(Arc<FlushEvent>),
    CacheUp(Arc<CacheEvent>),
    CacheDown(Arc<CacheEvent>),
}

/// An invalidation, as its events tell it.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) id: Uuid,
    pub(super) scope: Arc<Scope>,
    pub(super) accepted_at: Timestamp,
    pub(super) clock: Clock,
    /// The one that it publishes again. Its latency is not that of a change, and is measured nowhere.
    pub(super) origin: Option<Uuid>,
}

/// How far an invalidation has come, and when.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Published,
    Applied(Timestamp),
    Final(Timestamp),
    Blocked(Timestamp, Arc<[Missing]>),
}

/// What happened lately, each with its number, from 0 on.
#[derive(Debug, Default)]
pub(crate) struct Events {
    ring: VecDeque<Happening>,
    /// The number of the next.
    next: u64,
}

/// Some events in their order.
#[derive(Debug, Default)]
pub(crate) struct EventBatch {
    /// Each with its number.
    pub(crate) events: Vec<(u64, Event)>,
    /// Where to go on.
    pub(crate) next: u64,
}

impl Events {
    /// The number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn push(&mut self, happening: Happening) {
        if self.ring.len() == EVENTS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(happening);
        self.next += 1;
    }

    /// At most `max` events from the number `from` on; those that are not remembered any more are one, `lagged`.
    pub(super) fn from(&self, from: u64, max: usize, sites: &Sites) -> EventBatch {
        let oldest = self.next - self.ring.len() as u64;
        let mut events = Vec::new();
        if from < oldest {
            let lagged = LaggedEvent { missed: Some(oldest - from) };
            events.push((oldest - 1, Event::Lagged(lagged)));
        }
        let first = from.clamp(oldest, self.next);
        let skipped = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let some = self.ring.iter().skip(skipped).take(max);
        events.extend((first..).zip(some.map(|happening| happening.told(sites))));
        let next = events.last().map_or(first, |(number, _)| number + 1);
        EventBatch { events, next }
    }
}

impl Happening {
    fn told(&self, sites: &Sites) -> Event {
        match self {
            Self::Invalidation { subject, what } => subject.told(what, sites),
            Self::Flush(event) => Event::Flush(event.as_ref().clone()),
            Self::CacheUp(event) => Event::CacheUp(event.as_ref().clone()),
            Self::CacheDown(event) => Event::CacheDown(event.as_ref().clone()),
        }
    }
}

impl Subject {
    fn told(&self, what: &Step, sites: &Sites) -> Event {
        let Self { id, scope, accepted_at, clock, .. } = self;
        let (id, site, priority) = (*id, scope.site.clone(), scope.priority);
        let regions = scope.named_regions(sites);
        let reached = |at: Timestamp| ReachedEvent {
            at,
            id,
            site: site.clone(),
            priority,
            regions: regions.clone(),
            after_ms: milliseconds(*accepted_at, at),
            clock: *clock,
        };
        match what {
            Step::Applied(at) => Event::Applied(reached(*at)),
            Step::Final(at) => Event::Final(reached(*at)),
            Step::Published => Event::Published(InvalidationEvent {
                at: *accepted_at,
                id,
                site,
                priority,
                regions,
            }),
            Step::Blocked(at, missing) => {
                let missing = missing.to_vec();
                Event::Blocked(BlockedEvent { at: *at, id, site, priority, regions, missing })
            }
        }
    }
}
