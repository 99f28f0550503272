//! Every scenario in its shortest form: it ends, in the one shape, with nothing lost and nothing stale. No figure of time
//! is looked at.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Each in words of the command line.
const SHORTEST: [&str; 25] = [
    "world --seconds 1 --edges 5 --rate 40 --cut-off 1",
    "soak --seconds 1 --parts 1 --restart-every 1 --dead-for 0 --fill 100",
    "passes --broker nats --seconds 1 --rate 1000 --passes 1s",
    "outage --broker nats --seconds 1 --count 10000",
    "catch-up --seconds 1 --rounds 1 --count 20000",
    "replay --seconds 1 --rounds 1 --count 2000 --rate 20",
    "lanes --seconds 1 --lanes 2,4 --together 2 --framed 100",
    "slow-neighbour --seconds 1 --rounds 1",
    "flood --seconds 1 --rounds 1 --requests 100",
    "flood --seconds 1 --rounds 1 --requests 100 --plain --broker nats",
    "memory --broker nats --seconds 1 --count 1000",
    "backlog --seconds 1 --count 200",
    "publish --broker embedded --seconds 1 --rounds 1 --clients 8 --audit-cost",
    "publish --broker nats --seconds 1 --rounds 1 --clients 8",
    "publish --broker kafka --seconds 1 --rounds 1 --clients 8",
    "idle --seconds 1",
    "hop --broker nats --seconds 1",
    "lane --broker embedded --seconds 1 --rounds 1 --count 10000 --framed 100",
    "lane --broker nats --seconds 1 --rounds 1 --count 10000",
    "lane --broker kafka --seconds 1 --rounds 1 --count 10000",
    "varnish-urls --broker kafka --layers 2 --seconds 1 --rounds 1 --count 20000",
    "varnish-keys --broker kafka --seconds 1 --rounds 1 --count 10000",
    "varnish-keys --broker memory --seconds 1 --rounds 1 --count 10000",
    "redis --seconds 1 --rounds 1 --count 10000",
    "verify --seconds 1 --rounds 1",
];
/// As many at once as a small machine bears: they wait more than they work.
const AT_ONCE: usize = 5;
/// Longest time for one, on the slowest of machines.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Of this crate, with temporary files in a folder of its own.
fn loadtest(words: &str, folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(words.split(' ')).env("TMPDIR", folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What it prints, and whether it leaves well.
async fn run(words: &str) -> (String, bool) {
    let folder = TempDir::new().expect("a folder");
    let running = loadtest(words, &folder).output();
    let output = timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("{words}: no end"));
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {}\n{said}\n{complained}", output.status);
    let left: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
    (said, left.is_empty())
}

#[tokio::test]
async fn every_scenario_ends_in_the_one_shape_with_nothing_lost() {
    let mut runs = stream::iter(SHORTEST)
        .map(async |words| (words, run(&format!("{words} --json")).await))
        .buffer_unordered(AT_ONCE);
    while let Some((words, (said, is_clean))) = runs.next().await {
        assert_eq!(said.lines().count(), 1, "{words}: the document alone: {said}");
        let document: Value = serde_json::from_str(&said).expect("a document");
        assert_eq!(words.split(' ').next(), document["scenario"].as_str(), "{said}");
        let figures = |name: &str| document[name].as_object().is_some_and(|it| !it.is_empty());
        assert!(
            figures("ours")
                && figures("baseline")
                && figures("peak_rss_bytes")
                && figures("cpu_seconds"),
            "{said}"
        );
        assert!(document["ratio"].is_number() && document["notes"].is_array(), "{said}");
        assert_eq!((&document["lost"], &document["stale_after_final"]), (&0.into(), &0.into()));
        assert!(is_clean, "{words}: something of it is left");
    }
}

#[tokio::test]
async fn people_get_a_table_and_a_drawing_and_the_document_last() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("hop.svg");
    let (said, _) = run(&format!("hop --broker nats --count 5 --svg {}", file.display())).await;
    assert!(said.trim_start().starts_with("hop") && said.lines().count() > 5, "{said}");
    let document: Value = serde_json::from_str(said.lines().last().expect("lines")).expect("JSON");
    assert_eq!(document["scenario"], "hop");
    assert!(fs::read_to_string(file).expect("a drawing").starts_with("<svg"));
}

#[tokio::test]
async fn whoever_interrupts_it_leaves_nothing_behind() {
    let folder = TempDir::new().expect("a folder");
    let mut running = loadtest("flood --broker nats", &folder).spawn().expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    while !running_in(&folder).iter().any(|line| line.contains("purgebus")) {
        assert!(Instant::now() < deadline, "it starts nothing");
        sleep(LOOK_EVERY).await;
    }
    let process = running.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status().await;
    assert!(sent.expect("kill is installed").success());
    let left = timeout(PATIENCE, running.wait()).await.expect("it leaves").expect("its status");
    assert_eq!(left.code(), Some(130));
    while !running_in(&folder).is_empty() {
        assert!(Instant::now() < deadline, "it left {:?} running", running_in(&folder));
        sleep(LOOK_EVERY).await;
    }
    let files: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
    assert!(files.is_empty(), "it left {files:?}");
}

/// The command lines of all processes that name this folder.
fn running_in(folder: &TempDir) -> Vec<String> {
    let name = folder.path().display().to_string();
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&name)).collect()
}
