//! A client generated from `/openapi.json` uses a real `purgebus serve`, while `purgebus tail` follows what it does.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tests::process::purgebus;
use tests::serve::{DATA, Serve, Settings};
use tests::servers::redis::Redis;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Duration, timeout};

/// Longest time for anything here.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(200);

async fn output(command: &mut Command) -> String {
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout
}

#[tokio::test]
async fn a_client_generated_from_the_document_reads_every_answer() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = output(&mut Command::new(here.join("install/openapi-python-client"))).await;
    let redis = Redis::start().await;
    let passes = "rebounds = [\"300ms\"]\nstarts_empty = true";
    let serve = Serve::start_ready(Settings::default().redis(redis.address(), DATA, passes)).await;
    let url = format!("http://{}", serve.api().address());
    let mut tail = Command::from(purgebus())
        .args(["tail", "--json", "--site", "main"])
        .env("PURGEBUS_URL", &url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let warm = json!({"site": "main", "tags": ["warm"]});
    for tries in 0.. {
        serve.api().publish(&warm).await;
        if timeout(LOOK_EVERY, lines.next_line()).await.is_ok() {
            break;
        }
        assert!(tries < 300, "tail hears nothing");
    }
    let folder = tempfile::tempdir().unwrap();
    let document: Value = serve.api().get("/openapi.json").await.unwrap();
    std::fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    std::fs::write(folder.path().join("config.yml"), "post_hooks: []\nliteral_enums: true\n")
        .unwrap();
    let python = || {
        let mut python = Command::new("python3");
        let folders = format!("{}:{}", library.trim(), folder.path().display());
        python.env("PYTHONPATH", folders).current_dir(folder.path());
        python
    };
    let generate = "generate --path openapi.json --output-path client --meta none --config config.yml \
                    --fail-on-warning";
    output(python().args(["-m", "openapi_python_client"]).args(generate.split(' '))).await;
    let used = output(python().arg(here.join("tests/openapi/use_client.py")).arg(&url)).await;
    let used: Value = serde_json::from_str(&used).unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|event| event != "final") {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line.expect("it goes on")).unwrap();
        if event["id"] == used["final"] {
            told.push(event["event"].clone());
        }
    }
    assert_eq!(told, ["published", "applied", "final"]);
}
