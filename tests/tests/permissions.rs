//! The rights that the book tells an operator to grant: each role works with them, and can do nothing else.

#[path = "permissions/kafka.rs"]
mod kafka;
#[path = "permissions/nats.rs"]
mod nats;

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::book::{Page, purgebus};
use tests::bus::{Bus, QUICK};
use tests::eventually;
use tests::process::Home;
use tests::serve::Settings;
use tests::servers::origin::{self, Origin};
use tests::servers::varnish::{Varnish, shipped_vcl};
use tokio::process::Command;

/// The blocks of the chapter on brokers that hold `what`, for an installation of another prefix.
fn told(what: &str, prefix: &str) -> Vec<String> {
    let page = Page::read(Path::new("docs/broker.md"));
    let blocks = page.blocks().into_iter().map(|block| block.text);
    let blocks: Vec<_> = blocks.filter(|text| text.contains(what)).collect();
    assert!(!blocks.is_empty(), "the book has no block with {what}");
    blocks.into_iter().map(|text| text.replace("purgebus", prefix)).collect()
}

/// As the book says: `purgebus check --connect` with the operator's credentials makes what is missing.
async fn make_the_topics(bus: &Bus) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("publisher.toml");
    let nowhere = ([127, 0, 0, 1], 0).into();
    let home = Home { folder: folder.path().to_owned(), api: nowhere, admin: nowhere };
    fs::write(&file, bus.publisher_file("publisher-1", "")(&home)).expect("a file");
    let check = Command::new(purgebus()).args(["check", "--connect", "-c"]).arg(&file).output();
    let output = check.await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
}

/// A page goes from the origin through Varnish, changes, and is purged: a publisher and an agent did their work.
async fn purge_something(bus: &mut Bus, agent: impl FnOnce(&mut Bus)) {
    let origin = Origin::start().await;
    let include =
        format!("include \"{}\";\n", fs::canonicalize(shipped_vcl()).expect("it").display());
    let varnish = Varnish::start(origin.address(), &include).await;
    bus.start_publisher("publisher-1", "").await;
    agent(bus);
    bus.start_agent("edge-1", "eu-west", Settings::default().varnish(varnish.address(), QUICK))
        .await;
    bus.registered().await;

    let url = "www.example.com/page";
    origin.publish(url, origin::Page::default());
    let page = async || {
        let get = reqwest::Client::new().get(format!("http://{}/page", varnish.address()));
        let answer = get.header("host", "www.example.com").send().await.expect("an answer");
        answer.headers()[origin::VERSION].to_str().expect("text").to_owned()
    };
    assert_eq!(page().await, "1");
    origin.publish(url, origin::Page::default());
    assert_eq!(page().await, "1", "it was cached");
    let purge = json!({"urls": [format!("http://{url}")]});
    let progress = bus.publishers[0].api().publish_until("final", &purge).await;
    assert_eq!(page().await, "2", "{progress:#?}");
    eventually("the agent is listed", async || {
        let agents = bus.publishers[0].api().get::<serde_json::Value>("/v1/agents").await;
        agents.is_ok_and(|agents| agents["items"][0]["agent"] == "edge-1")
    })
    .await;
}
