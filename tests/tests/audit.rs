//! The audit trail of a real `purgebus serve`, read by the real command line: while it runs, killed, stopped and forged.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::eventually;
use tests::process::purgebus;
use tests::serve::{Serve, Settings};
use tests::servers::origin::Origin;
use tests::small_disk::SmallDisk;
use tests::town::Edge;

/// What `purgebus audit` prints with these flags, and how it ends.
fn audit(flags: &[&str]) -> (String, Option<i32>) {
    let output = purgebus().arg("audit").args(flags).output().expect("it runs");
    let told = [output.stdout, output.stderr].concat();
    (String::from_utf8(told).expect("text"), output.status.code())
}

fn wish(tag: &str) -> Value {
    json!({"site": "main", "tags": [tag], "reason": "a request for erasure"})
}

/// Where the trail lies unless a folder is named.
fn beside(journal: &Path) -> PathBuf {
    journal.with_file_name("journal-audit")
}

/// The newest file of the trail.
fn newest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|file| file.extension().is_some_and(|it| it == "jsonl")).max().expect("a trail")
}

fn edit(path: &Path, edit: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).expect("text");
    fs::write(path, edit(text)).expect("written");
}

#[tokio::test]
async fn a_trail_outlives_a_kill_and_tells_what_was_done_to_it() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address()).await;
    let lane = "rebounds = []\nstarts_empty = true\n";
    let mut serve = Serve::start_ready(Settings::default().edge(edge.address(), lane)).await;
    let folder = beside(&serve.home().journal());
    let dir = folder.to_str().expect("text").to_owned();
    let publisher = format!("http://{}", serve.api().address());
    let id = serve.api().publish_until("final", &wish("person-7")).await.facts.id.to_string();

    let (told, code) = audit(&["--publisher", &publisher, "--what", "publish", "--json"]);
    let lines: Vec<Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), code), (1, Some(0)), "{told}");
    assert_eq!((&lines[0]["id"], &lines[0]["selectors"]), (&json!(id), &json!(["tag person-7"])));
    let (told, code) = audit(&["--publisher", &publisher, "--verify"]);
    assert!(code == Some(0) && told.starts_with("intact"), "{told}");

    let (told, code) = audit(&["--publisher", &publisher, "--certificate", &id]);
    assert!(code == Some(0) && told.contains("  tag person-7"), "{told}");
    let nobody = uuid::Uuid::nil().to_string();
    assert_eq!(audit(&["--publisher", &publisher, "--certificate", &nobody]).1, Some(4));

    for at in 0..20 {
        serve.api().publish(&wish(&format!("tag-{at}"))).await;
    }
    // It is told of progress once a second, and a kill takes what it was not told.
    let proves = async || audit(&["--certificate", &id, "--dir", &dir]).1 == Some(0);
    eventually("the trail alone proves it", proves).await;
    serve.kill();
    edit(&newest(&folder), |text| text + "{\"seq\":99,\"prev");
    serve.restart().await;
    assert!(serve.log().contains("torn by a crash"), "{}", serve.log_tail());
    let (told, code) = audit(&["--publisher", &publisher, "--verify"]);
    assert!(code == Some(0) && told.starts_with("intact"), "{told}");
    serve.terminate().await;

    let config = serve.home().folder.join("purgebus.toml");
    let config = config.to_str().expect("text");
    let (told, code) = audit(&["--verify", "-c", config]);
    assert!(code == Some(0) && !told.contains("head.json alone"), "{told}");
    // Of the trail alone: the publisher is gone, and its journal is not asked.
    let (told, code) = audit(&["--certificate", &id, "--dir", &dir, "--json"]);
    let proof: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&proof["complete"], &proof["evidence"], code),
        (&json!(true), &json!("trail"), Some(0))
    );
    let cache = &proof["progress"]["regions"][0]["caches"][0];
    assert_eq!(
        (&cache["agent"], &cache["outcome"]),
        (&json!("edge-1"), &json!("purged")),
        "{told}"
    );
    assert!(cache["settled_ms"].as_f64().is_some_and(|ms| ms < 60_000.0), "{told}");
    assert_eq!(proof["published"]["seq"], proof["record"]["seq"]);
    assert_eq!(audit(&["--certificate", &nobody, "--dir", &dir]).1, Some(1));

    let file = newest(&folder);
    let whole = fs::read_to_string(&file).expect("text");
    edit(&file, |text| text.replace("person-7", "person-8"));
    let (told, code) = audit(&["--verify", "--dir", &dir]);
    let edited = whole.lines().position(|line| line.contains("person-7")).expect("it is there") + 1;
    let place = format!("{}:{edited}: ", file.file_name().expect("a name").display());
    assert!(code == Some(1) && told.contains(&place), "{place} is not in {told}");

    // Whoever cuts the end off, and forges the head beside it, has not forged the journal.
    let cut: String = whole.split_inclusive('\n').take(edited).collect();
    let last: Value =
        cut.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("JSON");
    fs::write(&file, &cut).expect("written");
    edit(&folder.join("head.json"), |head| {
        let mut head: Value = serde_json::from_str(&head).expect("JSON");
        (head["seq"], head["hash"]) = (last["seq"].clone(), last["hash"].clone());
        head.to_string()
    });
    assert_eq!(audit(&["--verify", "--dir", &dir]).1, Some(0), "the folder alone cannot tell");
    let (told, code) = audit(&["--verify", "-c", config]);
    assert!(code == Some(1) && told.contains("cut off"), "{told}");
    assert_eq!(audit(&["--verify", "--dir", "/nowhere"]).1, Some(1));
}

