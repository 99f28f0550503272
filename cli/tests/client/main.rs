//! The verbs that talk to a publisher, by the real binary against a publisher that follows a script.

mod fake_publisher;

use std::process::{Output, Stdio};
use std::time::Duration;

use fake_publisher::{FakePublisher, ID, accepted, problem, progress};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

const URL: &str = "https://www.example.com/a";
const DEADLINE: Duration = Duration::from_secs(30);

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purgebus"));
    command
        .args(arguments)
        .env("PURGEBUS_URL", url)
        .env_remove("PURGEBUS_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(publisher: &FakePublisher, arguments: &[&str]) -> Ended {
    let output = timeout(DEADLINE, command(&publisher.url, arguments).output());
    output.await.expect("it ends").expect("it starts").into()
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

#[tokio::test]
async fn a_purge_is_published_as_asked() {
    let publisher = FakePublisher::answering([accepted()], []).await;
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&token, "secret\n").expect("written");
    let token = token.path().to_str().expect("text");
    let flags =
        ["--tag", "t", "--soft", "--critical", "--region", "eu-west", "--token-file", token];
    let ended = run(&publisher, &[&["purge", URL][..], &flags].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with(ID), "{}", ended.stdout);
    let asked = &publisher.asked()[0];
    assert_eq!(asked.token.as_deref(), Some("Bearer secret"));
    let expected = json!({
        "urls": [URL], "tags": ["t"], "everything": false, "mode": "soft", "priority": "critical",
        "regions": ["eu-west"],
    });
    let mut body = asked.body.clone();
    body.as_object_mut().expect("an object").entry("everything").or_insert(json!(false));
    assert_eq!(body, expected);
}

#[tokio::test]
async fn every_mistake_that_the_publisher_found_is_shown_and_nothing_is_repeated() {
    let errors = json!([
        {"pointer": "/urls/0", "detail": "no site has this host"},
        {"pointer": "/tags/3", "detail": "holds a comma"},
    ]);
    let publisher = FakePublisher::answering([problem(422, &errors)], []).await;
    let ended = run(&publisher, &["purge", URL]).await;
    assert_eq!(ended.code, Some(4));
    for part in ["look below", "/urls/0: no site has this host", "/tags/3: holds a comma"] {
        assert!(ended.stderr.contains(part), "{part:?} is missing from {}", ended.stderr);
    }
    assert_eq!(publisher.asked().len(), 1);
}

