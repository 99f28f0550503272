//! Pauses and cancels, over HTTP.

use jiff::{SignedDuration, Timestamp};
use schemas::{BoardMessage, LanePause, LaneReport, Order, Ordered, Orders, Paused, Report};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Answer, Api};
use crate::TokenEntry;
use crate::samples::{lane_report, report};

/// One entry; its secret is its name.
fn token(name: &str, more: &str) -> String {
    let hash = TokenEntry::hash_of(name);
    format!("[[token]]\nname = \"{name}\"\nhash = \"{hash}\"\n{more}\n")
}

const OPS: &str = "allow = ['pause', 'read']";

async fn start() -> Api {
    let entries = [
        token("ops", OPS),
        token("cms", "allow = ['read', 'replay', 'tag']"),
        token("shop", "sites = ['shop']\nallow = ['pause', 'read', 'tag']"),
    ];
    let api = Api::start_with(Some(&entries.concat())).await;
    api.put(obeying(&[], 1)).await;
    api.until("ops", "/v1/agents", "edge-1").await;
    api
}

/// Agent `edge-1` obeys these pauses.
fn obeying(pauses: &[Uuid], sequence: u64) -> Report {
    let until = in_minutes(5);
    let obeys = pauses.iter().map(|id| LanePause { id: *id, site: None, until }).collect();
    let lane = LaneReport { paused: obeys, ..lane_report(Vec::new()) };
    Report { sequence, ..report("edge-1", "eu-west", lane) }
}

fn in_minutes(minutes: i64) -> Timestamp {
    daemon::Clock::system().now() + SignedDuration::from_mins(minutes)
}

impl Api {
    async fn ask(&self, bearer: &str, line: &str, body: &Value) -> Answer {
        let headers =
            format!("Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\n");
        self.send(line, &headers, body.to_string().as_bytes()).await
    }

    async fn pause(&self, bearer: &str, body: &Value) -> Answer {
        self.ask(bearer, "POST /v1/pauses", body).await
    }

    async fn resume(&self, bearer: &str, id: &str) -> Answer {
        self.ask(bearer, &format!("DELETE /v1/pauses/{id}"), &Value::Null).await
    }

    async fn until(&self, bearer: &str, path: &str, text: &str) {
        for _ in 0..3_000 {
            if self.ask(bearer, &format!("GET {path}"), &Value::Null).await.body.contains(text) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path} never shows {text}");
    }

    async fn pauses(&self, bearer: &str) -> Vec<Value> {
        let page = self.ask(bearer, "GET /v1/pauses", &Value::Null).await.json();
        page["items"].as_array().expect("a page").clone()
    }
}

fn id_of(pause: &Value) -> String {
    pause["id"].as_str().expect("an id").to_owned()
}

fn tag(site: &str) -> Value {
    json!({"site": site, "tags": ["a"]})
}

const PUBLISH: &str = "POST /v1/invalidations";

#[tokio::test]
async fn who_bears_a_paused_token_is_told_by_whom_and_until_when_and_nobody_else_is() {
    let api = start().await;
    let asked = json!({"token": "cms", "until": "10m", "reason": "a runaway import"});
    let paused = api.pause("ops", &asked).await;
    assert_eq!(paused.status, 202, "{paused:?}");
    let id = id_of(&paused.json());
    let refused = api.ask("cms", PUBLISH, &tag("main")).await;
    assert_eq!(refused.problem(429, "paused"), []);
    let wait: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((590..=600).contains(&wait), "{wait}");
    for said in ["by ops", &id, "a runaway import"] {
        assert!(refused.body.contains(said), "{refused:?}");
    }
    assert_eq!(api.ask("cms", &format!("{PUBLISH}?dry_run=true"), &tag("main")).await.status, 200);
    let replay = json!({"since": "1h"});
    let resume = format!("POST /v1/replays/{}/resume", Uuid::nil());
    for line in ["POST /v1/replays", &resume] {
        assert_eq!(api.ask("cms", line, &replay).await.problem(429, "paused"), []);
    }
    assert_eq!(api.ask("shop", PUBLISH, &tag("shop")).await.status, 202);
    assert_eq!((api.pauses("ops").await.len(), api.pauses("cms").await.len()), (1, 1));
    assert_eq!(api.pauses("shop").await, [json!(null); 0], "whose token is none of its business");
    assert_eq!(api.resume("ops", &id).await.status, 200);
    assert_eq!(api.resume("ops", &id).await.problem(404, "not_found"), []);
    assert_eq!(api.ask("cms", PUBLISH, &tag("main")).await.status, 202);
    assert!(api.metrics().contains("reason=\"paused\"} 3"), "{}", api.metrics());
    api.end().await;
}

#[tokio::test]
async fn a_pause_of_another_publisher_holds_here_and_may_be_ended_here() {
    let api = start().await;
    let (at, id) = (in_minutes(0), Uuid::from_u128(77));
    let what = Paused::Token("cms".to_owned());
    let what = Ordered::Pause { what, reason: None, by: "ops".to_owned() };
    let order = Order { id, at, expires_at: in_minutes(5), what };
    let by_another = || Orders { by: "p2".parse().expect("a name"), orders: vec![order.clone()] };
    api.put_on_board(BoardMessage::Orders(by_another())).await;
    api.until("ops", "/v1/pauses", "\"publisher\":\"p2\"").await;
    assert_eq!(api.ask("cms", PUBLISH, &tag("main")).await.status, 429);
    assert_eq!(api.resume("ops", &id.to_string()).await.status, 200);
    assert_eq!(api.ask("cms", PUBLISH, &tag("main")).await.status, 202);
    assert!(api.pauses("ops").await.is_empty());
    let heard = api.orders_of("p1").await;
    let resumes =
        |order: &&Order| matches!(order.what, Ordered::Resume { pause, .. } if pause == id);
    let resume = heard.orders.iter().find(resumes).expect("agents are told");
    let outlived = resume.expires_at.duration_since(order.expires_at);
    assert!(outlived >= SignedDuration::from_hours(1), "by no clock it ends first: {outlived:?}");
    api.end().await;
}