#[tokio::test]
async fn without_a_trail_it_says_so_wherever_it_is_asked() {
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address()).await;
    let settings = Settings::default().publisher("unaudited = true");
    let serve = Serve::start_ready(settings.edge(edge.address(), "starts_empty = true\n")).await;
    serve.api().publish_until("applied", &wish("person-7")).await;
    assert!(!beside(&serve.home().journal()).exists());
    let publisher = format!("http://{}", serve.api().address());
    let config = serve.home().folder.join("purgebus.toml");
    let config = config.to_str().expect("text");
    for (asked, code) in [(["--publisher", &publisher], 4), (["--config", config], 2)] {
        let (told, ended) = audit(&asked);
        assert!(ended == Some(code) && told.contains("unaudited = true"), "{told}");
    }
}

/// A page that was to be erased and is still served is worse than a line that comes late.
#[tokio::test]
async fn a_full_disk_below_the_trail_stops_orders_and_no_purge_and_nothing_is_missing_afterwards() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let disk = folder.path().join("disk");
    let (named, disk) = (disk.join("audit"), SmallDisk::mount(&disk));
    let origin = Origin::start().await;
    let edge = Edge::start(origin.address()).await;
    let settings = Settings::default().publisher(&format!("audit_dir = \"{}\"", named.display()));
    let lane = "rebounds = []\nstarts_empty = true\n";
    let serve = Serve::start_ready(settings.edge(edge.address(), lane)).await;
    serve.api().publish_until("final", &wish("person-7")).await;

    disk.fill();
    let unseen = serve.api().publish_until("final", &wish("person-8")).await.facts.id;
    eventually("it says so", async || {
        let said = serve.admin().details("audit").await;
        said.iter().any(|said| said.contains("the audit trail cannot be written"))
    })
    .await;
    assert!(serve.admin().count("purgebus_audit_failures_total", &[]).await > 0);
    let publisher = format!("http://{}", serve.api().address());
    let flush = async || {
        let asked = reqwest::Client::new().post(format!("{publisher}/v1/flushes"));
        asked.json(&json!({"region": "local"})).send().await.expect("an answer").status()
    };
    assert_eq!(flush().await, reqwest::StatusCode::SERVICE_UNAVAILABLE);

    disk.free();
    eventually("it is ready again", async || serve.admin().details("audit").await.is_empty()).await;
    assert_eq!(flush().await, reqwest::StatusCode::ACCEPTED);
    let (told, code) = audit(&["--publisher", &publisher, "--verify"]);
    assert!(code == Some(0) && told.starts_with("intact"), "{told}");
    let (told, _) = audit(&["--publisher", &publisher, "--json"]);
    assert!(told.contains(&unseen.to_string()) && !told.contains("\"what\":\"gap\""), "{told}");
}
