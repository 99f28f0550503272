//! A kill between the first pass and the last one: the next life still owes the last.

use std::time::Duration;

use schemas::api::ProgressState;
use serde_json::json;
use tests::eventually;
use tests::serve::{Caches, PAGES, Serve};
use tests::servers::origin::{Origin, Page};
use tokio::time::sleep;

/// Slow enough that a process can be killed meanwhile, after its cursor was stored.
const RENDERING: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_kill_between_two_passes_does_not_save_what_a_late_fetch_stores() {
    let origin = Origin::start().await;
    let caches = Caches::start(origin.address()).await;
    let settings = caches.unfenced(PAGES, "rebounds = [\"6s\"]\nstarts_empty = true");
    let mut serve = Serve::start_ready(settings).await;
    let slow = Page { delay: RENDERING, ..Page::default() };
    origin.publish("www.example.com/slow", slow);

    let fetch = caches.version("/slow");
    let edit_and_kill = async {
        eventually("the fetch is in flight", async || {
            origin.requests(&reqwest::Method::GET, "www.example.com/slow") == 1
        })
        .await;
        origin.publish("www.example.com/slow", Page::default());
        let request = json!({"urls": ["https://www.example.com/slow"]});
        let applied = serve.api().publish_until("applied", &request).await;
        eventually("cursors that know of it are stored", async || {
            let cursors = serve.cursors();
            ["redis", "varnish"]
                .iter()
                .all(|cache| cursors.get(*cache).is_some_and(|cursor| !cursor.lines.is_empty()))
        })
        .await;
        // So that a cursor which claims too much has been stored too.
        sleep(Duration::from_millis(1_200)).await;
        serve.kill();
        applied.facts.id
    };
    let (fetched, id) = tokio::join!(fetch, edit_and_kill);
    assert_eq!(fetched, 1, "it began before the edit");
    assert_eq!(caches.version("/slow").await, 1, "no race, no proof");

    serve.restart().await;
    eventually("final", async || serve.api().status(id).await.state == ProgressState::Final).await;
    assert_eq!(caches.version("/slow").await, 2, "stale after final");
}
