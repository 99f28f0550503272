//! An origin, a Varnish in front of it, the driver, and what tests ask of them.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::conformance::{self, Address, Object, Specimen};
use agent::driver::varnish::Varnish as VarnishDriver;
use agent::driver::{Batch, Driver, Purge, PurgeError, Surroundings};
use async_trait::async_trait;
use axum::http::Method;
use reqwest::Response;
use schemas::{Ability, Mode, Selector, SelectorKind};
use tempfile::TempDir;
use tests::servers::origin::{Origin, Page, VARIANT};
use tests::servers::varnish::Varnish;
pub(crate) use tests::servers::varnish::include_shipped;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// A VCL that purges by URL, as most have it.
pub(crate) const PLAIN: &str = r#"
sub vcl_recv { if (req.method == "PURGE") { return (purge); } }
"#;

/// Tells what is fresh without fetching it; refuses purges while a file exists.
pub(crate) const PEEK: &str = r#"
import std;
sub vcl_recv {
    if (req.method == "PURGE" && std.file_exists("REFUSE")) { return (synth(403)); }
}
sub vcl_hit { if (req.http.x-peek && obj.ttl <= 0s) { return (synth(504)); } }
sub vcl_miss { if (req.http.x-peek) { return (synth(504)); } }
"#;

/// An origin, a Varnish in front of it, and the driver.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) origin: Origin,
    pub(crate) varnish: Varnish,
    pub(crate) driver: Arc<dyn Driver>,
    client: reqwest::Client,
    shipped: bool,
    folder: TempDir,
}

impl House {
    pub(crate) async fn with(vcl: &str) -> Self {
        let origin = Origin::start().await;
        let folder = tempfile::tempdir().unwrap();
        let refuse = folder.path().join("refuse").display().to_string();
        let vcl_text = PEEK.replace("REFUSE", &refuse) + vcl;
        let varnish = Varnish::start(origin.address(), &vcl_text).await;
        let driver = driver(&format!("http://{}", varnish.address()));
        let client = reqwest::Client::builder().http1_only().build().unwrap();
        Self { origin, varnish, driver, client, shipped: vcl.contains("include"), folder }
    }

    pub(crate) async fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(Method::GET, host, path, headers).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let url = format!("http://{}{path}", self.varnish.address());
        let mut request = self.client.request(method, url).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Publishes a new version of a page of `www.example.com` and caches it.
    pub(crate) async fn cached(&self, path: &str, page: Page) {
        self.origin.publish(&format!("www.example.com{path}"), page);
        self.get("www.example.com", path, &[]).await;
        assert!(self.holds(path).await, "{path} is not cacheable");
    }

    pub(crate) async fn holds(&self, path: &str) -> bool {
        self.get("www.example.com", path, &[("x-peek", "1")]).await.status() != 504
    }

    pub(crate) async fn purge(
        &self,
        selectors: impl IntoIterator<Item = Selector>,
    ) -> Result<(), PurgeError> {
        let purge = |selector| Purge::new("main".parse().unwrap(), selector, Mode::Hard);
        let batch = Batch { purges: selectors.into_iter().map(purge).collect() };
        self.driver.purge(&batch).await.map(|_| ())
    }
}

pub(crate) fn driver(url: &str) -> Arc<dyn Driver> {
    driver_of(&format!("url = '{url}'\ntimeout = '5s'"))
}

/// A driver with these keys of a `[[agent.cache]]`.
pub(crate) fn driver_of(keys: &str) -> Arc<dyn Driver> {
    Arc::new(VarnishDriver::new(
        &toml::from_str(keys).unwrap(),
        &Surroundings {
            sites: conformance::sites(),
            region: "local".parse().unwrap(),
            agent: "edge-1".parse().unwrap(),
            cache: "varnish".parse().unwrap(),
            priority: schemas::Priority::Normal,
            instance: Uuid::nil(),
        },
    ))
}

pub(crate) fn url(path: &str) -> Selector {
    let url: schemas::Url = format!("https://www.example.com{path}").parse().unwrap();
    Selector::Url {
        scheme: url.scheme,
        host: url.host,
        path: url.path,
        query: schemas::QueryMatch::Exact(url.query),
    }
}

pub(crate) fn tag(tag: &str) -> Selector {
    Selector::Tag(tag.parse().unwrap())
}

/// The error and what caused it, and whether waiting may help.
pub(crate) fn told(outcome: Result<impl std::fmt::Debug, PurgeError>) -> (bool, String) {
    let error = outcome.expect_err("it must not count as purged");
    let unavailable = matches!(error, PurgeError::Unavailable { .. });
    (unavailable, error.source().expect("a cause").to_string())
}

#[async_trait]
impl Specimen for House {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn ability(&self, kind: SelectorKind) -> Ability {
        match kind {
            SelectorKind::Key => Ability::NotHeld,
            SelectorKind::Url => Ability::Supported,
            _ if self.shipped => Ability::Supported,
            _ => Ability::Unsupported,
        }
    }

    async fn store(&mut self, object: &Object) {
        let (host, path) = place(object);
        let page = Page {
            tags: object.tags.iter().map(ToString::to_string).collect(),
            varies: object.variant.is_some(),
            ..Page::default()
        };
        self.origin.publish(&format!("{host}{path}"), page);
        let variant = (VARIANT, object.variant.unwrap_or("none"));
        self.get(&host, &path, &[variant]).await;
        // Where a soft purge left a stale object, it is answered once more while it is fetched.
        let deadline = Instant::now() + PATIENCE;
        while !self.holds_fresh(object).await {
            assert!(Instant::now() < deadline, "{object} is not cacheable");
            sleep(POLL).await;
        }
    }

    async fn holds_fresh(&mut self, object: &Object) -> bool {
        let (host, path) = place(object);
        let variant = (VARIANT, object.variant.unwrap_or("none"));
        self.get(&host, &path, &[variant, ("x-peek", "1")]).await.status() != 504
    }

    fn has_variants(&self) -> bool {
        true
    }

    async fn stop(&mut self) {
        self.varnish.stop().await;
    }

    async fn start(&mut self) {
        self.varnish.restart().await;
    }

    async fn refuse(&mut self, refuse: bool) -> bool {
        let file: PathBuf = self.folder.path().join("refuse");
        if refuse {
            fs::write(file, "").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
        true
    }
}

fn place(object: &Object) -> (String, String) {
    let Address::Page(url) = &object.address else { panic!("{object} is not held by Varnish") };
    let query = url.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    (url.host.to_string(), format!("{}{query}", url.path))
}

/// Polls until it is so.
pub(crate) async fn until(so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < deadline, "it never became so");
        sleep(POLL).await;
    }
}
