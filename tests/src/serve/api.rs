//! A client of the process: its API and its admin port.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use schemas::api::{Accepted, CacheSummary, Page, Progress, RegionSummary};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::process::{Admin, purgebus};

/// Longer than the API makes anybody wait.
const PATIENCE: Duration = Duration::from_secs(130);

/// A client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    address: SocketAddr,
    admin: Admin,
}

impl Api {
    /// Of the process that listens there.
    ///
    /// # Panics
    /// When there can be no client.
    pub fn new(address: SocketAddr, admin: Admin) -> Self {
        // A connection that died with the process would fail the next request.
        let http = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build();
        Self { http: http.expect("a client"), address, admin }
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
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
        self.get(&format!("/v1/invalidations/{id}")).await
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
        let page: Page<CacheSummary> = self.get("/v1/caches").await.expect("a list");
        page.items.into_iter().filter(|lane| lane.cache.as_str() == cache).collect()
    }

    /// The regions.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn regions(&self) -> Vec<RegionSummary> {
        let page: Page<RegionSummary> = self.get("/v1/regions").await.expect("a list");
        page.items
    }

    /// The sum of a whole-numbered metric over all series whose labels hold each of `labels`, such as
    /// `cache="redis"`.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.admin.count(name, labels).await
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        self.admin.is_ready().await
    }

    /// Gets any other path, such as `/v1/agents`; fails where the process does not answer, or not well.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> reqwest::Result<T> {
        let answer = self.http.get(format!("http://{}{path}", self.address)).send().await?;
        answer.error_for_status()?.json().await
    }

    /// Posts `body` to any other path, such as `/v1/replays`; fails where the process does not answer, or not well.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> reqwest::Result<T> {
        let request = self.http.post(format!("http://{}{path}", self.address)).json(body);
        request.send().await?.error_for_status()?.json().await
    }

    /// Deletes a path, such as `/v1/agents/edge-1`; fails where the process does not answer.
    pub async fn delete(&self, path: &str) -> reqwest::Result<StatusCode> {
        let answer = self.http.delete(format!("http://{}{path}", self.address)).send().await?;
        Ok(answer.status())
    }

    /// Runs `purgebus` with these arguments against it: how that ends, and what it says to stdout and then to stderr.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = purgebus();
        command.args(arguments).env("PURGEBUS_URL", format!("http://{}", self.address));
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = running.await.expect("no panic").expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().expect("nobody kills it");
        (code, String::from_utf8_lossy(&said).into_owned())
    }

    pub(super) async fn answers(&self) -> bool {
        self.get::<Value>("/v1/regions").await.is_ok()
    }
}
