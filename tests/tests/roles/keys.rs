//! Agents believe only publishers whose keys they know, say so where they know none, and learn them while they run.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use schemas::api::ProgressState;
use serde_json::json;
use tests::bus::{Bus, QUICK, Wire};
use tests::eventually;
use tests::process::purgebus;
use tests::servers::nats::Nats;
use tests::shop::Desk;
use tests::town::{Place, Stock};

/// What `purgebus` says to stdout, and how it ends.
async fn say(words: &[&str], file: &Path) -> (Option<i32>, String) {
    let mut command = purgebus();
    command.args(words).arg(file);
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("no panic").expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_the_key_of_its_publisher_says_so_and_learns_it_on_sighup() {
    let nats = Nats::start().await;
    let place = Place::open("eu-west", Stock::Edge, &Desk::open(), Rng::new()).await;
    let mut bus = Bus::on(Wire::nats([nats.url()]));
    bus.start_publisher("publisher-1", "").await;
    let trusted = bus.keys.trusted();
    let folder = trusted.parent().expect("a folder");
    let another = folder.join("another.key");
    let (code, old) = say(&["key", "create", "--name", "old", "--into"], &another).await;
    assert_eq!(code, Some(0));
    let (code, _) = say(&["key", "create", "--into"], &another).await;
    assert_eq!(code, Some(2), "nothing is overwritten");
    fs::write(&trusted, &old).expect("written");
    bus.start_agent("edge-1", "eu-west", place.settings(QUICK)).await;

    let admin = bus.agents[0].admin();
    eventually("the agent says why it is not ready", async || {
        let said = admin.details("lane").await;
        !admin.is_ready().await
            && said
                .iter()
                .any(|said| said.contains("not among the trusted") && said.contains("add what"))
    })
    .await;
    assert!(admin.count("purgebus_parked_total", &["reason=\"unknown_key\""]).await > 0);
    let file = bus.agents[0].home().folder.join("purgebus.toml");
    let (code, checked) = say(&["check", "--connect", "-c"], &file).await;
    assert_eq!(code, Some(1), "{checked}");
    assert!(checked.contains("fix: add what `purgebus key public FILE` prints"), "{checked}");

    let (code, new) = say(&["key", "public", "--name", "new"], &folder.join("signing.key")).await;
    assert_eq!(code, Some(0));
    fs::write(&trusted, format!("# both, for now\n{old}{new}")).expect("written");
    bus.agents[0].reload();
    bus.registered().await;
    let (code, checked) = say(&["check", "--connect", "-c"], &file).await;
    assert_eq!(code, Some(0), "{checked}");
    let body = json!({"urls": ["https://www.example.com/a"]});
    let progress = bus.publishers[0].api().publish_until("final", &body).await;
    assert_eq!(progress.state, ProgressState::Final, "{progress:#?}");
}
