//! Replays over HTTP.

use schemas::{Priority, Report};
use serde_json::{Value, json};

use super::api::{Answer, Api, good};
use crate::samples::{lane_report, report};

/// May replay of one site in one region; the token `test`.
const NARROW: &str = "[[token]]\nname = \"ops\"\nallow = [\"tag\", \"read\", \"replay\"]\nhash = \"sha256:\
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n\
    sites = [\"main\"]\nregions = [\"eu-west\"]\n";
const TEST: &str = "authorization: Bearer test\r\n";

impl Api {
    async fn post_json(&self, path: &str, headers: &str, body: &Value) -> Answer {
        let headers = format!("content-type: application/json\r\n{headers}");
        self.send(&format!("POST {path}"), &headers, body.to_string().as_bytes()).await
    }

    async fn replay(&self, body: &Value) -> Answer {
        self.post_json("/v1/replays", "", body).await
    }

    async fn look(&self, body: &Value) -> Value {
        let answer = self.post_json("/v1/replays?dry_run=true", "", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// How it stands, once it stands so.
    async fn replay_is(&self, begun: &Answer, state: &str) -> Value {
        assert_eq!(begun.status, 202, "{}", begun.body);
        let path = format!("/v1/replays/{}", begun.json()["id"].as_str().unwrap());
        self.shows(&path, &format!("\"state\":\"{state}\"")).await;
        self.get(&path).await.json()
    }
}

fn tag(tag: &str) -> Value {
    json!({"site": "main", "tags": [tag]})
}

#[tokio::test]
async fn a_dry_run_counts_by_site_kind_and_region_shows_the_first_and_publishes_nothing() {
    let api = Api::start().await;
    api.post(&good()).await;
    api.post(&json!({"site": "main", "tags": ["b", "c"], "regions": ["eu-west"], "priority": "critical"}))
        .await;
    api.post(&json!({"urls": ["https://shop.example.com/blog/x"], "keys": ["k"]})).await;
    let before = api.published().await.len();
    let shown = api.look(&json!({"since": "1h"})).await;
    assert_eq!(
        shown["counts"],
        json!({
            "matched": 3, "sites": {"main": 2, "shop": 1},
            "selectors": {"tags": 3, "urls": 1, "keys": 1},
            "regions": {"eu-west": 3, "us-east": 2},
            "left_out": {"replays": 0, "expired": 0, "unbelieved": 0, "lateness_unknown": 0},
        })
    );
    assert_eq!((&shown["complete"], &shown["rate"]), (&json!(true), &json!(200)));
    let sample = shown["sample"].as_array().unwrap();
    assert_eq!(
        (sample.len(), &sample[0]["selectors"]),
        (3, &json!(["tag b", "tag c"])),
        "critical first"
    );
    let of = async |filter: Value| api.look(&filter).await["counts"]["matched"].clone();
    assert_eq!(of(json!({"since": "1h", "tag": "c"})).await, json!(1));
    assert_eq!(
        of(json!({"since": "1h", "url_prefix": "https://shop.example.com/blog"})).await,
        json!(1)
    );
    assert_eq!(of(json!({"since": "1h", "region": "us-east", "site": "main"})).await, json!(1));
    assert_eq!(of(json!({"since": "1h", "until": "30m"})).await, json!(0), "nothing is no mistake");
    assert_eq!(api.published().await.len(), before);
    assert_eq!(api.get("/v1/replays").await.json()["items"], json!([]));
    api.end().await;
}

#[tokio::test]
async fn what_is_replayed_is_new_normal_and_known_by_both_names() {
    let api = Api::start().await;
    api.put(Report { sequence: 1, ..report("edge-1", "eu-west", lane_report(vec![])) }).await;
    api.shows("/v1/agents", "edge-1").await;
    let first = api
        .post(&json!({"site": "main", "tags": ["a"], "priority": "critical", "reason": "r"}))
        .await
        .json();
    let begun = api.replay(&json!({"since": "1h", "agent": "edge-1", "rate": 1_000})).await;
    let done = api.replay_is(&begun, "done").await;
    assert_eq!((&done["published"], &done["counts"]["matched"]), (&json!(1), &json!(1)));
    assert_eq!((&done["filter"]["region"], &done["read"]), (&json!("eu-west"), &done["to_read"]));

    let published = api.published().await;
    let [again] = published.iter().filter(|it| it.origin.is_some()).collect::<Vec<_>>()[..] else {
        panic!("{published:?}")
    };
    assert_eq!(again.priority, Priority::Normal);
    assert_eq!(again.origin.map(|id| id.to_string()).as_deref(), first["id"].as_str());
    assert!(again.recipients.agents.iter().all(|agent| agent.as_str() == "edge-1"));
    assert_eq!((again.recipients.agents.len(), again.reason.as_deref()), (1, Some("r")));
    let of_first = api.get(first["status_url"].as_str().unwrap()).await.json();
    assert_eq!((&of_first["replays"], of_first.get("origin")), (&json!([again.id]), None));
    let of_again = api.get(&format!("/v1/invalidations/{}", again.id)).await.json();
    assert_eq!((&of_again["origin"], of_again.get("replays")), (&first["id"], None));
    assert_eq!(of_again["regions"][0]["caches"][0]["agent"], json!("edge-1"));

    assert!(api.metrics().contains("purgebus_replayed_total 1"), "{}", api.metrics());
    let looked = api.look(&json!({"since": "1h"})).await["counts"].clone();
    assert_eq!((&looked["matched"], &looked["left_out"]["replays"]), (&json!(1), &json!(1)));
    api.end().await;
}

#[tokio::test]
async fn what_overlaps_waits_and_what_is_cancelled_goes_on_where_it_stopped() {
    let api = Api::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        api.post(&tag(name)).await;
    }
    let slow = json!({"since": "1h", "rate": 1});
    let begun = api.replay(&slow).await;
    let running = api.replay_is(&begun, "running").await;
    let id = running["id"].as_str().unwrap();
    let refused = api.replay(&json!({"since": "2h", "tag": "a"})).await;
    refused.problem(409, "overlap");
    assert!(refused.body.contains(id), "it names the other: {}", refused.body);
    let path = format!("/v1/replays/{id}");
    let cancelled = api.send(&format!("DELETE {path}"), "", b"").await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &json!("cancelled")));
    let published = cancelled.json()["published"].as_u64().unwrap();
    assert!(published < 5, "{published}");
    let again = api.send(&format!("DELETE {path}"), "", b"").await;
    assert_eq!((again.status, again.json()), (200, cancelled.json()), "once more is the same");

    let other = api.replay(&json!({"since": "1h", "rate": 1})).await;
    api.post_json(&format!("{path}/resume"), "", &json!(null)).await.problem(409, "overlap");
    let other = format!("/v1/replays/{}", other.json()["id"].as_str().unwrap());
    let other = api.send(&format!("DELETE {other}"), "", b"").await.json();
    let resumed = api.post_json(&format!("{path}/resume"), "", &json!(null)).await;
    let done = api.replay_is(&resumed, "done").await;
    assert_eq!((&done["published"], &done["error"]), (&json!(5), &json!(null)));
    let replays = api.published().await.iter().filter(|it| it.origin.is_some()).count() as u64;
    assert_eq!(replays, 5 + other["published"].as_u64().unwrap(), "none twice");
    let resumed = api.post_json(&format!("{path}/resume"), "", &json!(null)).await;
    assert_eq!((resumed.status, resumed.json()), (202, done), "it is done");
    let listed = api.get("/v1/replays").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    api.end().await;
}

