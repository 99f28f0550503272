//! When a publisher knows a fleet.

use std::time::Duration;

use anyhow::ensure;
use tests::serve::Api;
use tokio::time::{Instant, sleep};

/// Longest time until all agents are there.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until a publisher knows so many agents, and all are ready.
///
/// # Errors
/// When that takes too long.
pub(crate) async fn known(api: &Api, agents: u32) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let regions = api.regions().await;
        let known = regions.iter().map(|region| region.agents).sum::<usize>();
        let ready = regions.iter().all(|region| region.ready);
        if known == usize::try_from(agents)? && ready {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{known} of {agents} agents are known, ready: {ready}");
        sleep(LOOK_EVERY).await;
    }
}
