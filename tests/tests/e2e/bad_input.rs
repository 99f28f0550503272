//! Bad input over real HTTP: a 4xx that says where and what, and nothing is stored.

use reqwest::StatusCode;
use schemas::api::Problem;
use serde_json::{Value, json};

use crate::house::{House, tag};

/// What is sent, and the pointer of a mistake in it.
fn requests() -> Vec<(&'static str, Value, &'static str)> {
    let url = |rest: &str| json!({"urls": [format!("https://www.example.com{rest}")]});
    let tag = |tag: &str| json!({"site": "main", "tags": [tag]});
    let many = |count: usize| (0..count).map(|at| format!("n{at}")).collect::<Vec<_>>();
    vec![
        ("an over-long path", url(&format!("/{}", "a".repeat(2_048))), "/urls/0"),
        ("an over-long tag", tag(&"a".repeat(257)), "/tags/0"),
        ("an empty tag", tag(""), "/tags/0"),
        ("too many tags", json!({"site": "main", "tags": many(65)}), "/tags"),
        ("too many selectors", json!({"site": "main", "keys": many(1_001)}), ""),
        ("NUL", tag("a\0b"), "/tags/0"),
        ("CR LF", tag("a\r\nX-Purgebus-Hard: s:www.example.com"), "/tags/0"),
        ("CR LF in a path", url("/a\r\nb"), "/urls/0"),
        ("CR LF in a key", json!({"site": "main", "keys": ["a\r\nFLUSHALL"]}), "/keys/0"),
        ("a space", tag("a b"), "/tags/0"),
        ("a space in a path", url("/a b"), "/urls/0"),
        ("an encoded CR LF", url("/a%0d%0ab"), "/urls/0"),
        ("8-bit", url("/a\u{e9}"), "/urls/0"),
        ("8-bit in a tag", tag("caf\u{e9}"), "/tags/0"),
        ("overlong UTF-8", url("/%c0%af"), "/urls/0"),
        ("a dot segment", url("/a/../b"), "/urls/0"),
        ("an encoded dot segment", url("/a/%2e%2E/b"), "/urls/0"),
        ("an unknown host", json!({"urls": ["https://www.example.net/"]}), "/urls/0"),
        (
            "a host of nobody beside one of ours",
            json!({"urls": ["https://www.example.com/", "https://www.example.net/"]}),
            "/urls/1",
        ),
        ("an unknown site", json!({"site": "other", "tags": ["a"]}), "/site"),
        (
            "an unknown region",
            json!({"site": "main", "tags": ["a"], "regions": ["mars"]}),
            "/regions/0",
        ),
        ("an unknown field", json!({"site": "main", "tags": ["a"], "urgent": true}), "/urgent"),
        ("nothing", json!({}), ""),
        ("no selector", json!({"site": "main"}), ""),
        ("everything without consent", json!({"site": "main", "everything": true}), "/confirm"),
        (
            "everything with consent to another site",
            json!({"site": "main", "everything": true, "confirm": "other"}),
            "/confirm",
        ),
        ("a tag with a comma", tag("a,b"), "/tags/0"),
        ("a tag of a wrong type", json!({"site": "main", "tags": [7]}), "/tags/0"),
    ]
}

#[tokio::test]
async fn bad_input_is_refused_by_name_and_never_stored() {
    let mut house = House::start().await;
    house.api().publish_until("final", &tag("before")).await;
    let floors = floors(&house).await;
    let mut refused = 0;
    for (name, request, pointer) in requests() {
        let answer = house.api().request("").json(&request).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{name}");
        let problem: Problem = answer.json().await.unwrap();
        let named = problem.errors.iter().any(|mistake| mistake.pointer == pointer);
        assert!(named, "{name}: {problem:#?}");
        refused += 1;
    }
    for (status, content_type, body) in unreadable() {
        let request = house.api().request("").header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{content_type}");
        let problem: Problem = answer.json().await.unwrap();
        assert!(problem.detail.is_some());
        refused += 1;
    }

    assert_eq!(house.api().count("purgebus_published_total", &[]).await, 1);
    assert_eq!(house.api().count("purgebus_refused_total", &[]).await, refused);
    assert_eq!(self::floors(&house).await, floors);
    assert_eq!(house.api().regions().await.len(), 1);
    house.api().publish_until("final", &tag("after")).await;
    house.serve.terminate().await;
    let numbered = house.serve.remains().await.numbered;
    let numbers: Vec<_> = numbered.keys().map(|place| place.number).collect();
    assert_eq!(numbers, [1, 2], "no number was given away");
}

fn unreadable() -> Vec<(StatusCode, &'static str, Vec<u8>)> {
    let json = "application/json";
    let good = br#"{"site": "main", "tags": ["a"]}"#.to_vec();
    let long = format!("{{\"site\": \"main\", \"reason\": \"{}\"}}", "a".repeat(256 * 1024));
    vec![
        (StatusCode::BAD_REQUEST, json, b"{".to_vec()),
        (StatusCode::BAD_REQUEST, json, b"tags=a".to_vec()),
        (StatusCode::BAD_REQUEST, json, b"{\"site\": \"main\", \"tags\": [\"\xff\xfe\"]}".to_vec()),
        (StatusCode::BAD_REQUEST, json, Vec::new()),
        (StatusCode::PAYLOAD_TOO_LARGE, json, long.into_bytes()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain", good.clone()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/x-www-form-urlencoded", good),
    ]
}

/// How far every lane has come on every line.
async fn floors(house: &House) -> Vec<(String, u64)> {
    let mut floors = Vec::new();
    for cache in ["redis", "varnish"] {
        for lane in house.api().lanes(cache).await {
            floors.extend(lane.floors.into_iter().map(|floor| (floor.line, floor.finished)));
        }
    }
    floors
}
