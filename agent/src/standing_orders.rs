//! What humans have ordered, as the board of publishers tells it, and which of it a lane must carry out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use parking_lot::Mutex;
use schemas::{
    AgentName, CacheName, ChosenLetters, Mode, Order, Ordered, Orders, PublisherName, Region,
};
use tokio::sync::watch;
use uuid::Uuid;

/// Most publishers whose orders are remembered.
const PUBLISHERS_MAX: usize = 1_000;

/// All orders in force; shared by all lanes of an agent.
#[derive(Debug, Default)]
pub(crate) struct StandingOrders {
    by: Mutex<BTreeMap<PublisherName, Vec<Order>>>,
    changed: watch::Sender<()>,
}

/// An order, as a lane must take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bidding {
    /// Its name.
    pub(crate) id: Uuid,
    /// Until when it counts.
    pub(crate) expires_at: Timestamp,
    /// What the lane must do.
    pub(crate) what: Bidden,
}

/// What a lane must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bidden {
    /// Flush.
    Flush {
        /// Whether objects are removed, or marked stale.
        mode: Mode,
        /// Whether the lane that it comes after is bidden too, and goes first.
        inner_too: bool,
    },
    /// Purge dead letters again.
    Retry {
        /// Which.
        letters: ChosenLetters,
    },
    /// Give up dead letters.
    Drop {
        /// Which.
        letters: ChosenLetters,
        /// When the human said so.
        before: Timestamp,
    },
}

/// Whom an order must name to concern a lane.
#[derive(Debug, Clone)]
pub(crate) struct Addressee {
    /// The agent's region.
    pub(crate) region: Region,
    /// The agent.
    pub(crate) agent: AgentName,
    /// The lane's cache.
    pub(crate) cache: CacheName,
    /// The caches that it comes after, directly or not: what is flushed behind it may still lie in it.
    pub(crate) behind: BTreeSet<CacheName>,
}

impl StandingOrders {
    /// The latest word of a publisher.
    pub(crate) fn learn(&self, Orders { by, orders }: Orders) {
        let mut known = self.by.lock();
        if known.len() < PUBLISHERS_MAX || known.contains_key(&by) {
            known.insert(by, orders);
        }
        drop(known);
        self.changed.send_replace(());
    }

    /// Changes with every word.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is to be done by `addressee`, at that `time`.
    pub(crate) fn of(&self, addressee: &Addressee, time: Timestamp) -> Vec<Bidding> {
        let known = self.by.lock();
        let in_force = known.values().flatten().filter(|order| order.expires_at > time);
        in_force.filter_map(|order| addressee.bidden(order)).collect()
    }
}

impl Addressee {
    fn bidden(&self, order: &Order) -> Option<Bidding> {
        let concerns =
            |letters: &ChosenLetters| letters.concerns(&self.region, &self.agent, &self.cache);
        let what = match &order.what {
            Ordered::Flush { region, cache, mode } if *region == self.region => {
                self.flush(cache.as_ref(), *mode)?
            }
            Ordered::Retry { letters } if concerns(letters) => {
                Bidden::Retry { letters: letters.clone() }
            }
            Ordered::Drop { letters, .. } if concerns(letters) => {
                Bidden::Drop { letters: letters.clone(), before: order.at }
            }
            Ordered::Flush { .. } | Ordered::Retry { .. } | Ordered::Drop { .. } => return None,
        };
        Some(Bidding { id: order.id, expires_at: order.expires_at, what })
    }

    fn flush(&self, cache: Option<&CacheName>, mode: Mode) -> Option<Bidden> {
        let inner_too = match cache {
            None => !self.behind.is_empty(),
            Some(cache) => self.behind.contains(cache),
        };
        let named = cache.is_none_or(|cache| *cache == self.cache);
        (named || inner_too).then_some(Bidden::Flush { mode, inner_too })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn flushes(region: &str, cache: Option<&str>, seconds: u64) -> Vec<Bidding> {
        let orders = StandingOrders::default();
        let expires_at = Timestamp::UNIX_EPOCH + Duration::from_secs(100);
        orders.learn(Orders {
            by: "p".parse().expect("a name"),
            orders: vec![Order {
                id: Uuid::nil(),
                at: Timestamp::UNIX_EPOCH,
                expires_at,
                what: Ordered::Flush {
                    region: region.parse().expect("a name"),
                    cache: cache.map(|cache| cache.parse().expect("a name")),
                    mode: Mode::Hard,
                },
            }],
        });
        let addressee = Addressee {
            region: "eu-west".parse().expect("a name"),
            agent: "edge-1".parse().expect("a name"),
            cache: "varnish".parse().expect("a name"),
            behind: ["redis".parse().expect("a name")].into(),
        };
        orders.of(&addressee, Timestamp::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn a_lane_is_bidden_what_names_it_or_what_lies_behind_it() {
        let inner_too = |cache| match flushes("eu-west", cache, 0).first().map(|order| &order.what)
        {
            Some(Bidden::Flush { inner_too, .. }) => Some(*inner_too),
            _ => None,
        };
        assert_eq!(inner_too(None), Some(true));
        assert_eq!(inner_too(Some("redis")), Some(true));
        assert_eq!(inner_too(Some("varnish")), Some(false));
        assert_eq!(inner_too(Some("other")), None);
        assert!(flushes("us-east", None, 0).is_empty());
    }

    #[test]
    fn an_order_that_has_expired_bids_nobody() {
        assert_eq!(flushes("eu-west", None, 99).len(), 1);
        assert!(flushes("eu-west", None, 100).is_empty());
    }
}
