//! The audit trail of a real `purgebus serve`, read by the real command line: while it runs, killed, stopped and forged.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::process::purgebus;
use tests::serve::{Serve, Settings};
use tests::servers::origin::Origin;
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
    let trail = tempfile::tempdir().expect("a fresh folder");
    let folder = trail.path().join("audit");
    let dir = folder.to_str().expect("text").to_owned();
    let settings = Settings::default().publisher(&format!("audit_dir = \"{dir}\""));
    let mut serve = Serve::start_ready(settings.edge(edge.address(), lane)).await;
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
