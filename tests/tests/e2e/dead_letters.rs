//! A real Varnish refuses one URL: what an engineer sees of it by the command line, and does about it.

use schemas::api::{DeadLetterPage, DeadLetterSummary, ProgressState};
use serde_json::json;
use tests::eventually;
use tests::serve::{Api, Serve, Settings};
use tests::servers::origin::Origin;
use tests::servers::varnish::Varnish;
use uuid::Uuid;

use crate::house::{REBOUNDS, url};

/// A VCL that purges by itself, and refuses to purge `/stubborn` and `/gone`, if it is `stubborn`.
fn vcl(stubborn: bool) -> String {
    let refuse = if stubborn {
        "if (req.url == \"/stubborn\" || req.url == \"/gone\") { return (synth(405, \"Not here\")); }"
    } else {
        ""
    };
    format!("sub vcl_recv {{ if (req.method == \"PURGE\") {{ {refuse} return (purge); }} }}\n")
}

/// The dead letters, as scripts see them.
async fn listed(api: &Api, filter: &[&str]) -> Vec<DeadLetterSummary> {
    let (code, said) = api.run(&[&["dlq", "list", "--json"], filter].concat()).await;
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<DeadLetterPage>(&said).unwrap().items
}

/// Publishes what Varnish refuses; answers its id.
async fn refused(serve: &Serve, path: &str) -> Uuid {
    let id = serve.api().publish(&url(path)).await.id;
    eventually("it is blocked", async || {
        serve.api().status(id).await.state == ProgressState::Blocked
    })
    .await;
    id
}

#[tokio::test]
async fn what_varnish_refuses_is_listed_shown_retried_and_dropped() {
    let origin = Origin::start().await;
    let varnish = Varnish::start(origin.address(), &vcl(true)).await;
    let settings = Settings::default().varnish(varnish.address(), REBOUNDS);
    let mut serve = Serve::start_ready(settings).await;
    let api = &serve.api().clone();
    let stubborn = refused(&serve, "/stubborn").await;
    let gone = refused(&serve, "/gone").await;
    let missing = serve.api().status(stubborn).await.missing;
    assert!(missing[0].reason.contains("dead letter"), "{missing:#?}");
    let purged = serve.api().publish_until("final", &url("/other")).await;
    assert_eq!(purged.state, ProgressState::Final, "nobody else is held up");

    eventually("both are listed", async || listed(api, &[]).await.len() == 2).await;
    let [letter] = &listed(api, &["--text", "/stubborn"]).await[..] else { panic!() };
    let id = letter.id.to_string();
    let (code, table) = api.run(&["dead-letters", "list", "--cache", "varnish"]).await;
    assert!(code == 0 && table.contains(&id) && table.contains("SELECTOR"), "{table}");
    let (code, shown) = api.run(&["dead-letters", "show", &id]).await;
    assert!(
        code == 0 && shown.contains("/stubborn") && shown.contains("HTTP/1.1 405 Not here"),
        "{shown}"
    );
    let (code, said) = api.run(&["dead-letters", "show", &stubborn.to_string()]).await;
    assert_eq!(code, 4, "{said}");

    // The agent has stored it before its cursor passed: a crash loses none.
    eventually("the cursor is stored", async || {
        let folder = serve.home().state().join("dead-letters/varnish.normal");
        std::fs::read_dir(folder).map_or(0, Iterator::count) == 2
    })
    .await;
    serve.kill();
    serve.restart().await;
    serve.ready().await;
    eventually("both are still there", async || listed(api, &[]).await.len() == 2).await;
    let (code, said) = api.run(&["dead-letters", "retry", &id]).await;
    assert_eq!(code, 0, "{said}");
    eventually("it was refused once more", async || {
        let letters = listed(api, &["--text", "/stubborn"]).await;
        letters[0].tries == 2 && letters[0].id == letter.id
    })
    .await;

    varnish.load(&vcl(false));
    let (code, said) = api.run(&["dlq", "retry", "--text", "/stubborn", "--yes"]).await;
    assert!(code == 0 && said.contains("edge-1"), "{said}");
    eventually("it is purged after all", async || {
        serve.api().status(stubborn).await.state == ProgressState::Final
    })
    .await;
    let (code, said) = api.run(&["dlq", "drop", "--all", "--yes"]).await;
    assert_eq!(code, 2, "a reason is needed: {said}");
    let (code, said) =
        api.run(&["dlq", "drop", "--all", "--reason", "the page is gone", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    eventually("it counts as cancelled", async || {
        let progress = serve.api().status(gone).await;
        let outcome = json!(progress.regions[0].caches[0].outcome);
        progress.state == ProgressState::Final && outcome == json!("cancelled")
    })
    .await;
    assert_eq!(listed(api, &[]).await, []);
    eventually("nothing is left of them", async || {
        serve.api().count("purgebus_dead_letters", &[]).await == 0
    })
    .await;
}
