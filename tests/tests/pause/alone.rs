//! One process: a pause that ends by itself over a crash, and a backlog that is cancelled.

use schemas::Outcome;
use schemas::api::{Progress, ProgressState};
use serde_json::json;
use tests::eventually;
use tests::serve::Serve;
use uuid::Uuid;

use crate::stage::{Stage, ask, now, tag, try_ask};

fn outcome(progress: &Progress) -> Option<Outcome> {
    progress.regions.iter().flat_map(|region| &region.caches).find_map(|cache| cache.outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_crash_and_ends_by_itself() {
    let stage = Stage::start().await;
    let mut serve = Serve::start_ready(stage.settings()).await;
    serve.api().publish_until("final", &tag("before")).await;
    eventually("its cursor is stored", async || serve.cursors().contains_key("varnish")).await;
    let begun = now();
    let pause = ask(serve.api(), &["pause", "--agent", "edge-1", "--until", "20s"]).await;
    let waits = serve.api().publish(&tag("waits")).await;
    for _ in 0..2 {
        serve.kill();
        serve.restart().await;
    }
    serve.ready().await;
    assert_eq!(stage.purges_of("waits").await, 0, "{pause}");
    let known = ask(serve.api(), &["status"]).await["pauses"].clone();
    assert_eq!((&known[0]["id"], &known[0]["until"]), (&pause["id"], &pause["until"]));
    eventually("it ends by itself", async || {
        serve.api().status(waits.id).await.state != ProgressState::Published
    })
    .await;
    let purged = stage.witness.saw("t:www.example.com/waits").await - begun;
    assert!(purged >= 19.5, "purged after {purged} s");
    assert_eq!(ask(serve.api(), &["status"]).await["pauses"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_backlog_what_is_cancelled_is_left_and_what_is_done_cannot_be() {
    let stage = Stage::start().await;
    let mut serve = Serve::start_ready(stage.settings()).await;
    let api = serve.api();
    let done = api.publish_until("applied", &tag("done")).await;
    let nothing = ask(api, &["cancel", &done.facts.id.to_string()]).await;
    assert_eq!(nothing["ordered"], false, "{nothing}");
    ask(api, &["pause", "--site", "main", "--until", "10m"]).await;
    eventually("the agent knows", async || {
        api.lanes("varnish").await.iter().all(|lane| !lane.paused.is_empty())
    })
    .await;
    let mut ids = Vec::new();
    for name in ["wrong", "right"] {
        ids.push(api.publish(&tag(name)).await.id);
    }
    let wrong = ids[0].to_string();
    assert_eq!(ask(api, &["cancel", &wrong]).await["ordered"], true);
    eventually("it counts as applied, named as such", async || {
        let progress = api.status(ids[0]).await;
        progress.state == ProgressState::Final && outcome(&progress) == Some(Outcome::Cancelled)
    })
    .await;
    assert_eq!(api.status(ids[1]).await.state, ProgressState::Published);
    ask(api, &["resume", "--site", "main"]).await;
    api.publish_until("applied", &tag("last")).await;
    assert_eq!(outcome(&api.status(ids[1]).await), Some(Outcome::Purged));
    assert_eq!((stage.purges_of("wrong").await, stage.purges_of("right").await > 0), (0, true));

    let (code, said) = try_ask(api, &["resume", "--site", "main"]).await;
    assert!(code == Some(1) && said.contains("no such pause"), "{said}");
    let (code, said) = try_ask(api, &["pause", "--site", "main", "--until", "2h"]).await;
    assert!(code == Some(4) && said.contains("an hour at most"), "{said}");
    let (code, said) = try_ask(api, &["cancel", &Uuid::nil().to_string()]).await;
    assert!(code == Some(4) && said.contains("404"), "{said}");
    let (code, said) = try_ask(api, &["pause", "--site", "main", "--agent", "edge-1"]).await;
    assert!(code == Some(2), "{said}");

    serve.kill();
    serve.restart().await;
    serve.ready().await;
    serve.api().publish_until("applied", &tag("next")).await;
    let told = outcome(&serve.api().status(ids[0]).await);
    assert_eq!(told, Some(Outcome::Cancelled), "the agent's next life tells it too");
}