#[tokio::test]
async fn a_repeated_request_is_the_same_replay() {
    let api = Api::start().await;
    api.post(&good()).await;
    let body = json!({"since": "2026-01-01T00:00:00Z"});
    let ask = async || api.post_json("/v1/replays", "idempotency-key: k\r\n", &body).await;
    let first = ask().await;
    api.replay_is(&first, "done").await;
    assert_eq!(ask().await.json()["id"], first.json()["id"]);
    let replays = api.published().await.iter().filter(|it| it.origin.is_some()).count();
    assert_eq!(replays, 1);
    api.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_begins() {
    let api = Api::start().await;
    for (body, pointer) in [
        (json!({"since": "never"}), "/since"),
        (json!({"since": "1h", "region": "mars"}), "/region"),
        (json!({"since": "1h", "missed_by": "mars"}), "/missed_by"),
        (json!({"since": "1h", "agent": "edge-9"}), "/agent"),
        (json!({"since": "1h", "rate": 0}), "/rate"),
        (json!({"until": "1h"}), ""),
    ] {
        let mistakes = api.replay(&body).await.problem(422, "invalid");
        assert_eq!((mistakes.len(), mistakes[0].0.as_str()), (1, pointer), "{body}: {mistakes:?}");
    }
    let nobody = "/v1/replays/01993a00-0000-7000-8000-000000000000";
    api.get(nobody).await.problem(404, "not_found");
    api.get("/v1/replays/nobody").await.problem(404, "not_found");
    api.send(&format!("DELETE {nobody}"), "", b"").await.problem(404, "not_found");
    api.post_json(&format!("{nobody}/resume"), "", &json!(null)).await.problem(404, "not_found");
    assert_eq!(api.get("/v1/replays").await.json()["items"], json!([]));
    api.end().await;
}

#[tokio::test]
async fn a_token_replays_where_it_may_purge_and_only_with_the_word() {
    let api = Api::start_with(Some(super::api::TOKENS)).await;
    let ask = async |api: &Api, body: Value| api.post_json("/v1/replays", TEST, &body).await;
    ask(&api, json!({"since": "1h"})).await.problem(403, "forbidden");
    api.end().await;

    let api = Api::start_with(Some(NARROW)).await;
    for (body, pointer) in [
        (json!({"since": "1h"}), "/region"),
        (json!({"since": "1h", "region": "us-east"}), "/region"),
        (json!({"since": "1h", "site": "shop", "region": "eu-west"}), "/site"),
        (json!({"since": "1h", "missed_by": "us-east"}), "/region"),
    ] {
        let mistakes = ask(&api, body.clone()).await.problem(403, "forbidden");
        assert_eq!((mistakes.len(), mistakes[0].0.as_str()), (1, pointer), "{body}");
    }
    let begun = ask(&api, json!({"since": "1h", "region": "eu-west"})).await;
    assert_eq!((begun.status, &begun.json()["by"]), (202, &json!("ops")), "{}", begun.body);
    assert_eq!(begun.json()["filter"]["site"], json!("main"), "the one it may");
    api.end().await;
}