#[tokio::test]
async fn what_may_have_been_published_is_repeated_under_the_same_key() {
    let answers = [problem(503, &json!([])), problem(429, &json!([])), accepted()];
    let publisher = FakePublisher::answering(answers, []).await;
    let ended = run(&publisher, &["purge", URL]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let keys: Vec<_> = publisher.asked().into_iter().map(|asked| asked.idempotency_key).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_publisher_that_stays_away_is_worth_another_try_later() {
    let publisher = FakePublisher::answering([problem(503, &json!([]))], []).await;
    let ended = run(&publisher, &["purge", URL, "--timeout", "300ms"]).await;
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    let nobody = command("http://127.0.0.1:1", &["purge", URL, "--timeout", "300ms"]);
    let ended: Ended = { nobody }.output().await.expect("it starts").into();
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
}

#[tokio::test]
async fn a_pause_without_end_is_not_waited_for() {
    let (status, mut later) = problem(503, &json!([]));
    later["retry_after"] = json!(u64::MAX.to_string());
    let publisher = FakePublisher::answering([(status, later)], []).await;
    let ended = run(&publisher, &["purge", URL]).await;
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert_eq!(publisher.asked().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_what_became_of_it() {
    for (state, goal, code) in [
        ("applied", "applied", 0),
        ("final", "applied", 0),
        ("final", "final", 0),
        ("blocked", "applied", 1),
        ("published", "applied", 3),
        ("applied", "final", 3),
        ("no_agents", "applied", 3),
    ] {
        let gets = [progress("published"), progress(state)];
        let publisher = FakePublisher::answering([accepted()], gets).await;
        let arguments = ["purge", URL, "--wait", goal, "--timeout", "1500ms"];
        let ended = run(&publisher, &arguments).await;
        assert_eq!(ended.code, Some(code), "{state}, waiting for {goal}: {}", ended.stderr);
        assert!(ended.stdout.contains("edge-1"), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_publisher_that_leaves_while_we_wait_does_not_make_it_unpublished() {
    let gets = [progress("published"), problem(503, &json!([]))];
    let publisher = FakePublisher::answering([accepted()], gets).await;
    let arguments = ["purge", URL, "--wait", "applied", "--timeout", "500ms"];
    assert_eq!(run(&publisher, &arguments).await.code, Some(3));
}

#[tokio::test]
async fn a_publisher_that_comes_back_while_we_wait_is_asked_again() {
    let gets = [progress("published"), problem(503, &json!([])), progress("applied")];
    let publisher = FakePublisher::answering([accepted()], gets).await;
    let ended = run(&publisher, &["purge", URL, "--wait", "applied"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn scripts_get_one_document_for_each_request() {
    let publisher = FakePublisher::answering([accepted()], [progress("applied")]).await;
    for (flags, key) in [(&["--json"][..], "durable"), (&["--json", "--wait", "applied"], "state")]
    {
        let ended = run(&publisher, &[&["purge", URL][..], flags].concat()).await;
        let document: Value = serde_json::from_str(&ended.stdout).expect("one JSON document");
        assert!(document[key].is_string(), "{document}");
    }
}

#[tokio::test]
async fn a_long_list_from_stdin_goes_out_in_requests_that_a_publisher_takes() {
    let publisher = FakePublisher::answering([accepted()], []).await;
    let arguments = ["purge", "--from-file", "-"];
    let mut child =
        command(&publisher.url, &arguments).stdin(Stdio::piped()).spawn().expect("it starts");
    let lines = format!("{URL}\n").repeat(1_001);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines.as_bytes()).await.expect("written");
    drop(stdin);
    let ended: Ended = child.wait_with_output().await.expect("it ends").into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let posted = publisher.posted();
    let sizes: Vec<_> =
        posted.iter().filter_map(|asked| asked.body["urls"].as_array().map(Vec::len)).collect();
    assert_eq!(sizes, [1_000, 1]);
    assert_ne!(posted[0].idempotency_key, posted[1].idempotency_key);
}

#[tokio::test]
async fn an_interrupted_wait_tells_the_id() {
    let publisher = FakePublisher::answering([accepted()], [progress("published")]).await;
    let arguments = ["purge", URL, "--wait", "applied", "--timeout", "60s"];
    let child = command(&publisher.url, &arguments).spawn().expect("it starts");
    let pid = child.id().expect("it runs").to_string();
    let waiting = async {
        while publisher.asked().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("it asks how far it has come");
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.expect("sent").success());
    let ended = timeout(DEADLINE, child.wait_with_output()).await.expect("it ends");
    let ended: Ended = ended.expect("it ran").into();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("purgebus status {ID}")), "{}", ended.stderr);
}

#[tokio::test]
async fn a_dry_run_shows_what_each_cache_would_do() {
    let body = json!({"site": "main", "selectors": ["url /a"], "regions": ["eu-west"], "caches": [
        {"region": "eu-west", "agent": "edge-1", "cache": "varnish", "selectors": ["purge"]},
    ]});
    let publisher = FakePublisher::answering([(200, body)], []).await;
    let ended = run(&publisher, &["purge", URL, "--dry-run"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("edge-1") && ended.stdout.contains("purge"), "{}", ended.stdout);
    assert_eq!(publisher.asked()[0].path, "/v1/invalidations?dry_run=true");
}

#[tokio::test]
async fn status_tells_blocked_from_everything_else() {
    for (state, code) in [("published", 0), ("applied", 0), ("blocked", 1)] {
        let publisher = FakePublisher::answering([], [progress(state)]).await;
        let ended = run(&publisher, &["status", ID]).await;
        assert_eq!(ended.code, Some(code), "{state}: {}", ended.stderr);
        assert_eq!(publisher.asked()[0].path, format!("/v1/invalidations/{ID}"));
    }
    let publisher = FakePublisher::answering([], []).await;
    assert_eq!(run(&publisher, &["status", ID]).await.code, Some(4), "an unknown id");
}

#[tokio::test]
async fn regions_and_caches_are_tables_for_people_and_documents_for_scripts() {
    let latency = json!({"count": 3, "p50_ms": 1.5, "p95_ms": 2.0, "p99_ms": 2.5, "p999_ms": 3.0, "max_ms": 4.0});
    let region = json!({"region": "eu-west", "agents": 1, "caches": 2, "ready": true,
        "lag_numbers": 7, "lag_seconds": 1.5,
        "applied": {"1m": latency, "15m": latency, "since_start": latency}});
    let cache = json!({"agent": "edge-1", "region": "eu-west", "cache": "varnish",
        "priority": "normal", "driver": "varnish", "floors": [], "ready": false, "lag_numbers": 0,
        "oldest_unsettled_seconds": null, "circuit": "open", "last_error": "connection refused",
        "outcomes": {"purged": 5, "covered": 2}, "abilities": null, "downgrades": [],
        "reported_at": "2026-11-21T00:00:00Z"});
    for (verb, item, shown) in
        [("regions", region, "7 (1.5 s)"), ("caches", cache, "connection refused")]
    {
        let page = json!({"items": [item], "next_cursor": null});
        let publisher = FakePublisher::answering([], [(200, page.clone())]).await;
        let table = run(&publisher, &[verb]).await;
        assert!(table.code == Some(0) && table.stdout.contains(shown), "{}", table.stdout);
        let document = run(&publisher, &[verb, "--json"]).await;
        assert_eq!(serde_json::from_str::<Value>(&document.stdout).ok(), Some(page));
    }
}

fn agent(state: &str) -> Value {
    json!({"agent": "edge-7", "region": "eu-west", "state": state, "since": "2026-11-21T00:00:00Z",
        "instances": [], "caches": [{"cache": "varnish", "driver": "varnish", "ready": false}],
        "reported_at": null, "report_age_seconds": 90.5,
        "clock": {"offset_seconds": 0.0021, "bound_seconds": 0.0009}, "retired_by": null})
}

fn publisher(state: &str) -> Value {
    json!({"publisher": "cms-2", "myself": false, "state": state, "incarnation_since": null,
        "heard_at": "2026-11-21T00:00:00Z", "heard_age_seconds": 90.5,
        "lines": [{"line": "6f1c0a52d3b44c0f8f6a3e1d2b7c9a10", "last": 4711, "open": true}],
        "retired_at": null, "retired_by": null})
}

#[tokio::test]
async fn agents_and_publishers_are_tables_for_people_and_documents_for_scripts() {
    for (verb, item, shown) in [
        (
            "agents",
            agent("gone"),
            &["gone", "varnish (not ready)", "90.5 s ago", "+2.1 ms ± 0.9"][..],
        ),
        ("publishers", publisher("silent"), &["silent", "4711", "90.5 s ago"]),
    ] {
        let page = json!({"items": [item], "next_cursor": null});
        let publisher = FakePublisher::answering([], [(200, page.clone())]).await;
        let table = run(&publisher, &[verb, "list"]).await;
        assert_eq!(table.code, Some(0), "{}", table.stderr);
        assert!(shown.iter().all(|shown| table.stdout.contains(shown)), "{}", table.stdout);
        let document = run(&publisher, &[verb, "list", "--json"]).await;
        assert_eq!(serde_json::from_str::<Value>(&document.stdout).ok(), Some(page));
        assert_eq!(publisher.asked()[0].path, format!("/v1/{verb}"));
    }
}

#[tokio::test]
async fn who_is_gone_is_retired_and_who_lives_is_not() {
    let retired = [(200, agent("retired")), (200, publisher("retired"))];
    let answers = [
        &retired[..],
        &[problem(409, &json!([])), problem(503, &json!([])), problem(404, &json!([]))],
    ]
    .concat();
    let answers: [_; 5] = answers.try_into().expect("five");
    let publisher = FakePublisher::answering([], answers).await;
    let agents = run(&publisher, &["agents", "retire", "edge-7"]).await;
    assert!(agents.code == Some(0) && agents.stdout.contains("retired"), "{}", agents.stderr);
    let publishers = run(&publisher, &["publishers", "retire", "cms-2", "--force"]).await;
    assert!(publishers.code == Some(0) && publishers.stdout.contains("retired"));
    for (verb, code) in [("agents", 4), ("publishers", 5), ("agents", 4)] {
        assert_eq!(run(&publisher, &[verb, "retire", "x"]).await.code, Some(code));
    }
    let asked: Vec<_> = publisher
        .asked()
        .into_iter()
        .map(|asked| format!("{} {}", asked.method, asked.path))
        .collect();
    assert_eq!(
        asked[..2],
        ["DELETE /v1/agents/edge-7?force=false", "DELETE /v1/publishers/cms-2?force=true"]
    );
    let wrong = run(&publisher, &["agents", "retire", "../x"]).await;
    assert_eq!((wrong.code, publisher.asked().len()), (Some(2), 5));
}

#[tokio::test]
async fn wrong_usage_is_told_apart_from_everything_else() {
    let publisher = FakePublisher::answering([accepted()], []).await;
    for arguments in [
        &["purge"][..],
        &["purge", "--everything"],
        &["purge", URL, "--timeout", "soon"],
        &["purge", URL, "--publisher", "ftp://127.0.0.1"],
        &["purge", URL, "--token-file", "/nowhere"],
        &["purge", "--from-file", "/nowhere"],
        &["serve", "-c", "/nowhere"],
    ] {
        let ended = run(&publisher, arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
    }
    assert!(publisher.asked().is_empty());
}
