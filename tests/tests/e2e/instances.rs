//! A Varnish that joins others in one cache may hold what was purged only there: it is flushed, and they are not.

use tests::eventually;
use tests::serve::{Reader, Serve, Settings};
use tests::servers::origin::{Origin, Page};
use tests::servers::varnish::{Varnish, include_shipped};

use crate::house::url;

/// What is purged, and what only a flush removes: nobody tells that it has changed.
const PURGED: &str = "/purged";
const SILENT: &str = "/silent";

/// A publisher, an agent, and two Varnishes that it may purge.
struct Pair {
    origin: Origin,
    first: Varnish,
    second: Varnish,
    serve: Serve,
}

impl Pair {
    /// Only the first is purged; both serve all pages.
    async fn start() -> Self {
        let origin = Origin::start().await;
        let first = Varnish::start(origin.address(), &include_shipped()).await;
        let second = Varnish::start(origin.address(), &include_shipped()).await;
        let serve = Serve::start_ready(settings(&[&first])).await;
        let pair = Self { origin, first, second, serve };
        pair.passes_are_over().await;
        for path in [PURGED, SILENT] {
            pair.change(path);
            assert_eq!(pair.versions(path).await, [1, 1]);
        }
        pair
    }

    fn both(&self) -> Settings {
        settings(&[&self.first, &self.second])
    }

    fn change(&self, path: &str) {
        self.origin.publish(&format!("www.example.com{path}"), Page::default());
    }

    async fn purge(&self) {
        self.serve.api().publish_until("final", &url(PURGED)).await;
    }

    /// What the first serves, and what the second.
    async fn versions(&self, path: &str) -> [u64; 2] {
        let version = async |varnish: &Varnish| {
            Reader::at(varnish.address()).try_version(path).await.expect("a version")
        };
        [version(&self.first).await, version(&self.second).await]
    }

    /// Waits until no later pass of a flush, in either lane, takes away what is stored from now on.
    async fn passes_are_over(&self) {
        for priority in ["normal", "critical"] {
            let mut wish = url("/other");
            wish["priority"] = priority.into();
            self.serve.api().publish_until("final", &wish).await;
        }
    }

    async fn restart(&mut self, settings: Settings) {
        self.serve.terminate().await;
        self.serve.configure(move |home| settings.toml(home));
        self.serve.restart().await;
        self.serve.ready().await;
    }

    /// Puts it in force without a restart: then the cache is purged in this `manner`.
    async fn reload(&mut self, settings: Settings, manner: &str) {
        self.serve.configure(move |home| settings.toml(home));
        self.serve.reload();
        eventually(manner, async || {
            let lanes = self.serve.api().lanes("varnish").await;
            let manners = lanes.iter().filter_map(|lane| Some(&lane.abilities.as_ref()?.manner));
            manners.filter(|now| *now == manner).count() == 2
        })
        .await;
    }

    /// How often the normal lane flushed since the process started.
    async fn flushes(&self) -> u64 {
        self.serve.api().count("purgebus_flushes_total", &["priority=\"normal\""]).await
    }
}

fn settings(instances: &[&Varnish]) -> Settings {
    let addresses: Vec<_> = instances.iter().map(|varnish| varnish.address()).collect();
    Settings::default().varnishes(&addresses, "rebounds = [\"300ms\"]\ntimeout = \"20s\"")
}

#[tokio::test]
async fn an_instance_that_is_added_is_flushed_before_it_counts_and_the_others_keep_their_pages() {
    let mut pair = Pair::start().await;
    pair.change(PURGED);
    pair.change(SILENT);
    pair.purge().await;
    assert_eq!(pair.versions(PURGED).await, [2, 1], "it is not purged there yet");

    pair.restart(pair.both()).await;
    assert_eq!(pair.versions(PURGED).await, [2, 2]);
    assert_eq!(pair.versions(SILENT).await, [1, 2], "the first was flushed too, or the second not");
    assert_eq!(pair.flushes().await, 1);

    pair.passes_are_over().await;
    pair.versions(SILENT).await;
    pair.change(SILENT);
    pair.restart(pair.both()).await;
    assert_eq!(pair.flushes().await, 0, "nothing is new");
    pair.passes_are_over().await;
    assert_eq!(pair.versions(SILENT).await, [1, 2]);

    pair.reload(settings(&[&pair.first]), "xkey").await;
    pair.change(PURGED);
    pair.purge().await;
    assert_eq!(pair.versions(PURGED).await, [3, 2], "the second has gone");
    pair.reload(pair.both(), "xkey (2 instances)").await;
    eventually("it is as new as before", async || pair.versions(PURGED).await == [3, 3]).await;
    pair.passes_are_over().await;
    assert_eq!(pair.versions(SILENT).await, [1, 3]);
}
