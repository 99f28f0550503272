//! What one round of questions brings: one request at a time, each within its time.

use std::time::Duration;

use schemas::api::{CacheSummary, DeadLetterPage, LatencyReport, Page, RegionSummary};
use serde::de::DeserializeOwned;

use crate::client::{Client, Unanswered, understand};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How the bus stands, as a publisher knows it.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) regions: Vec<RegionSummary>,
    pub(super) caches: Vec<CacheSummary>,
    pub(super) latency: LatencyReport,
    /// The newest of them.
    pub(super) letters: DeadLetterPage,
}

impl Answers {
    pub(super) async fn ask(client: &Client) -> Result<Self, Unanswered> {
        let regions: Page<_> = get(client, "/v1/regions").await?;
        let caches: Page<_> = get(client, "/v1/caches").await?;
        Ok(Self {
            regions: regions.items,
            caches: caches.items,
            latency: get(client, "/v1/latency?window=1m").await?,
            letters: get(client, "/v1/dead-letters?limit=200").await?,
        })
    }
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Unanswered> {
    understand(client.get(path, ANSWER_WITHIN).await?)
}
