//! Dead letters of agents that publishers know by a real broker only: what an engineer sees of them and decides, by
//! filter, and that neither side forgets any when it is killed.

use daemon::Clock;
use fastrand::Rng;
use schemas::LetterState;
use schemas::api::{DeadLetterPage, DeadLetterSummary, ProgressState};
use serde_json::{Value, json};
use tests::bus::{Bus, QUICK, Wire};
use tests::eventually;
use tests::serve::{Api, Settings};
use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tests::servers::origin::Origin;
use tests::servers::varnish::Varnish;

/// A VCL that purges by itself, but for `/stubborn` and what lies below, and `/gone`, if it is `stubborn`.
fn vcl(stubborn: bool) -> String {
    let refuse = if stubborn {
        "if (req.url ~ \"^/(stubborn|gone)\") { return (synth(405, \"Not here\")); }"
    } else {
        ""
    };
    format!("sub vcl_recv {{ if (req.method == \"PURGE\") {{ {refuse} return (purge); }} }}\n")
}

fn url(path: &str) -> Value {
    json!({"urls": [format!("https://www.example.com{path}")]})
}

/// The dead letters, as scripts see them.
async fn listed(api: &Api, filter: &[&str]) -> Vec<DeadLetterSummary> {
    let (code, said) = api.run(&[&["dlq", "list", "--json"], filter].concat()).await;
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<DeadLetterPage>(&said).expect("a page").items
}

/// What each filter finds.
async fn are_found_by_filter(api: &Api) {
    for (filter, found) in [
        (["--region", "eu-west"], 3),
        (["--agent", "edge-1"], 3),
        (["--agent", "edge-2"], 0),
        (["--cache", "varnish"], 3),
        (["--cache", "redis"], 0),
        (["--site", "main"], 3),
        (["--text", "/stubborn"], 2),
        (["--text", "405"], 3),
        (["--text", "404"], 0),
    ] {
        assert_eq!(listed(api, &filter).await.len(), found, "{filter:?}");
    }
}

/// All that is said of a letter, and what the cache answered.
async fn is_shown(api: &Api, letter: &DeadLetterSummary) {
    let id = letter.id.to_string();
    let (code, shown) = api.run(&["dead-letters", "show", &id]).await;
    let first_seen = format!("{:.0}", letter.first_seen);
    let answer = "<h1>Error 405 Not here</h1>";
    for part in ["HTTP/1.1 405 Not here", "X-Varnish: ", answer, &letter.selector, &first_seen] {
        assert!(code == 0 && shown.contains(part), "{part} in {shown}");
    }
}

async fn live(name: &str, wire: Wire) {
    let origin = Origin::start().await;
    let varnish = Varnish::start(origin.address(), &vcl(true)).await;
    let mut bus = Bus::on(wire);
    bus.start_publisher("publisher-1", "").await;
    let more = format!("{QUICK}starts_empty = true\n");
    let settings = Settings::default().varnish(varnish.address(), &more);
    bus.start_agent("edge-1", "eu-west", settings).await;
    bus.registered().await;
    let api = bus.publishers[0].api().clone();
    let begun = Clock::system().now();
    let mut ids = Vec::new();
    let mut paths = ["/stubborn/a", "/stubborn/b", "/gone"];
    Rng::new().shuffle(&mut paths);
    for path in paths {
        ids.push((path, api.publish(&url(path)).await.id));
    }
    eventually(&format!("{name}: all are listed"), async || listed(&api, &[]).await.len() == 3)
        .await;
    let letters = listed(&api, &[]).await;
    assert!(letters.is_sorted_by_key(|letter| std::cmp::Reverse(letter.first_seen)));
    let now = Clock::system().now();
    assert!(letters.iter().all(|it| begun <= it.first_seen && it.last_tried <= now), "{letters:?}");
    are_found_by_filter(&api).await;
    is_shown(&api, &letters[0]).await;
    assert_eq!(bus.agents[0].admin().count("purgebus_dead_letters", &[]).await, 3, "{name}");

    eventually("the cursor passes them", async || {
        let folder = bus.agents[0].home().state().join("dead-letters/varnish.normal");
        std::fs::read_dir(folder).map_or(0, Iterator::count) == 3
    })
    .await;
    for killed in ["publisher", "agent"] {
        let process = if killed == "agent" { &mut *bus.agents[0] } else { &mut *bus.publishers[0] };
        process.kill();
        process.restart().await;
        bus.registered().await;
        eventually(&format!("{name}: the {killed} has forgotten none"), async || {
            listed(&api, &[]).await == letters
        })
        .await;
    }
    is_shown(&api, &letters[0]).await;
    are_decided_on(name, &api, &varnish).await;
    for (path, id) in ids {
        let progress = api.status(id).await;
        let outcome = json!(progress.regions[0].caches[0].outcome);
        let expected = if path == "/gone" { json!("cancelled") } else { json!("purged") };
        assert_eq!((progress.state, outcome), (ProgressState::Final, expected), "{name} {path}");
    }
    eventually("nothing is left of them", async || {
        bus.agents[0].admin().count("purgebus_dead_letters", &[]).await == 0
    })
    .await;
}

/// Each decision is about several, with a count, and only for who means it.
async fn are_decided_on(name: &str, api: &Api, varnish: &Varnish) {
    let (code, said) = api.run(&["dlq", "retry", "--text", "/stubborn"]).await;
    assert!(code == 2 && said.contains("retry 2 dead letters of 1 caches? "), "{said}");
    assert!(said.contains("--yes"), "{said}");
    let (code, said) = api.run(&["dlq", "retry", "--text", "/stubborn", "--yes"]).await;
    assert!(code == 0 && said.contains("retry 2 dead letters"), "{said}");
    eventually(&format!("{name}: both were refused once more, and nothing else"), async || {
        let refused = |it: &DeadLetterSummary| (it.tries, it.state);
        let mut tries: Vec<_> = listed(api, &[]).await.iter().map(refused).collect();
        tries.sort_unstable();
        tries == [1, 2, 2].map(|tries| (tries, LetterState::Refused))
    })
    .await;

    let drop = ["dlq", "drop", "--text", "/gone"];
    let (code, said) = api.run(&[&drop[..], &["--yes"]].concat()).await;
    assert!(code == 2 && said.contains("--reason"), "{said}");
    let (code, said) = api.run(&[&drop[..], &["--reason", "", "--yes"]].concat()).await;
    assert!(code == 4 && said.contains("say why"), "{said}");
    assert_eq!(listed(api, &[]).await.len(), 3, "nothing is dropped without a reason");
    let (code, said) = api.run(&[&drop[..], &["--reason", "no such page", "--yes"]].concat()).await;
    assert!(code == 0 && said.contains("drop 1 dead letters"), "{said}");
    eventually(&format!("{name}: it is dropped"), async || listed(api, &[]).await.len() == 2).await;

    varnish.load(&vcl(false));
    let (code, said) = api.run(&["dlq", "retry", "--all", "--yes"]).await;
    assert!(code == 0 && said.contains("edge-1"), "{said}");
    eventually(&format!("{name}: all are purged"), async || listed(api, &[]).await.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_shown_kept_and_decided_on_over_nats_and_kafka() {
    let nats = Nats::start().await;
    let kafka = Kafka::shared().await;
    let on = [("NATS", Wire::nats([nats.url()])), ("Kafka", Wire::kafka([kafka.address()]))];
    futures::future::join_all(on.map(|(name, wire)| Box::pin(live(name, wire)))).await;
}
