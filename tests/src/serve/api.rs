//! A client of the process: its API and its admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use schemas::api::{Accepted, CacheSummary, Page, Progress, RegionSummary};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// Longer than the API makes anybody wait.
const PATIENCE: Duration = Duration::from_secs(130);

/// A client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    port: u16,
    admin: u16,
}

impl Api {
    pub(super) fn new(port: u16, admin: u16) -> Self {
        // A connection that died with the process would fail the next request.
        let http = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build();
        Self { http: http.expect("a client"), port, admin }
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.admin).into()
    }

    /// A request to publish, with `query` such as `?dry_run=true`; to be given a body and sent.
    pub fn request(&self, query: &str) -> RequestBuilder {
        self.http.post(format!("http://{}/v1/invalidations{query}", self.address()))
    }

    /// Publishes `body`; fails where the process does not answer, or not with 202.
    pub async fn try_publish(&self, body: &Value, key: &str) -> reqwest::Result<Accepted> {
        let request = self.request("").header("idempotency-key", key).json(body);
        request.send().await?.error_for_status()?.json().await
    }

    /// Publishes `body`.
    ///
    /// # Panics
    /// When it is not accepted.
    pub async fn publish(&self, body: &Value) -> Accepted {
        self.send("", body, StatusCode::ACCEPTED).await
    }

    /// Publishes `body` and waits until it is `applied` or `final`.
    ///
    /// # Panics
    /// When it does not come so far in time.
    pub async fn publish_until(&self, wait: &str, body: &Value) -> Progress {
        self.send(&format!("?wait={wait}&timeout=60s"), body, StatusCode::OK).await
    }

    /// Publishes `body` and waits in vain.
    ///
    /// # Panics
    /// When it comes as far as `wait` in that time.
    pub async fn publish_in_vain(&self, wait: &str, timeout: &str, body: &Value) -> Progress {
        self.send(&format!("?wait={wait}&timeout={timeout}"), body, StatusCode::ACCEPTED).await
    }

    /// Posts `body`.
    ///
    /// # Panics
    /// When the answer is not as expected.
    pub async fn send<T: DeserializeOwned>(
        &self,
        query: &str,
        body: &Value,
        expected: StatusCode,
    ) -> T {
        let answer = self.request(query).json(body).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert_eq!(status, expected, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// How far an accepted id has come; fails where the process does not answer, or does not know it.
    pub async fn try_status(&self, id: Uuid) -> reqwest::Result<Progress> {
        self.get(self.port, &format!("/v1/invalidations/{id}")).await
    }

    /// How far an accepted id has come.
    ///
    /// # Panics
    /// When the process does not know it.
    pub async fn status(&self, id: Uuid) -> Progress {
        self.try_status(id).await.expect("a known id")
    }

    /// All lanes of the cache named `cache`.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn lanes(&self, cache: &str) -> Vec<CacheSummary> {
        let page: Page<CacheSummary> = self.get(self.port, "/v1/caches").await.expect("a list");
        page.items.into_iter().filter(|lane| lane.cache.as_str() == cache).collect()
    }

    /// The regions.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn regions(&self) -> Vec<RegionSummary> {
        let page: Page<RegionSummary> = self.get(self.port, "/v1/regions").await.expect("a list");
        page.items
    }

    /// The sum of a whole-numbered metric over all series whose labels hold each of `labels`, such as
    /// `cache="redis"`.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let url = format!("http://{}/metrics", self.admin_address());
        let text = self.http.get(url).send().await.expect("an answer").text().await;
        let text = text.expect("a body");
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        series
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter(|rest| labels.iter().all(|label| rest.contains(label)))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://{}/health/ready", self.admin_address());
        let answer = self.http.get(url).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    pub(super) async fn answers(&self) -> bool {
        self.get::<Value>(self.port, "/v1/regions").await.is_ok()
    }

    async fn get<T: DeserializeOwned>(&self, port: u16, path: &str) -> reqwest::Result<T> {
        let answer = self.http.get(format!("http://127.0.0.1:{port}{path}")).send().await?;
        answer.error_for_status()?.json().await
    }
}
