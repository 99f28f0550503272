//! What humans order: said on the board, so that every agent hears it, until all whom it is for have carried it out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{DeadLetterSummary, OrderedCache};
use schemas::{
    BoardMessage, CacheName, ChosenLetters, DeadLetter, DeadLetters, ORDERS_MAX, Order, Ordered,
    Orders, PublisherName, Region, legible,
};
use tracing::warn;
use uuid::Uuid;

use super::Tracker;
use super::handle::TrackerHandle;
use super::registry::Registered;
use super::store::StoreError;

/// An agent that is away for longer does not carry it out.
const EXPIRES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Longest wait for the boards to be read: what was ordered before must not be forgotten.
const BOARDS_WITHIN: Duration = Duration::from_secs(3);

/// Most publishers whose orders are remembered.
const PUBLISHERS_MAX: usize = 256;

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// What was ordered before is not known yet.
    #[error("the boards have not been read yet")]
    Unread,
    /// So much is ordered already, and not carried out.
    #[error("{ORDERS_MAX} orders are not carried out yet")]
    TooMany,
    /// The board did not take it in time; it may have, all the same.
    #[error("the board of publishers does not take it: {0}")]
    Unavailable(String),
    /// What was ordered under that name is over.
    #[error("what was ordered under the same key is over")]
    Over,
    /// It stands on the board; here it could not be kept.
    #[error("it stands on the board, and could not be stored here")]
    Store(#[from] StoreError),
}

/// The orders of every publisher, as they stand on the board.
#[derive(Debug, Default)]
pub(super) struct StandingOrders {
    by: BTreeMap<PublisherName, Vec<Order>>,
    /// Of whom they are not stored as they stand here.
    unstored: BTreeSet<PublisherName>,
}

impl StandingOrders {
    fn of(&self, publisher: &PublisherName) -> &[Order] {
        self.by.get(publisher).map_or(&[], Vec::as_slice)
    }

    /// Every order, and through whom it was given.
    pub(super) fn all(&self) -> impl Iterator<Item = (&PublisherName, &Order)> {
        self.by.iter().flat_map(|(by, orders)| orders.iter().map(move |order| (by, order)))
    }

    /// Takes back what was stored, which the board may know better by now.
    pub(super) fn restore(&mut self, stored: Vec<Orders>) {
        self.by.extend(stored.into_iter().map(|Orders { by, orders }| (by, orders)));
    }

    /// What has changed since this was last asked.
    pub(super) fn take_unstored(&mut self) -> Vec<Orders> {
        let changed = std::mem::take(&mut self.unstored).into_iter();
        changed.map(|by| Orders { orders: self.of(&by).to_vec(), by }).collect()
    }
}

impl Tracker {
    /// What a publisher has ordered.
    pub(super) fn orders(&mut self, Orders { by, orders }: Orders) {
        let StandingOrders { by: known, unstored } = &mut self.standing_orders;
        if known.len() < PUBLISHERS_MAX || known.contains_key(&by) {
            let before = known.insert(by.clone(), orders);
            if before.as_ref() != known.get(&by) {
                unstored.insert(by);
            }
        }
    }

    /// The caches of that name in a region, or all there.
    pub(crate) fn ordered_caches(
        &self,
        region: &Region,
        cache: Option<&CacheName>,
        now: Timestamp,
    ) -> Vec<OrderedCache> {
        let agents = self.registry.agents().filter(|(_, agent)| agent.region == *region);
        let caches = agents.flat_map(|(name, agent)| {
            let state = self.agent_state(name, agent, now);
            let row = move |cache: &CacheName| OrderedCache {
                agent: name.clone(),
                cache: cache.clone(),
                state,
            };
            agent.caches.keys().map(row)
        });
        caches.filter(|row| cache.is_none_or(|cache| row.cache == *cache)).collect()
    }

    /// Whether we have ordered that, and it may not be carried out yet.
    fn has_ordered(&self, id: Uuid) -> bool {
        self.standing_orders.of(&self.name).iter().any(|order| order.id == id)
    }

    /// The dead letters that are meant, as far as agents tell of them; and how many more the caches that may be meant
    /// have.
    fn dead_letters(&self, chosen: &ChosenLetters) -> (Vec<DeadLetterSummary>, u64) {
        let (mut rows, mut more) = (Vec::new(), 0_u64);
        for registered in self.registry.lanes() {
            let Registered { agent_name, agent, cache_name, lane, .. } = registered;
            if chosen.concerns(&agent.region, agent_name, cache_name) {
                more = more.saturating_add(untold(&lane.dead_letters));
                let letters = lane.dead_letters.newest.iter().filter(|it| chosen.names(it));
                rows.extend(letters.map(|letter| summary(&registered, letter)));
            }
        }
        (rows, more)
    }

    /// The dead letter of that name, with what its cache answered.
    fn dead_letter(&self, id: Uuid) -> Option<DeadLetterSummary> {
        self.registry.lanes().find_map(|registered| {
            let mut letters = registered.lane.dead_letters.newest.iter();
            let letter = letters.find(|letter| letter.id == id)?;
            let exchange = letter.exchange.as_ref().map(Into::into);
            Some(DeadLetterSummary { exchange, ..summary(&registered, letter) })
        })
    }

    /// Our own orders that somebody may still have to carry out.
    fn open_orders(&self, now: Timestamp) -> Vec<Order> {
        let own = self.standing_orders.of(&self.name).iter();
        let open = own.filter(|order| order.expires_at > now && !self.carried_out(order));
        open.cloned().collect()
    }

