//! A client of the admin port of a process.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admin {
    http: Client,
    address: SocketAddr,
}

impl Admin {
    /// Of the process that listens there.
    ///
    /// # Panics
    /// When there can be no client.
    pub fn at(address: SocketAddr) -> Self {
        // A connection that died with the process would fail the next request.
        let http = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build();
        Self { http: http.expect("a client"), address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(self.url("/health/ready")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// What it says about its readiness; fails where it does not answer.
    pub async fn try_readiness(&self) -> reqwest::Result<Value> {
        self.http.get(self.url("/health/ready")).send().await?.json().await
    }

    /// What every condition whose name begins with `name` says, where it says anything: why it is not ready.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn details(&self, name: &str) -> Vec<String> {
        let readiness = self.try_readiness().await.expect("an answer");
        let conditions = readiness["conditions"].as_array().cloned().unwrap_or_default();
        let named = conditions
            .into_iter()
            .filter(|it| it["name"].as_str().is_some_and(|it| it.starts_with(name)));
        named.filter_map(|it| it["detail"].as_str().map(str::to_owned)).collect()
    }

    /// Its metrics as text.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn metrics(&self) -> String {
        let answer = self.http.get(self.url("/metrics")).send().await.expect("an answer");
        answer.text().await.expect("a body")
    }

    /// The sum of a whole-numbered metric over all series whose labels hold each of `labels`, such as
    /// `cache="redis"`.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let text = self.metrics().await;
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        series
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter(|rest| labels.iter().all(|label| rest.contains(label)))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
