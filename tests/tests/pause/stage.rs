//! A real Varnish that tells what it is asked to purge, and the verbs that an engineer gives.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::process::purgebus;
use tests::serve::{Api, Settings};
use tests::servers::origin::Origin;
use tests::servers::varnish::{Varnish, include_shipped};
use tests::witness::{Seconds, Witness};
use tokio::task::JoinSet;

/// One short later pass, of a cache that is empty at its first start.
const QUICK: &str = "rebounds = [\"300ms\"]\nstarts_empty = true";

/// What the purges of tags of the flood begin with, at Varnish.
const FLOOD: &str = "t:www.example.com/flood-";

/// So many publish at once.
const PUBLISHERS: usize = 4;

pub(crate) struct Stage {
    pub(crate) varnish: Varnish,
    pub(crate) witness: Witness,
    _origin: Origin,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let origin = Origin::start().await;
        let varnish = Varnish::start(origin.address(), &include_shipped()).await;
        let witness = Witness::of_varnish(&varnish).await;
        Self { varnish, witness, _origin: origin }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::default().varnish(self.varnish.address(), QUICK)
    }

    /// Every purge of the flood so far: of which tag, and when.
    pub(crate) async fn flood_purged(&self) -> Vec<(String, Seconds)> {
        self.witness.catch_up_with_varnish(&self.varnish).await;
        self.witness.sightings_of_all(FLOOD)
    }

    /// How often a tag was purged.
    pub(crate) async fn purges_of(&self, tag: &str) -> usize {
        self.witness.catch_up_with_varnish(&self.varnish).await;
        self.witness.sightings(&format!("t:www.example.com/{tag}")).len()
    }
}

/// Publishes one tag after the other until it is dropped.
pub(crate) struct Flood {
    publishing: JoinSet<()>,
    published: tokio::sync::watch::Receiver<u64>,
}

impl Flood {
    pub(crate) fn begin(api: &Api) -> Self {
        let (count, published) = tokio::sync::watch::channel(0);
        let mut publishing = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let (api, count) = (api.clone(), count.clone());
            publishing.spawn(async move {
                for number in 0_u64.. {
                    api.publish(&tag(&format!("flood-{publisher}-{number}"))).await;
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Self { publishing, published }
    }

    /// Waits until it has published so many more.
    pub(crate) async fn goes_on(&mut self, more: u64) {
        let target = *self.published.borrow() + more;
        self.published.wait_for(|count| *count >= target).await.expect("it goes on");
    }

    /// Ends it. Answers how many were published.
    pub(crate) async fn end(mut self) -> u64 {
        self.publishing.shutdown().await;
        *self.published.borrow()
    }
}

pub(crate) fn tag(tag: &str) -> Value {
    json!({"site": "main", "tags": [tag]})
}

pub(crate) fn now() -> Seconds {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Gives a verb, which does what it is asked; answers its document.
pub(crate) async fn ask(api: &Api, arguments: &[&str]) -> Value {
    let (code, said) = try_ask(api, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Gives a verb; answers its exit code, and what it said.
pub(crate) async fn try_ask(api: &Api, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = purgebus();
    command.args(arguments).arg("--json");
    command.env("PURGEBUS_URL", format!("http://{}", api.address()));
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("no panic").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Whether all caches that it holds up have said that they obey.
pub(crate) fn is_obeyed(pause: &Value) -> bool {
    let caches = pause["caches"].as_array().expect("caches");
    !caches.is_empty() && caches.iter().all(|cache| cache["obeys"] == true)
}
