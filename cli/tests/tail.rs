//! `purgebus tail` against a publisher that breaks off: it goes on where it was, and ends where it is refused.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use daemon::{Crew, HttpServer, Stop};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const ID: &str = "0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55";

/// A path, and where the listener wanted to go on.
type Asked = (String, Option<String>);

/// What each question in turn is answered; then it is refused.
#[derive(Debug, Clone)]
struct Script {
    answers: Arc<Mutex<Vec<(StatusCode, String)>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").map(|id| id.to_str().expect("text").to_owned());
    script.asked.lock().push((uri.to_string(), last));
    let mut answers = script.answers.lock();
    if answers.is_empty() {
        let refused = r#"{"type": "about:blank", "title": "Unauthorized", "status": 401}"#;
        return (StatusCode::UNAUTHORIZED, refused).into_response();
    }
    answers.remove(0).into_response()
}

fn event(id: &str, data: &str) -> String {
    format!("id: {id}\nevent: any\ndata: {data}\n\n")
}

/// Its lines, its exit code, and what was asked for.
async fn tail(flags: &[&str], answers: Vec<(StatusCode, String)>) -> (Vec<String>, i32, Script) {
    let script = Script { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() };
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), 8).await.expect("a free port");
    let url = format!("http://{}", server.local_addr());
    let mut crew = Crew::new(Stop::new());
    crew.spawn(
        "publisher",
        server.run(Router::new().fallback(answer).with_state(script.clone()), crew.stop()),
    );
    let mut process = Command::new(env!("CARGO_BIN_EXE_purgebus"))
        .arg("tail")
        .args(flags)
        .env("PURGEBUS_URL", url)
        .env_remove("PURGEBUS_TOKEN")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let mut lines = Vec::new();
    while let Some(line) =
        timeout(DEADLINE, stdout.next_line()).await.expect("in time").expect("text")
    {
        lines.push(line);
    }
    let ended = timeout(DEADLINE, process.wait()).await.expect("it ends").expect("it ran");
    (lines, ended.code().expect("no signal"), script)
}

#[tokio::test]
async fn it_goes_on_where_it_was_after_a_broken_connection_and_ends_where_it_is_refused() {
    let published = format!(
        r#"{{"event":"published","at":"2026-11-21T00:00:00.5Z","id":"{ID}","site":"main","priority":"normal","regions":null}}"#
    );
    let applied = format!(
        r#"{{"event":"applied","at":"2026-11-21T00:00:00.7Z","id":"{ID}","site":"main","priority":"normal","regions":["eu-west"],"after_ms":12.4,"clock":"one"}}"#
    );
    let down = r#"{"event":"cache_down","at":"2026-11-21T00:00:01Z","region":"eu-west","agent":"edge-1","cache":"varnish","reason":"agent gone"}"#;
    let answers = vec![
        (StatusCode::OK, event("7-1", &published)),
        (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        (StatusCode::OK, format!("id: 7-2\n\n{}", event("7-3", &applied))),
        (StatusCode::OK, format!("{}id: 7-9\n\n", event("7-4", down))),
    ];
    let flags = ["--site", "main", "--region", "eu-west"];
    let (lines, code, script) = tail(&flags, answers.clone()).await;
    let expected = [
        format!("2026-11-21T00:00:00.500Z  published   main  {ID}  normal  all regions"),
        format!("2026-11-21T00:00:00.700Z  applied     main  {ID}  normal  after 12.4 ms"),
        "2026-11-21T00:00:01.000Z  cache_down  eu-west  edge-1/varnish  agent gone".to_owned(),
    ];
    assert_eq!((lines, code), (expected.to_vec(), 4));
    let asked = script.asked.lock().clone();
    let lasts: Vec<_> = asked.iter().map(|(_, last)| last.as_deref()).collect();
    assert_eq!(lasts, [None, Some("7-1"), Some("7-1"), Some("7-3"), Some("7-9")]);
    assert!(
        asked.iter().all(|(path, _)| path == "/v1/events?site=main&region=eu-west"),
        "{asked:?}"
    );
    let (lines, code, _) = tail(&["--json"], answers).await;
    assert_eq!((lines, code), (vec![published, applied, down.to_owned()], 4));
}

#[tokio::test]
async fn a_publisher_that_is_away_from_the_beginning_is_not_waited_for() {
    let answers = vec![(StatusCode::SERVICE_UNAVAILABLE, String::new())];
    let (lines, code, _) = tail(&[], answers).await;
    assert_eq!((lines, code), (Vec::new(), 5));
}
