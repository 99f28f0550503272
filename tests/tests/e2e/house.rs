//! An origin, both caches, and the process that purges them.

use std::process::Output;

use serde_json::{Value, json};
use tests::process::purgebus;
use tests::serve::{Api, Caches, PAGES, Serve, Settings};
use tests::servers::origin::{Origin, Page};

/// Passes short enough for a test, of caches that are empty at the first start.
pub(crate) const REBOUNDS: &str = "rebounds = [\"300ms\", \"1s\"]\nstarts_empty = true";

#[derive(Debug)]
pub(crate) struct House {
    pub(crate) origin: Origin,
    pub(crate) caches: Caches,
    pub(crate) serve: Serve,
}

impl House {
    /// With Varnish after Redis, which holds pages.
    pub(crate) async fn start() -> Self {
        Self::with(|caches| caches.settings(PAGES, REBOUNDS)).await
    }

    pub(crate) async fn with(settings: impl FnOnce(&Caches) -> Settings) -> Self {
        let origin = Origin::start().await;
        let caches = Caches::start(origin.address()).await;
        let serve = Serve::start_ready(settings(&caches)).await;
        Self { origin, caches, serve }
    }

    pub(crate) fn api(&self) -> &Api {
        self.serve.api()
    }

    /// Runs a verb that asks the process, to its end.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = purgebus();
        command.args(arguments).env("PURGEBUS_URL", format!("http://{}", self.api().address()));
        let running = tokio::task::spawn_blocking(move || command.output());
        running.await.expect("no panic").expect("it runs")
    }

    /// The editor stores a new version of a page.
    pub(crate) fn change(&self, path: &str, page: Page) -> u64 {
        self.origin.publish(&format!("www.example.com{path}"), page)
    }

    /// A new version of a page with these tags, and then Varnish has it.
    pub(crate) async fn cached(&self, path: &str, tags: &[&str]) {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let version = self.change(path, Page { tags, ..Page::default() });
        assert_eq!(self.caches.version(path).await, version, "{path} was cached before");
    }
}

/// Wants one URL purged.
pub(crate) fn url(path: &str) -> Value {
    json!({"urls": [format!("https://www.example.com{path}")]})
}

/// Wants one tag purged.
pub(crate) fn tag(tag: &str) -> Value {
    json!({"site": "main", "tags": [tag]})
}

/// How Varnish is told to purge a tag.
pub(crate) fn varnish_key(tag: &str) -> String {
    format!("t:www.example.com/{tag}")
}

/// How Redis is told to purge a tag.
pub(crate) fn redis_key(tag: &str) -> String {
    format!("tag:{tag}")
}