    /// Whether all whom it is for say so.
    fn carried_out(&self, order: &Order) -> bool {
        match order.what {
            Ordered::Pause { .. } => return self.standing_orders.resumed().contains(&order.id),
            // For longer than the pause would be.
            Ordered::Resume { .. } => return false,
            _ => {}
        }
        let mut lanes = self.registry.lanes().filter(|lane| is_for(&order.what, lane)).peekable();
        // A region without caches may get some; a letter that nobody tells of any more is over.
        let comes = matches!(order.what, Ordered::Flush { .. } | Ordered::Cancel { .. });
        let somebody = lanes.peek().is_some() || !comes;
        somebody && lanes.all(|registered| registered.lane.obeyed.contains(&order.id))
    }
}

fn is_for(what: &Ordered, registered: &Registered<'_>) -> bool {
    let Registered { agent_name, agent, cache_name, lane, .. } = registered;
    match what {
        Ordered::Flush { region, cache, mode: _ } => {
            agent.region == *region && cache.as_ref().is_none_or(|cache| cache == *cache_name)
        }
        Ordered::Retry { letters } | Ordered::Drop { letters, .. } => {
            letters.concerns(&agent.region, agent_name, cache_name)
                && (letters.ids.is_empty()
                    || untold(&lane.dead_letters) > 0
                    || lane.dead_letters.newest.iter().any(|letter| letters.names(letter)))
        }
        Ordered::Cancel { priority, .. } => registered.priority == *priority,
        Ordered::Pause { .. } | Ordered::Resume { .. } => false,
    }
}

fn untold(letters: &DeadLetters) -> u64 {
    letters.count.saturating_sub(letters.newest.len() as u64)
}

fn summary(registered: &Registered<'_>, letter: &DeadLetter) -> DeadLetterSummary {
    let Registered { agent_name, agent, cache_name, priority, .. } = *registered;
    DeadLetterSummary {
        id: letter.id,
        region: agent.region.clone(),
        agent: agent_name.clone(),
        cache: cache_name.clone(),
        priority,
        site: letter.site.clone(),
        selector: letter.selector.to_string(),
        mode: letter.mode,
        reason: legible(&letter.reason),
        first_seen: letter.first_seen,
        last_tried: letter.last_tried,
        tries: letter.tries,
        state: letter.state,
        invalidations: letter.invalidations,
        line: letter.place.line.to_string(),
        number: letter.place.number,
        exchange: None,
    }
}

impl TrackerHandle {
    /// Whether we have ordered that, and it may not be carried out yet.
    pub(crate) fn has_ordered(&self, id: Uuid) -> bool {
        self.0.tracker.lock().has_ordered(id)
    }

    /// The dead letters that are meant, as far as agents tell of them; and how many more the caches that may be meant
    /// have.
    pub(crate) fn dead_letters(&self, chosen: &ChosenLetters) -> (Vec<DeadLetterSummary>, u64) {
        self.0.tracker.lock().dead_letters(chosen)
    }

    /// The dead letter of that name, with what its cache answered, if an agent tells of it.
    pub(crate) fn dead_letter(&self, id: Uuid) -> Option<DeadLetterSummary> {
        self.0.tracker.lock().dead_letter(id)
    }

    /// The caches of that name in a region, or all there.
    pub(crate) fn ordered_caches(
        &self,
        region: &Region,
        cache: Option<&CacheName>,
    ) -> Vec<OrderedCache> {
        self.0.tracker.lock().ordered_caches(region, cache, self.0.clock.now())
    }

    /// Orders it on the board. The same `id` once more is the same order.
    pub(crate) async fn order(&self, id: Uuid, what: Ordered) -> Result<Order, OrderError> {
        let expires_at = self.0.clock.now().checked_add(EXPIRES_AFTER).unwrap_or(Timestamp::MAX);
        self.order_until(id, what, expires_at).await
    }

    /// The same, with the time at which it expires.
    pub(crate) async fn order_until(
        &self,
        id: Uuid,
        what: Ordered,
        expires_at: Timestamp,
    ) -> Result<Order, OrderError> {
        if !self.caught_up(BOARDS_WITHIN).await {
            return Err(OrderError::Unread);
        }
        let _alone = self.0.ordering.lock().await;
        let now = self.0.clock.now();
        let mut orders = self.0.tracker.lock().open_orders(now);
        let place = match orders.binary_search_by_key(&id, |order| order.id) {
            Ok(known) => return Ok(orders.swap_remove(known)),
            Err(_) if orders.len() >= ORDERS_MAX => return Err(OrderError::TooMany),
            Err(place) => place,
        };
        let order = Order { id, at: now, expires_at, what };
        orders.insert(place, order.clone());
        self.say_orders(orders).await?;
        warn!(order = %id, what = ?order.what, "ordered by a human");
        Ok(order)
    }

    /// Takes an order of ours back.
    pub(super) async fn withdraw(&self, id: Uuid) -> Result<(), OrderError> {
        if !self.caught_up(BOARDS_WITHIN).await {
            return Err(OrderError::Unread);
        }
        let _alone = self.0.ordering.lock().await;
        let mut orders = self.0.tracker.lock().open_orders(self.0.clock.now());
        orders.retain(|order| order.id != id);
        self.say_orders(orders).await?;
        warn!(order = %id, "an order was taken back by a human");
        Ok(())
    }

    /// Says all our orders, and keeps them: on the board and on the disk when it returns.
    async fn say_orders(&self, orders: Vec<Order>) -> Result<(), OrderError> {
        let orders = Orders { by: self.0.tracker.lock().name.clone(), orders };
        let said = self.0.say(&BoardMessage::Orders(orders.clone())).await;
        said.map_err(OrderError::Unavailable)?;
        self.0.learn_orders(orders);
        Ok(self.0.store(false, false).await?)
    }
}
