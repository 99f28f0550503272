//! The small installation as a process: its ports, its stop, and what it remembers.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purgebus"));
    command.args(arguments).env_remove("PURGEBUS_TOKEN").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A configuration in `folder` on any free ports, with a cache that nobody has started.
fn configure(folder: &TempDir) {
    let config = r#"[publisher]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
journal = "journal"
[agent]
admin = "127.0.0.1:0"
state = "state"
[[site]]
hosts = ["www.example.com"]
[[agent.cache]]
name = "edge"
driver = "edge"
url = "http://127.0.0.1:1"
"#;
    std::fs::write(folder.path().join("purgebus.toml"), config).expect("written");
}

struct Serving {
    process: Child,
    api: String,
    admin: String,
    log: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    async fn start(folder: &Path) -> Self {
        let mut process = command(&["serve", "-c", "purgebus.toml"])
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = process.stderr.take().expect("piped");
        let mut log = BufReader::new(stderr).lines();
        let api = listening(&mut log, "api").await;
        let admin = listening(&mut log, "admin").await;
        Self { process, api, admin, log }
    }

    /// Asks it to stop; answers its exit code and what it still had to say.
    async fn stop(mut self) -> (Option<i32>, String) {
        let pid = self.process.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("sent").success());
        let ending = async {
            let mut rest = String::new();
            while let Ok(Some(line)) = self.log.next_line().await {
                rest = rest + &line + "\n";
            }
            (self.process.wait().await.expect("it ended").code(), rest)
        };
        timeout(DEADLINE, ending).await.expect("it ends")
    }

    async fn purgebus(&self, arguments: &[&str]) -> Output {
        let output = command(arguments).env("PURGEBUS_URL", &self.api).output();
        timeout(DEADLINE, output).await.expect("it ends").expect("it starts")
    }
}

async fn listening(log: &mut Lines<BufReader<ChildStderr>>, what: &str) -> String {
    let found = async {
        while let Some(line) = log.next_line().await.expect("text") {
            if let Some(url) = line.strip_prefix(&format!("{what} listens on ")) {
                return url.to_owned();
            }
        }
        panic!("it ended before {what} listened");
    };
    timeout(DEADLINE, found).await.expect("it listens")
}

#[tokio::test]
async fn what_was_accepted_is_known_after_a_graceful_stop_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(&folder);
    let first = Serving::start(folder.path()).await;
    let accepted = first.purgebus(&["purge", "--json", "https://www.example.com/a"]).await;
    assert_eq!(accepted.status.code(), Some(0), "{accepted:?}");
    let accepted: Value = serde_json::from_slice(&accepted.stdout).expect("JSON");
    let id = accepted["id"].as_str().expect("an id").to_owned();
    let (code, log) = first.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let second = Serving::start(folder.path()).await;
    let status = second.purgebus(&["status", "--json", &id]).await;
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["id"].as_str(), Some(id.as_str()));
    assert_eq!(second.stop().await.0, Some(0));
}

#[tokio::test]
async fn one_admin_port_serves_both_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(&folder);
    let serving = Serving::start(folder.path()).await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", serving.admin)).await.expect("an answer");
        answer.text().await.expect("text")
    };
    let ready = get("/health/ready").await;
    assert!(ready.contains("lane edge.normal") && ready.contains("publisher"), "{ready}");
    let metrics = get("/metrics").await;
    for name in ["purgebus_ready 0", "purgebus_journal_unforwarded 0"] {
        assert!(metrics.contains(name), "{name} is missing from {metrics}");
    }
    let (code, log) = serving.stop().await;
    assert!(code == Some(0) && !log.contains("admin listens"), "{log}");
}

#[tokio::test]
async fn a_second_process_on_the_same_journal_is_turned_away() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(&folder);
    let first = Serving::start(folder.path()).await;
    let second = command(&["serve", "-c", "purgebus.toml"]).current_dir(&folder).output();
    let second = timeout(DEADLINE, second).await.expect("it ends").expect("it starts");
    let told = String::from_utf8(second.stderr).expect("text");
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("journal.redb"), "{told}");
    assert_eq!(first.stop().await.0, Some(0));
}
