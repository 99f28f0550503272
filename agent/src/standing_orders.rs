//! What humans have ordered, as the board of publishers tells it, and which of it a lane must carry out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use schemas::{
    AgentName, CacheName, ChosenLetters, Mode, Order, Ordered, Orders, Paused, Place, Priority,
    PublisherName, Region, SiteName,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::clocks::Clocks;

/// Most publishers whose orders are remembered.
const PUBLISHERS_MAX: usize = 1_000;

/// All orders in force; shared by all lanes of an agent.
#[derive(Debug, Default)]
pub(crate) struct StandingOrders {
    by: Mutex<BTreeMap<PublisherName, Vec<Order>>>,
    known: AtomicBool,
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
    /// Let purges wait.
    Pause {
        /// Of which site; `None`: all.
        site: Option<SiteName>,
        /// For how long.
        span: Span,
    },
    /// Leave a number, unless it is begun.
    Cancel {
        /// Which.
        place: Place,
        /// In the lanes of this priority.
        priority: Priority,
    },
}

/// How long a pause lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// From now on, as far as the clock of its publisher is known.
    pub(crate) left: Duration,
    /// From its beginning.
    pub(crate) whole: Duration,
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

    /// All that stood on the board was read.
    pub(crate) fn have_been_read(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            self.changed.send_replace(());
        }
    }

    /// Whether all that stood on the board when the agent began has been read.
    pub(crate) fn are_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Changes with every word.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is to be done by `addressee`, when its own clock shows `time`. A pause ends by the clock of its publisher,
    /// and is told on, as one of which nothing is left: clocks go back.
    pub(crate) fn of(
        &self,
        addressee: &Addressee,
        clocks: &Clocks,
        time: Timestamp,
    ) -> Vec<Bidding> {
        let known = self.by.lock();
        let resumed: BTreeSet<Uuid> = known.values().flatten().filter_map(resumed).collect();
        let bidden = known.iter().flat_map(|(by, orders)| {
            let pauses = orders.iter().any(|order| matches!(order.what, Ordered::Pause { .. }));
            let said = if pauses { clocks.time_of(by, time) } else { time };
            let resumed = &resumed;
            orders.iter().filter_map(move |order| match &order.what {
                Ordered::Pause { .. } if resumed.contains(&order.id) => None,
                Ordered::Pause { what, .. } => addressee.paused(order, what, said),
                _ if order.expires_at > time => addressee.bidden(order),
                _ => None,
            })
        });
        bidden.collect()
    }
}

/// The pause that an order ends.
fn resumed(order: &Order) -> Option<Uuid> {
    match order.what {
        Ordered::Resume { pause, .. } => Some(pause),
        _ => None,
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
            Ordered::Cancel { place, priority, .. } => {
                Bidden::Cancel { place: *place, priority: *priority }
            }
            _ => return None,
        };
        Some(Bidding { id: order.id, expires_at: order.expires_at, what })
    }

    fn paused(&self, order: &Order, what: &Paused, time: Timestamp) -> Option<Bidding> {
        let site = match what {
            Paused::Site(site) => Some(site.clone()),
            Paused::Agent(agent) if *agent == self.agent => None,
            Paused::Cache { cache, region }
                if *cache == self.cache
                    && region.as_ref().is_none_or(|region| *region == self.region) =>
            {
                None
            }
            Paused::Agent(_) | Paused::Cache { .. } | Paused::Token(_) => return None,
        };
        let Order { id, at, expires_at, .. } = *order;
        let span = |from| Duration::try_from(expires_at.duration_since(from)).unwrap_or_default();
        let (left, whole) = (span(time), span(at));
        let what = Bidden::Pause { site, span: Span { left: left.min(whole), whole } };
        Some(Bidding { id, expires_at, what })
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
        let time = Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        orders.of(&addressee, &Clocks::default(), time)
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

    fn order(id: u128, what: Ordered) -> Order {
        let expires_at = Timestamp::UNIX_EPOCH + Duration::from_secs(100);
        Order { id: Uuid::from_u128(id), at: Timestamp::UNIX_EPOCH, expires_at, what }
    }

    fn pause(id: u128, what: Paused) -> Order {
        order(id, Ordered::Pause { what, reason: None, by: "ops".to_owned() })
    }

    /// The pauses that the lane of `varnish` of `edge-1` in `eu-west` obeys when its clock shows that, and how long each
    /// lasts still.
    fn paused(by: &[(&str, Vec<Order>)], clocks: &Clocks, seconds: u64) -> Vec<(u128, u64)> {
        let orders = StandingOrders::default();
        for (by, of_one) in by {
            orders.learn(Orders { by: by.parse().expect("a name"), orders: of_one.clone() });
        }
        let addressee = Addressee {
            region: "eu-west".parse().expect("a name"),
            agent: "edge-1".parse().expect("a name"),
            cache: "varnish".parse().expect("a name"),
            behind: BTreeSet::new(),
        };
        let time = Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let bidden = orders.of(&addressee, clocks, time).into_iter();
        bidden
            .filter_map(|order| match order.what {
                Bidden::Pause { span, .. } => Some((order.id.as_u128(), span.left.as_secs())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_lane_obeys_pauses_of_its_cache_its_agent_and_of_sites_until_another_publisher_ends_them() {
        let cache = |cache: &str, region: Option<&str>| Paused::Cache {
            cache: cache.parse().expect("a name"),
            region: region.map(|region| region.parse().expect("a name")),
        };
        let agent = |agent: &str| Paused::Agent(agent.parse().expect("a name"));
        let ours = vec![
            pause(1, Paused::Site("main".parse().expect("a name"))),
            pause(2, agent("edge-1")),
            pause(3, agent("edge-2")),
            pause(4, cache("varnish", None)),
            pause(5, cache("varnish", Some("eu-west"))),
            pause(6, cache("varnish", Some("us-east"))),
            pause(7, cache("redis", None)),
            pause(8, Paused::Token("cms".to_owned())),
        ];
        let clocks = Clocks::default();
        let ids = |by: &[(&str, Vec<Order>)]| -> Vec<u128> {
            paused(by, &clocks, 10).into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(ids(&[("p1", ours.clone())]), [1, 2, 4, 5]);
        let resume = |id| Ordered::Resume { pause: Uuid::from_u128(id), by: "ops".to_owned() };
        let ended = vec![order(20, resume(2)), order(21, resume(5))];
        assert_eq!(ids(&[("p1", ours), ("p2", ended)]), [1, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_by_the_clock_of_its_publisher_where_that_is_known() {
        let name: PublisherName = "p1".parse().expect("a name");
        let orders = || [("p1", vec![pause(1, Paused::Agent("edge-1".parse().expect("a name")))])];
        let strangers = Clocks::default();
        assert_eq!(paused(&orders(), &strangers, 40), [(1, 60)]);
        assert_eq!(paused(&orders(), &strangers, 100), [(1, 0)]);
        // The agent's clock is half an hour ahead.
        let ahead = Clocks::default();
        let said = Timestamp::UNIX_EPOCH + Duration::from_secs(1);
        ahead.hear(&name, said, said + Duration::from_mins(30));
        assert_eq!(paused(&orders(), &ahead, 1_840), [(1, 60)]);
        assert_eq!(paused(&orders(), &ahead, 1_900), [(1, 0)]);
        // Or half an hour behind: it lasts no longer than it was to last.
        let behind = Clocks::default();
        let said = said + Duration::from_mins(30);
        behind.hear(&name, said, Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(paused(&orders(), &behind, 40), [(1, 0)]);
        assert_eq!(paused(&orders(), &strangers, 0), [(1, 100)]);
    }
}
