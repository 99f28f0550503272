//! What is accepted, and what becomes of it.

use schemas::api::{Accepted, DryRun, Durable, Progress, ProgressState};
use schemas::{Audience, Mode, Priority};
use serde_json::{Value, json};

use super::api::{Api, TOKENS, good};

fn accepted(answer: &super::api::Answer) -> Accepted {
    assert_eq!(answer.status, 202, "{answer:?}");
    serde_json::from_value(answer.json()).unwrap()
}

#[tokio::test]
async fn a_full_request_travels_as_it_was_meant() {
    let api = Api::start().await;
    let answer = api
        .post(&json!({
            "urls": ["HTTPS://WWW.example.com:443/%7eb", "https://www.example.com/~b",
                {"url": "https://www.example.com/search", "query": "any"}],
            "prefixes": ["https://www.example.com/blog/"], "tags": ["t", "t"], "keys": ["user:42"],
            "everything": true, "confirm": "main", "mode": "soft", "priority": "critical",
            "regions": ["us-east"], "expires_in": "24h", "reason": "why", "labels": {"cms": "wagtail"},
            "after": null,
        }))
        .await;
    let answer = accepted(&answer);
    assert_eq!(answer.durable, Durable::Broker);
    assert_eq!((answer.site.as_str(), answer.selectors), ("main", 6));
    assert_eq!(answer.regions, ["us-east".parse().unwrap()]);
    assert_eq!(answer.status_url, format!("/v1/invalidations/{}", answer.id));
    assert_eq!(answer.id.get_version_num(), 7);

    let published = api.published().await;
    let [invalidation] = &published[..] else { panic!("{published:?}") };
    let selectors: Vec<_> = invalidation.selectors.iter().map(ToString::to_string).collect();
    assert_eq!(
        selectors,
        [
            "url https://www.example.com/~b",
            "url https://www.example.com/search (any query)",
            "prefix www.example.com/blog/",
            "tag t",
            "key user:42",
            "everything",
        ]
    );
    assert_eq!((invalidation.mode, invalidation.priority), (Mode::Soft, Priority::Critical));
    assert_eq!(invalidation.audience, Audience::Regions(["us-east".parse().unwrap()].into()));
    assert_eq!(invalidation.expires_in, Some(std::time::Duration::from_hours(24)));
    assert_eq!((invalidation.id, invalidation.accepted_at), (answer.id, answer.published_at));
    assert_eq!(invalidation.reason.as_deref(), Some("why"));
    assert_eq!(invalidation.labels["cms"], "wagtail");
    let counted = "purgebus_published_total{site=\"main\",priority=\"critical\"} 1";
    assert!(api.metrics().contains(counted));
    api.end().await;
}

#[tokio::test]
async fn progress_is_found_by_its_id_and_tables_are_pages() {
    let api = Api::start().await;
    let answer = accepted(&api.post(&good()).await);
    assert_eq!(answer.regions.len(), 2, "all regions of the site");
    let progress = api.get(&answer.status_url).await;
    assert_eq!(progress.status, 200);
    let progress: Progress = serde_json::from_value(progress.json()).unwrap();
    assert_eq!((progress.facts.id, progress.facts.site.as_str()), (answer.id, "main"));
    assert_eq!(progress.facts.selectors["tags"], 1);
    for table in ["/v1/regions", "/v1/caches"] {
        let page = api.get(table).await;
        assert_eq!((page.status, page.json()["next_cursor"].clone()), (200, Value::Null));
        assert!(page.json()["items"].is_array());
    }
    api.end().await;
}

#[tokio::test]
async fn a_wait_that_reaches_nothing_answers_with_the_progress_so_far() {
    let api = Api::start().await;
    let answer = api.post_to("?wait=applied&timeout=50ms", &good()).await;
    assert_eq!(answer.status, 202);
    let progress: Progress = serde_json::from_value(answer.json()).unwrap();
    assert!(matches!(progress.state, ProgressState::Published | ProgressState::NoAgents));
    assert_eq!(api.get(&format!("/v1/invalidations/{}", progress.facts.id)).await.status, 200);
    api.end().await;
}

#[tokio::test]
async fn a_waiting_request_is_answered_when_the_publisher_stops() {
    let api = Api::start().await;
    let started = tokio::time::Instant::now();
    let body = good();
    let waiting = api.post_to("?wait=final&timeout=120s", &body);
    let stop = async {
        while api.published().await.is_empty() {
            tokio::task::yield_now().await;
        }
        api.stop();
    };
    let (answer, ()) = tokio::join!(waiting, stop);
    assert_eq!(answer.status, 202);
    assert!(started.elapsed().as_secs() < 60);
    api.end().await;
}

#[tokio::test]
async fn a_dry_run_shows_the_canonical_form_and_publishes_nothing() {
    let api = Api::start().await;
    let body = json!({"urls": ["HTTPS://www.example.com/%7eb"]});
    let answer = api.post_to("?dry_run=true", &body).await;
    assert_eq!(answer.status, 200);
    let dry_run: DryRun = serde_json::from_value(answer.json()).unwrap();
    assert_eq!(dry_run.site.as_str(), "main");
    assert_eq!(dry_run.selectors, ["url https://www.example.com/~b"]);
    assert_eq!(dry_run.regions.len(), 2);
    assert_eq!(api.published().await, []);
    api.end().await;
}

#[tokio::test]
async fn one_idempotency_key_is_one_invalidation() {
    let api = Api::start_with(Some(TOKENS)).await;
    let key = "Authorization: Bearer test\r\nIdempotency-Key: k1\r\n";
    let first = br#"{"site": "main", "tags": ["a"]}"#;
    let spelled_otherwise = br#"{ "tags": ["a"],"site":"main" }"#;
    let (one, two) =
        tokio::join!(api.send_json("", key, first), api.send_json("", key, spelled_otherwise));
    assert_eq!(accepted(&one), accepted(&two));
    let other = api.send_json("", key, br#"{"site": "main", "tags": ["b"]}"#).await;
    assert_eq!(other.problem(422, "idempotency_conflict"), []);
    assert_eq!(api.published().await.len(), 1);
    let long = format!("Authorization: Bearer test\r\nIdempotency-Key: {}\r\n", "k".repeat(256));
    api.send_json("", &long, first).await.problem(400, "malformed");
    api.end().await;
}
