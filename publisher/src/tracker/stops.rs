//! What humans hold up: the pauses that stand on the board, whichever publisher put them there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use schemas::api::PausedCache;
use schemas::{LanePause, Order, Ordered, PAUSE_MAX, Paused, PublisherName};
use uuid::Uuid;

use super::Tracker;
use super::handle::TrackerHandle;
use super::orders::{OrderError, StandingOrders};
use super::registry::Registered;

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandingPause {
    /// Its name.
    pub(crate) id: Uuid,
    /// What is paused.
    pub(crate) what: Paused,
    /// Why.
    pub(crate) reason: Option<String>,
    /// Who says so.
    pub(crate) by: String,
    /// The publisher through which it was ordered.
    pub(crate) publisher: PublisherName,
    /// Since when, on that publisher's clock.
    pub(crate) since: Timestamp,
    /// Until when.
    pub(crate) until: Timestamp,
}

/// The tokens that are paused: every request to publish looks here.
#[derive(Debug, Default)]
pub(super) struct PausedTokens(RwLock<BTreeMap<Uuid, TokenPause>>);

#[derive(Debug)]
struct TokenPause {
    token: String,
    /// On this publisher's clock.
    until: Timestamp,
    pause: StandingPause,
}

impl PausedTokens {
    /// These pauses are in force from `now` on, and no others: each as long as it was ordered, whatever the clock of
    /// the publisher shows that has ordered it.
    pub(super) fn learn(&self, pauses: Vec<StandingPause>, now: Timestamp) {
        let mut known = self.0.write();
        let mut before = std::mem::take(&mut *known);
        for pause in pauses {
            let Paused::Token(token) = pause.what.clone() else { continue };
            let whole = pause.until.duration_since(pause.since);
            let at_most = now.checked_add(whole).unwrap_or(pause.until);
            let until = before.remove(&pause.id).map_or(at_most.min(pause.until), |it| it.until);
            known.insert(pause.id, TokenPause { token, until, pause });
        }
    }

    /// The pause of that token that lasts longest.
    pub(super) fn of(&self, token: &str, now: Timestamp) -> Option<StandingPause> {
        let known = self.0.read();
        let pauses = known.values().filter(|pause| pause.token == token && pause.until > now);
        pauses.max_by_key(|pause| pause.until).map(|pause| pause.pause.clone())
    }
}

impl StandingOrders {
    /// The pauses that some order has ended.
    pub(super) fn resumed(&self) -> BTreeSet<Uuid> {
        let ended = |order: &Order| match order.what {
            Ordered::Resume { pause, .. } => Some(pause),
            _ => None,
        };
        self.all().filter_map(|(_, order)| ended(order)).collect()
    }
}

impl Tracker {
    /// Every pause in force.
    pub(super) fn pauses(&self, now: Timestamp) -> Vec<StandingPause> {
        let resumed = self.standing_orders.resumed();
        let orders = self.standing_orders.all();
        let in_force = orders.filter(|(_, order)| !resumed.contains(&order.id));
        let mut pauses: Vec<_> = in_force.filter_map(|(by, order)| pause(by, order, now)).collect();
        pauses.sort_by_key(|pause| (pause.since, pause.id));
        pauses
    }

    /// The caches that it holds up.
    fn paused_caches(&self, id: Uuid, what: &Paused, now: Timestamp) -> Vec<PausedCache> {
        let mut caches: Vec<PausedCache> = Vec::new();
        for registered in self.registry.lanes().filter(|lane| holds_up(what, lane)) {
            let Registered { agent_name, agent, cache_name, lane, .. } = registered;
            let obeys = lane.paused.iter().any(|pause: &LanePause| pause.id == id);
            // The lanes of a cache follow each other.
            match caches.last_mut() {
                Some(last) if last.agent == *agent_name && last.cache == *cache_name => {
                    last.obeys &= obeys;
                }
                _ => caches.push(PausedCache {
                    region: agent.region.clone(),
                    agent: agent_name.clone(),
                    cache: cache_name.clone(),
                    state: self.agent_state(agent_name, agent, now),
                    obeys,
                }),
            }
        }
        caches
    }
}

fn pause(publisher: &PublisherName, order: &Order, now: Timestamp) -> Option<StandingPause> {
    let Ordered::Pause { what, reason, by } = &order.what else { return None };
    let longest = SignedDuration::try_from(PAUSE_MAX).unwrap_or_default();
    let until =
        order.at.checked_add(longest).map_or(order.expires_at, |at| at.min(order.expires_at));
    (until > now).then(|| StandingPause {
        id: order.id,
        what: what.clone(),
        reason: reason.clone(),
        by: by.clone(),
        publisher: publisher.clone(),
        since: order.at,
        until,
    })
}

fn holds_up(what: &Paused, registered: &Registered<'_>) -> bool {
    let Registered { agent_name, agent, cache_name, cache, .. } = registered;
    match what {
        Paused::Site(site) => cache.holds(site),
        Paused::Agent(name) => name == *agent_name,
        Paused::Cache { cache, region } => {
            cache == *cache_name && region.as_ref().is_none_or(|region| *region == agent.region)
        }
        Paused::Token(_) => false,
    }
}

impl TrackerHandle {
    /// Every pause in force.
    pub(crate) fn pauses(&self) -> Vec<StandingPause> {
        self.0.tracker.lock().pauses(self.0.clock.now())
    }

    /// The caches that a pause of that name holds up.
    pub(crate) fn paused_caches(&self, id: Uuid, what: &Paused) -> Vec<PausedCache> {
        self.0.tracker.lock().paused_caches(id, what, self.0.clock.now())
    }

    /// The pause of that token.
    pub(crate) fn pause_of_token(&self, token: &str) -> Option<StandingPause> {
        self.0.paused_tokens.of(token, self.0.clock.now())
    }

    /// Ends a pause; where another publisher has ordered it, by an order of that name.
    pub(crate) async fn resume(
        &self,
        pause: &StandingPause,
        id: Uuid,
        by: String,
    ) -> Result<(), OrderError> {
        if pause.publisher != self.0.tracker.lock().name {
            let what = Ordered::Resume { pause: pause.id, by };
            // The pause ends by the clock of its publisher, what ends it by ours: it must not come back in between.
            let until = pause.until.checked_add(PAUSE_MAX).unwrap_or(pause.until);
            return self.order_until(id, what, until).await.map(drop);
        }
        self.withdraw(pause.id).await
    }
}
