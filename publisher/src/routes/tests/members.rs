//! Who is there, and who is gone for good, over HTTP.

use broker_adapter::{Broker, Message, Partition, Topic};
use schemas::{BoardMessage, LaneReport, Report, wire};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Api, good};
use crate::samples::{lane_report, report};

impl Api {
    /// An agent's report, and the moment when the API shows it.
    pub(super) async fn hear_of(&self, agent: &str) {
        let caches = Vec::new();
        self.put(Report { caches, sequence: 1, ..report(agent, "eu-west", lane_report(vec![])) })
            .await;
        self.shows("/v1/agents", agent).await;
    }

    /// An agent's report.
    pub(super) async fn put(&self, report: Report) {
        self.put_on_board(BoardMessage::Report(Box::new(report))).await;
    }

    pub(super) async fn put_on_board(&self, message: BoardMessage) {
        let (key, body) = (Some(message.key()), wire::encode_board(&message));
        let topic = Topic::board(message.board());
        let message = Message { key, id: None, body };
        self.log().publish(topic, Partition(0), vec![message]).await.unwrap();
    }

    /// How the one agent there is stands, once it stands so.
    async fn agent_is(&self, state: &str) -> Value {
        self.shows("/v1/agents", &format!("\"state\":\"{state}\"")).await;
        self.get("/v1/agents").await.json()["items"][0].clone()
    }

    pub(super) async fn shows(&self, path: &str, text: &str) {
        for _ in 0..3_000 {
            if self.get(path).await.body.contains(text) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path} never showed {text}: {}", self.get(path).await.body);
    }
}

#[tokio::test]
async fn an_agent_that_lives_is_retired_by_force_alone() {
    let api = Api::start().await;
    assert_eq!(api.get("/v1/agents").await.json(), json!({"items": [], "next_cursor": null}));
    let retire = async |path: &str| api.send(&format!("DELETE {path}"), "", b"").await;
    assert_eq!(retire("/v1/agents/edge-1").await.problem(404, "not_found"), []);
    assert_eq!(retire("/v1/agents/No%20Name").await.problem(404, "not_found"), []);
    api.hear_of("edge-1").await;
    assert_eq!(retire("/v1/agents/edge-1").await.problem(409, "alive"), []);
    assert_eq!(retire("/v1/agents/edge-1?force=maybe").await.problem(400, "malformed").len(), 1);
    let retired = retire("/v1/agents/edge-1?force=true").await;
    assert_eq!((retired.status, &retired.json()["state"]), (200, &json!("retired")));
    assert_eq!(retired.json()["retired_by"], json!("p1"));
    let again = retire("/v1/agents/edge-1").await;
    assert_eq!((again.status, again.json()), (200, retired.json()), "once more is the same");
    assert_eq!(api.get("/v1/agents").await.json()["items"], json!([retired.json()]));
    api.end().await;
}

#[tokio::test]
async fn a_publisher_does_not_retire_itself_nor_one_that_nobody_knows() {
    let api = Api::start().await;
    let retire = async |path: &str| api.send(&format!("DELETE {path}"), "", b"").await;
    api.shows("/v1/publishers", "\"publisher\":\"p1\"").await;
    for path in ["/v1/publishers/p1", "/v1/publishers/p1?force=true"] {
        assert_eq!(retire(path).await.problem(409, "alive"), []);
    }
    assert_eq!(retire("/v1/publishers/p2").await.problem(404, "not_found"), []);
    let shown = api.get("/v1/publishers").await.json()["items"][0].clone();
    assert_eq!((&shown["state"], &shown["myself"]), (&json!("live"), &json!(true)));
    assert_eq!(api.send("POST /v1/agents", "", b"").await.problem(405, "method_not_allowed"), []);
    api.end().await;
}

/// Takes as long as an agent may be silent.
#[tokio::test]
async fn an_agent_is_announced_live_doubled_gone_retired_and_back() {
    let api = Api::start().await;
    let said = |instance: u128, sequence, ready| {
        let lane = LaneReport { ready, ..lane_report(Vec::new()) };
        let instance = Uuid::from_u128(instance);
        Report { instance, sequence, ..report("edge-1", "eu-west", lane) }
    };
    api.put(said(1, 1, false)).await;
    let agent = api.agent_is("announced").await;
    assert_eq!(agent["caches"][0]["ready"], json!(false));
    api.put(said(1, 2, true)).await;
    assert_eq!(api.agent_is("live").await["since"], Value::Null);
    let accepted = api.post(&good()).await.json();
    let status = accepted["status_url"].as_str().unwrap();
    let missing = async || api.get(status).await.json()["missing"].clone();
    assert_eq!(missing().await[0]["reason"], json!("not purged yet"));
    api.put(said(2, 1, true)).await;
    let agent = api.agent_is("doubled").await;
    assert_eq!(agent["instances"].as_array().unwrap().len(), 2, "{agent}");
    assert_eq!(missing().await[0]["reason"], json!("two agents under one name"));
    let caches = api.get("/v1/caches").await.json();
    assert_eq!(caches["items"][0]["last_error"], json!("two agents under one name"));
    let agent = api.agent_is("gone").await;
    assert_eq!(agent["since"], agent["reported_at"]);
    assert!(agent["report_age_seconds"].as_f64().unwrap() > 15.0, "{agent}");
    assert_eq!(missing().await[0]["agent"], json!("edge-1"));
    let retired = api.send("DELETE /v1/agents/edge-1", "", b"").await;
    assert_eq!((retired.status, &retired.json()["state"]), (200, &json!("retired")));
    assert_eq!(missing().await, json!([]), "it owes nothing any more");
    api.put(said(3, 1, true)).await;
    let agent = api.agent_is("returned").await;
    assert!(agent["since"].is_string(), "{agent}");
    api.end().await;
}
