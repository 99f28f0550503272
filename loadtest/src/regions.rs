//! What a publisher knows of all regions: whether their agents are there, and have purged what they were told.

use std::time::Duration;

use anyhow::ensure;
use tests::serve::Api;
use tokio::time::{Instant, sleep};

/// Longest time until all agents are there, or have purged.
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

/// Waits until no region lacks anything that this publisher knows of.
///
/// # Errors
/// When that takes too long.
pub(crate) async fn caught_up(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while api.regions().await.iter().any(|region| region.lag_numbers > 0) {
        ensure!(Instant::now() < deadline, "the agents do not catch up");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
