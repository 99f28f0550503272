//! The three regions: which caches each agent has, and how much goes on in them.

use std::time::Duration;

use fastrand::Rng;
use futures::future::join_all;
use tests::bus::{Bus, Wire};
use tests::shop::Desk;
use tests::town::{Pace, Place, Stock, Town};

/// Who purges what where.
pub(crate) type Map = &'static [(&'static str, &'static str, Stock)];

/// Three regions with two agents each.
pub(crate) const THREE: Map = &[
    ("eu-west", "edge-1", Stock::VarnishAfterRedis),
    ("eu-west", "edge-2", Stock::Edge),
    ("us-east", "edge-3", Stock::Varnish),
    ("us-east", "edge-4", Stock::Redis),
    ("ap-south", "edge-5", Stock::Edge),
    ("ap-south", "edge-6", Stock::Edge),
];

const PUBLISHERS: usize = 2;

const PACE: Pace = Pace {
    pages: 300,
    edit_twice_every: Duration::from_millis(150),
    readers: 1,
    read_every: Duration::from_millis(30),
    final_not_before: Duration::from_secs(1),
};
/// A hole has all the time to be filled: nothing here may need a flush.
const LANE: &str =
    "rebounds = [\"1s\"]\nhole_grace = \"1s\"\nhole_deadline = \"5m\"\nflush_spread = \"0s\"\n";

/// A bus, and a town around it.
#[derive(Debug)]
pub(crate) struct Regions {
    pub(crate) bus: Bus,
    pub(crate) town: Town,
    /// Flushes of each agent that belong to its first start.
    first_flushes: Vec<u64>,
}

impl Regions {
    /// Starts it; everybody is ready and knows everybody.
    pub(crate) async fn start(wire: Wire, map: Map) -> Self {
        let mut rng = Rng::new();
        let desk = Desk::open();
        let mut places = Vec::new();
        for (region, agent, stock) in map {
            let name = format!("{region}/{agent}");
            places.push(Place::open(name, *stock, &desk, rng.fork()).await);
        }
        let town = Town::found(desk, places, PACE, rng).await;
        let mut bus = Bus::on(wire);
        for at in 1..=PUBLISHERS {
            bus.start_publisher(&format!("publisher-{at}"), "").await;
        }
        for ((region, agent, _), place) in map.iter().zip(&town.places) {
            bus.start_agent(agent, region, place.settings(LANE)).await;
        }
        bus.registered().await;
        let mut regions = Self { bus, town, first_flushes: Vec::new() };
        regions.first_flushes = regions.flushes().await;
        regions
    }

    /// Flushes since everybody was ready, in lives of now.
    pub(crate) async fn later_flushes(&self) -> u64 {
        let flushes = self.flushes().await;
        let pairs = flushes.iter().zip(&self.first_flushes);
        // A later life has none of the first one's.
        pairs.map(|(now, first)| now.checked_sub(*first).unwrap_or(*now)).sum()
    }

    /// Frames sent again, in lives of now.
    pub(crate) async fn repairs(&self) -> u64 {
        let mut repairs = 0;
        for publisher in &self.bus.publishers {
            repairs += publisher.admin().count("purgebus_repairs_total", &[]).await;
        }
        repairs
    }

    async fn flushes(&self) -> Vec<u64> {
        let admins = self.bus.agents.iter().map(|agent| agent.admin());
        join_all(admins.map(|admin| admin.count("purgebus_flushes_total", &[]))).await
    }
}
