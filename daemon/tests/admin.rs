//! The admin port over real sockets.

use std::sync::Arc;

use daemon::{Admin, Condition, Crew, Health, Readiness, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use reqwest::{Response, StatusCode};

struct Process {
    url: String,
    lane: Condition,
    stop: Stop,
    // Aborts the server when the test ends.
    _crew: Crew,
}

async fn process() -> Process {
    let health = Health::default();
    let lane = health.condition("varnish");
    let metrics = Arc::new(Mutex::new(Registry::default()));
    health.register(&mut metrics.lock());
    let admin =
        Admin::bind(([127, 0, 0, 1], 0).into(), health, metrics).await.expect("a free port");
    let url = format!("http://{}", admin.local_addr());
    let mut crew = Crew::new(Stop::new());
    let stop = crew.stop();
    crew.spawn("admin", admin.run(crew.stop()));
    Process { url, lane, stop, _crew: crew }
}

impl Process {
    async fn get(&self, path: &str) -> Response {
        let response = reqwest::get(format!("{}{path}", self.url)).await.expect("an answer");
        assert_eq!(response.headers()["cache-control"], "no-store");
        response
    }
}

#[tokio::test]
async fn readiness_shows_every_condition_and_turns_to_503_while_one_is_not_ready() {
    let process = process().await;
    assert_eq!(process.get("/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    process.lane.set(Readiness::Degraded("circuit open".to_owned()));
    let degraded = process.get("/health/ready").await;
    assert_eq!(degraded.status(), StatusCode::OK);
    let body = degraded.text().await.expect("a body");
    for part in [r#""state":"degraded""#, r#""name":"varnish""#, r#""detail":"circuit open""#] {
        assert!(body.contains(part), "{part} is missing from {body}");
    }
}

#[tokio::test]
async fn a_process_that_is_not_ready_is_alive() {
    assert_eq!(process().await.get("/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_tell_what_readiness_tells() {
    let process = process().await;
    let before = process.get("/metrics").await.text().await.expect("a body");
    assert!(before.contains("\npurgebus_ready 0\n") && before.ends_with("# EOF\n"), "{before}");
    process.lane.set(Readiness::Ready);
    let after = process.get("/metrics").await.text().await.expect("a body");
    assert!(after.contains("\npurgebus_ready 1\n"), "{after}");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let process = process().await;
    let taken = process.url.trim_start_matches("http://").parse().expect("an address");
    let refusal = Admin::bind(taken, Health::default(), Arc::default()).await.expect_err("taken");
    assert!(refusal.to_string().contains(&taken.to_string()));
}

#[tokio::test]
async fn a_stop_closes_the_port() {
    let process = process().await;
    process.get("/health/live").await;
    process.stop.request();
    while reqwest::get(format!("{}/health/live", process.url)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
