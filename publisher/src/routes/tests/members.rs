//! Who is there, and who is gone for good, over HTTP.

use broker_adapter::{Broker, Message, Partition, Topic};
use schemas::{BoardMessage, Report, wire};
use serde_json::json;
use uuid::Uuid;

use super::api::Api;

impl Api {
    /// An agent's report, and the moment when the API shows it.
    pub(super) async fn hear_of(&self, agent: &str) {
        let message = BoardMessage::Report(Box::new(Report {
            agent: agent.parse().unwrap(),
            instance: Uuid::from_u128(7),
            sequence: 1,
            region: "eu-west".parse().unwrap(),
            at: daemon::Clock::system().now(),
            caches: Vec::new(),
            clocks: Vec::new(),
        }));
        let (key, body) = (Some(message.key()), wire::encode_board(&message));
        let topic = Topic::board(message.board());
        let message = Message { key, id: None, body };
        self.log().publish(topic, Partition(0), vec![message]).await.unwrap();
        self.shows("/v1/agents", agent).await;
    }

    async fn shows(&self, path: &str, text: &str) {
        for _ in 0..1_000 {
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
