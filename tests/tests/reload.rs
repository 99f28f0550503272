//! What SIGHUP puts in force in a real `purgebus serve`: tokens, caches, log level. And what not.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::eventually;
use tests::process::{Home, Process};
use tests::serve::{Reader, Serve, Settings};
use tests::servers::origin::{Origin, Page};
use tests::town::Edge;

const PAGE: &str = "www.example.com/a";
const LANE: &str = "rebounds = []\nstarts_empty = true\n";

fn wish() -> Value {
    json!({"urls": ["https://www.example.com/a"]})
}

fn with_log_level(
    settings: &Settings,
    level: &str,
) -> impl Fn(&Home) -> String + Send + Sync + use<> {
    let (settings, level) = (settings.clone(), level.to_owned());
    move |home: &Home| format!("{}\n[log]\nlevel = \"{level}\"\n", settings.toml(home))
}

#[tokio::test]
async fn caches_and_log_level_change_without_a_restart_and_without_a_flush() {
    let origin = Origin::start().await;
    origin.publish(PAGE, Page::default());
    let [first, second] =
        [Edge::start(origin.address()).await, Edge::start(origin.address()).await];
    let one = Settings::default().edge_named("first", first.address(), LANE);
    let both = one.clone().edge_named("second", second.address(), LANE);
    let changed =
        Settings::default().edge_named("second", second.address(), "rebounds = [\"1s\"]\n");
    let mut serve = Serve::start_ready(one).await;
    serve.api().publish_until("final", &wish()).await;

    serve.configure(with_log_level(&both, "debug"));
    serve.reload();
    eventually("the second cache is known", async || {
        !serve.api().lanes("second").await.is_empty() && serve.admin().is_ready().await
    })
    .await;
    for edge in [&first, &second] {
        assert_eq!(Reader::at(edge.address()).try_version("/a").await, Some(1));
    }
    origin.publish(PAGE, Page::default());
    let progress = serve.api().publish_until("final", &wish()).await;
    assert_eq!(progress.regions[0].caches.len(), 2, "{progress:#?}");
    for edge in [&first, &second] {
        assert_eq!(Reader::at(edge.address()).try_version("/a").await, Some(2));
    }
    assert_eq!(serve.api().count("purgebus_flushes_total", &[]).await, 0);

    serve.configure(with_log_level(&changed, "debug"));
    serve.reload();
    eventually("the first lane is gone from the metrics", async || {
        !serve.admin().metrics().await.contains("purgebus_lag_numbers{cache=\"first\"")
    })
    .await;
    assert!(serve.log().contains("DEBUG"), "the new level is in force");
    eventually("ready again", async || serve.admin().is_ready().await).await;
    let id = serve.api().publish(&wish()).await.id;
    eventually("the second lane has its later pass by now", async || {
        let progress = serve.api().status(id).await;
        let mut caches = progress.regions.iter().flat_map(|region| &region.caches);
        caches.any(|cache| cache.cache.as_str() == "second" && cache.final_ms >= Some(1_000.0))
    })
    .await;
    // Whoever is gone owes on, until someone says that it is gone for good.
    serve.api().delete("/v1/agents/edge-1?force=true").await.expect("an answer");
    eventually("the first cache is forgotten", async || {
        !serve.api().lanes("second").await.is_empty() && serve.api().lanes("first").await.is_empty()
    })
    .await;
    serve.api().publish_until("final", &wish()).await;
}

#[tokio::test]
async fn a_configuration_with_mistakes_changes_nothing_and_tells_all_of_them() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address()).await;
    let settings = Settings::default().edge(edge.address(), LANE);
    let mut serve = Serve::start_ready(settings.clone()).await;
    let wrong = settings.clone().edge_named("other", edge.address(), "after = \"nobody\"\n");
    serve.configure(with_log_level(&wrong, "agent=loud"));
    serve.reload();
    eventually("every mistake is told", async || {
        let log = serve.log();
        log.contains("log.level: ") && log.contains("nobody") && log.contains("nothing has changed")
    })
    .await;
    assert_eq!(serve.api().lanes("other").await.len(), 0);

    let needs_restart = move |home: &Home| {
        settings.toml(home).replace("[agent]\n", "[agent]\nstale_budget = \"31s\"\n")
    };
    serve.configure(needs_restart);
    serve.reload();
    eventually("what is not in force is named", async || {
        serve
            .log()
            .contains("changes that need a restart are not in force keys=\"agent.stale_budget\"")
    })
    .await;
    assert!(serve.api().publish_until("final", &wish()).await.missing.is_empty());
}

/// Secrets, and their SHA-256.
const OLD: (&str, &str) =
    ("test", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
const NEW: (&str, &str) =
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

fn token((secret, digest): (&str, &str)) -> String {
    format!("[[token]]\nname = \"{secret}\"\nhash = \"sha256:{digest}\"\n")
}

async fn opens(process: &Process, secret: &str) -> bool {
    let url = format!("http://{}/v1/regions", process.home().api);
    let answer = reqwest::Client::new().get(url).bearer_auth(secret).send().await;
    let status = answer.expect("an answer").status();
    assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&status), "{status}");
    status == StatusCode::OK
}

#[tokio::test]
async fn tokens_are_read_again_and_stay_as_they_were_where_the_file_is_wrong() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address()).await;
    let settings = Settings::default().edge(edge.address(), LANE);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens.toml");
    fs::write(&file, token(OLD)).expect("tokens");
    let settings = settings.publisher(&format!("tokens_file = \"{}\"", file.display()));
    let serve = Process::start("serve", move |home| settings.toml(home)).await;
    assert!(opens(&serve, OLD.0).await && !opens(&serve, NEW.0).await);

    fs::write(&file, token(NEW)).expect("tokens");
    serve.reload();
    eventually("the new one opens", async || opens(&serve, NEW.0).await).await;
    assert!(!opens(&serve, OLD.0).await, "the old one does no more");

    fs::write(&file, "[[token]]\nname = \"new\"\nhash = \"none\"").expect("tokens");
    serve.reload();
    eventually("the mistake is told", async || serve.log().contains("its hash is not")).await;
    assert!(opens(&serve, NEW.0).await);
}