#[tokio::test]
async fn a_paused_cache_is_told_with_whether_it_obeys() {
    let api = start().await;
    let paused = api.pause("ops", &json!({"cache": "varnish", "region": "eu-west"})).await.json();
    let row = |obeys: bool| json!([{"region": "eu-west", "agent": "edge-1", "cache": "varnish", "state": "live", "obeys": obeys}]);
    assert_eq!(paused["caches"], row(false), "{paused}");
    let id = id_of(&paused);
    api.put(obeying(&[id.parse().expect("an id")], 2)).await;
    api.until("ops", "/v1/caches", "\"paused\":[").await;
    let known = api.pauses("ops").await.remove(0);
    assert_eq!((&known["caches"], &known["by"]), (&row(true), &json!("ops")));
    assert_eq!(known["publisher"], "p1");
    let owed = api.ask("cms", PUBLISH, &tag("main")).await.json();
    let status = format!("/v1/invalidations/{}", owed["id"].as_str().expect("an id"));
    let progress = api.ask("ops", &format!("GET {status}"), &Value::Null).await.json();
    let reason = progress["missing"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("paused until 20"), "{progress}");
    api.end().await;
}

#[tokio::test]
async fn what_cannot_be_paused_is_named_and_a_token_of_a_site_pauses_that_alone() {
    let api = start().await;
    for (body, pointer, named) in [
        (json!({}), "", "give one of"),
        (json!({"site": "main", "agent": "edge-1"}), "", "give one of"),
        (json!({"site": "blog"}), "/site", "no site blog"),
        (json!({"agent": "edge-9"}), "/agent", "edge-9"),
        (json!({"cache": "redis"}), "/cache", "redis"),
        (json!({"cache": "varnish", "region": "us-east"}), "/cache", "us-east"),
        (json!({"site": "main", "region": "us-east"}), "/region", "cache only"),
        (json!({"token": "nobody"}), "/token", "nobody"),
        (json!({"site": "main", "until": "2h"}), "/until", "an hour at most"),
        (json!({"site": "main", "reason": "a\u{0007}"}), "/reason", "control"),
        (json!({"sites": "main"}), "", "sites"),
    ] {
        let mistakes = api.pause("ops", &body).await.problem(422, "invalid");
        assert_eq!(mistakes.len(), 1, "{body}: {mistakes:?}");
        assert_eq!(mistakes[0].0, pointer, "{body}");
        assert!(mistakes[0].1.contains(named), "{body}: {}", mistakes[0].1);
    }
    for body in [json!({"site": "main"}), json!({"agent": "edge-1"}), json!({"token": "nobody"})] {
        assert_eq!(api.pause("shop", &body).await.problem(403, "forbidden"), [], "{body}");
    }
    let of_main = id_of(&api.pause("ops", &json!({"site": "main"})).await.json());
    let of_shop = id_of(&api.pause("shop", &json!({"site": "shop"})).await.json());
    assert_eq!(api.pauses("shop").await.len(), 1, "of its own site");
    assert_eq!(api.resume("shop", &of_main).await.status, 403);
    assert_eq!(api.resume("shop", &of_shop).await.status, 200);
    assert_eq!(api.resume("ops", &of_main).await.status, 200);
    api.end().await;
}

#[tokio::test]
async fn an_invalidation_is_cancelled_by_its_place_once_and_only_by_those_who_may() {
    let api = start().await;
    let published = api.ask("cms", PUBLISH, &tag("main")).await.json();
    let id = published["id"].as_str().expect("an id");
    let cancel = |id: &str| format!("POST /v1/invalidations/{id}/cancel");
    for unknown in ["no-id", "00000000-0000-4000-8000-000000000001"] {
        assert_eq!(
            api.ask("ops", &cancel(unknown), &json!({})).await.problem(404, "not_found"),
            []
        );
    }
    assert_eq!(api.ask("shop", &cancel(id), &json!({})).await.status, 404, "of another's site");
    let first = api.ask("ops", &cancel(id), &json!({})).await;
    assert_eq!(first.status, 202, "{first:?}");
    let first = first.json();
    assert_eq!((&first["ordered"], &first["progress"]["id"]), (&json!(true), &json!(id)));
    assert_eq!(
        api.ask("ops", &cancel(id), &json!({})).await.json()["expires_at"],
        first["expires_at"]
    );
    let orders = api.orders_of("p1").await.orders;
    let [Order { what: Ordered::Cancel { invalidation, place, by, .. }, .. }] = &orders[..] else {
        panic!("{orders:?}")
    };
    assert_eq!((invalidation.to_string().as_str(), place.number, by.as_str()), (id, 1, "ops"));
    let line =
        schemas::LineReport { applied: 1, finished: 1, ..schemas::LineReport::new(place.line) };
    let told = report("edge-1", "eu-west", lane_report(vec![line]));
    api.put(Report { sequence: 9, ..told }).await;
    api.until("ops", &format!("/v1/invalidations/{id}"), "purged").await;
    let late = api.ask("ops", &cancel(id), &json!({})).await;
    assert_eq!((late.status, &late.json()["ordered"]), (200, &json!(false)), "{late:?}");
    api.end().await;
}
