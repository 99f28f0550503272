//! One publisher before two regions, each with a Redis of its own.

use tests::bus::{Bus, QUICK, Wire};
use tests::serve::{Api, DATA, Settings};
use tests::servers::redis::Redis;

/// All of it, ready.
pub(crate) struct TwoRegions {
    pub(crate) bus: Bus,
    /// The Redis of `edge-1` in `eu-west`.
    pub(crate) europe: Redis,
    /// The Redis of `edge-2` in `us-east`.
    pub(crate) america: Redis,
}

impl TwoRegions {
    pub(crate) async fn start(wire: Wire) -> Self {
        let (europe, america) = (Redis::start().await, Redis::start().await);
        let mut bus = Bus::on(wire);
        bus.start_publisher("publisher-1", "").await;
        for (agent, region, redis) in
            [("edge-1", "eu-west", &europe), ("edge-2", "us-east", &america)]
        {
            let settings = Settings::default().redis(redis.address(), DATA, QUICK);
            bus.start_agent(agent, region, settings).await;
        }
        bus.registered().await;
        Self { bus, europe, america }
    }

    /// How the publisher is asked.
    pub(crate) fn api(&self) -> Api {
        self.bus.publishers[0].api().clone()
    }
}
