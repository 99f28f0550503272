//! What the audit trail is told of requests, and who may read it.

use std::fs;

use axum::body::Body;
use axum::extract::Request;
use daemon::{Clock, Peer, Stop};
use schemas::Report;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::recording::Recording;
use super::api::{Answer, Api, good};
use super::tokens::token;
use crate::caller::Caller;
use crate::samples::{self, lane_report, report};

const JSON: &str = "Content-Type: application/json\r\n";

/// A publisher with a trail, and its folder.
async fn start() -> (Api, TempDir) {
    let tokens = [
        token("cms", "sites = ['main']\nallow = ['tag', 'read']"),
        token("sre", "allow = ['flush', 'read', 'retire', 'audit']"),
        token("old", "expires = '2020-01-01T00:00:00Z'"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let api = Api::start_audited(Some(&tokens.concat()), Some(folder.path())).await;
    (api, folder)
}

async fn ask(api: &Api, line: &str, bearer: &str, body: &Value) -> Answer {
    let headers = format!("Authorization: Bearer {bearer}\r\n{JSON}");
    api.send(line, &headers, body.to_string().as_bytes()).await
}

/// Asks again for a while, until the answer has that status; answers whether it came to have it.
async fn comes_to(api: &Api, line: &str, body: &Value, status: u16) -> bool {
    for _ in 0..400 {
        if ask(api, line, "sre", body).await.status == status {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    false
}

/// An agent reports, and the API knows it.
async fn hear_of_agent(api: &Api) {
    api.put(Report { sequence: 1, ..report("edge-1", "eu-west", lane_report(vec![])) }).await;
    for _ in 0..400 {
        if ask(api, "GET /v1/agents", "sre", &Value::Null).await.body.contains("edge-1") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("nobody hears the agent");
}

/// Every line that the API lists.
async fn trail(api: &Api, query: &str) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut cursor = String::new();
    loop {
        let line = format!("GET /v1/audit?limit=3{query}{cursor}");
        let answer = ask(api, &line, "sre", &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        lines.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { return lines };
        cursor = format!("&cursor={next}");
    }
}

fn whats(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["what"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn whatever_is_done_or_refused_leaves_a_line_and_reading_leaves_none() {
    let (api, folder) = start().await;
    let accepted = ask(&api, "POST /v1/invalidations", "cms", &good()).await.json();
    ask(&api, "POST /v1/invalidations?dry_run=true", "cms", &good()).await;
    ask(&api, "GET /v1/regions", "cms", &Value::Null).await;
    for (line, bearer, body, status) in [
        ("POST /v1/invalidations", "cms", json!({"site": "shop", "tags": ["a"]}), 403),
        ("POST /v1/invalidations", "nobody", good(), 401),
        ("GET /v1/regions?note=hunter2", "old", Value::Null, 401),
        ("GET /v1/regions?access_token=hunter2", "cms", Value::Null, 401),
        ("POST /v1/flushes", "sre", json!({"region": "mars"}), 422),
        ("POST /v1/flushes", "cms", json!({"region": "eu-west"}), 403),
        ("GET /v1/audit", "cms", Value::Null, 403),
    ] {
        assert_eq!(ask(&api, line, bearer, &body).await.status, status, "{line} {bearer}");
    }
    hear_of_agent(&api).await;
    ask(&api, "DELETE /v1/agents/edge-1?force=true", "sre", &Value::Null).await;
    let lines = trail(&api, "").await;
    assert_eq!(whats(&lines)[..5], ["file", "began", "token_added", "token_added", "token_added"]);
    // A second that ends meanwhile tells again, or counts.
    let mut told: Vec<&Value> =
        lines[5..].iter().filter(|line| line.get("times").is_none()).collect();
    told.retain(|line| !["lane", "lanes", "agent_gone"].contains(&line["what"].as_str().unwrap()));
    told.dedup_by_key(|line| (line["what"].clone(), line["request"].clone(), line["who"].clone()));
    let asked = |line: &&Value| {
        let request = line["request"].as_str().unwrap_or_default();
        format!("{} {request}", line["what"].as_str().unwrap()).trim_end().to_owned()
    };
    assert_eq!(
        told.iter().map(asked).collect::<Vec<_>>(),
        [
            "publish",
            "refusal POST /v1/invalidations",
            "auth_failure POST /v1/invalidations",
            "auth_failure GET /v1/regions",
            "refusal POST /v1/flushes",
            "refusal POST /v1/flushes",
            "refusal GET /v1/audit",
            "retire DELETE /v1/agents/edge-1?force=true",
        ],
        "{told:#?}"
    );
    let publish = &told[0];
    assert_eq!((&publish["id"], &publish["who"]), (&accepted["id"], &json!("cms")));
    assert!(publish["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(publish["selectors"], json!(["tag article-7"]));
    assert_eq!((&publish["counts"], &publish["number"]), (&json!({"tags": 1}), &json!(1)));
    assert_eq!(told[1]["kind"], "forbidden");
    assert_eq!((&told[4]["who"], &told[4]["body"]), (&json!("sre"), &json!({"region": "mars"})));
    assert_eq!(told[7]["answer"]["state"], "retired");
    assert_eq!(whats(&trail(&api, "&who=sre&what=retire").await), ["retire"]);
    assert_eq!(trail(&api, "&until=2020-01-01T00:00:00Z").await, [] as [Value; 0]);
    let verified = ask(&api, "GET /v1/audit/verification", "sre", &Value::Null).await.json();
    assert_eq!((&verified["intact"], &verified["finding"]), (&json!(true), &Value::Null));
    api.end().await;
    let text: String = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(text.contains("\"what\":\"ended\"") && !text.contains("hunter2"), "{text}");
    for secret in ["cms", "sre"] {
        assert!(!text.contains(&crate::TokenEntry::hash_of(secret)), "a hash to be tried");
    }
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_counted_and_not_written_one_by_one() {
    let (api, _folder) = start().await;
    for _ in 0..60 {
        ask(&api, "POST /v1/invalidations", "wrong", &good()).await.problem(401, "unauthorized");
    }
    let mut lines = Vec::new();
    for _ in 0..200 {
        lines = trail(&api, "&what=auth_failure").await;
        let counted = |line: &Value| line["times"].as_u64().unwrap_or(1);
        if lines.iter().map(counted).sum::<u64>() == 60 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let counted: u64 = lines.iter().map(|line| line["times"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 60, "{lines:#?}");
    assert!(lines.len() < 20, "{lines:#?}");
    api.end().await;
}

#[tokio::test]
async fn while_the_trail_cannot_be_written_publishing_goes_on_and_nothing_is_ordered() {
    let (api, folder) = start().await;
    hear_of_agent(&api).await;
    ask(&api, "POST /v1/invalidations", "cms", &good()).await;
    trail(&api, "").await;
    fs::remove_dir_all(folder.path()).unwrap();
    let flush = json!({"region": "eu-west"});
    assert!(comes_to(&api, "POST /v1/flushes", &flush, 503).await, "flushed unseen");
    assert_eq!(ask(&api, "POST /v1/invalidations", "cms", &good()).await.status, 202);
    assert!(!api.metrics().contains("purgebus_audit_failures_total 0"), "{}", api.metrics());
    fs::create_dir_all(folder.path()).unwrap();
    assert!(comes_to(&api, "POST /v1/flushes", &flush, 202).await, "it works again");
    assert_eq!(whats(&trail(&api, "&what=flush").await).last(), Some(&"flush"));
    api.end().await;
}

#[tokio::test]
async fn what_was_begun_is_told_though_the_caller_left_before_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (trail, writer) = samples::trail(folder.path(), Clock::system()).await;
    for (begun, target) in [(false, "/v1/pauses"), (true, "/v1/flushes?note=1")] {
        let request = Request::post(target).body(Body::empty()).unwrap();
        let peer = Peer::at("192.0.2.7:4711".parse().unwrap());
        let mut recording = Recording::of(&trail, peer, &request);
        recording.admit(&Caller::ANYONE);
        if begun {
            recording.begin(request);
        }
    }
    let stop = Stop::new();
    stop.request();
    writer.run(stop).await.unwrap();
    let mut lines = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.extend(values.filter(|line| line.get("request").is_some()));
    }
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["request"], "POST /v1/flushes?note=1");
    assert_eq!(lines[0]["outcome"], "unknown: the caller left before the answer");
    assert_eq!((&lines[0]["from"], &lines[0]["status"]), (&json!("192.0.2.7:4711"), &Value::Null));
}
