//! What a token may do over HTTP, and what is told where it may not.

use serde_json::{Value, json};

use super::api::{Answer, Api};
use crate::TokenEntry;

/// One entry; its secret is its name.
pub(super) fn token(name: &str, more: &str) -> String {
    let hash = TokenEntry::hash_of(name);
    format!("[[token]]\nname = \"{name}\"\nhash = \"{hash}\"\n{more}\n")
}

async fn start(entries: &[(&str, &str)]) -> Api {
    let text: String = entries.iter().map(|(name, more)| token(name, more)).collect();
    Api::start_with(Some(&text)).await
}

async fn publish(api: &Api, bearer: &str, body: &Value) -> Answer {
    publish_to(api, "", bearer, body).await
}

async fn publish_to(api: &Api, query: &str, bearer: &str, body: &Value) -> Answer {
    let header = format!("Authorization: Bearer {bearer}\r\n");
    api.send_json(query, &header, body.to_string().as_bytes()).await
}

async fn send(api: &Api, line: &str, bearer: &str) -> Answer {
    let headers = format!("Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\n");
    api.send(line, &headers, b"{}").await
}

#[tokio::test]
async fn a_token_purges_what_it_is_for_and_is_told_all_that_it_lacks() {
    let api = start(&[
        ("narrow", "sites = ['main']\nallow = ['tag', 'read']\nregions = ['eu-west']\npriorities = ['normal']"),
        ("wide", ""),
        ("confirmed", "everything = 'confirmed'"),
        ("unattended", "everything = 'unattended'"),
    ])
    .await;
    let here = json!({"tags": ["a"], "regions": ["eu-west"]});
    let everything = json!({"site": "shop", "everything": true});
    let mut confirmed = everything.clone();
    confirmed["confirm"] = json!("shop");
    for (bearer, body) in [
        ("narrow", &here),
        ("wide", &json!({"site": "shop", "tags": ["a"], "keys": ["b"], "priority": "critical"})),
        (
            "wide",
            &json!({"urls": ["https://www.example.com/a"], "prefixes": ["https://www.example.com/b"]}),
        ),
        ("confirmed", &confirmed),
        ("unattended", &everything),
    ] {
        let answer = publish(&api, bearer, body).await;
        assert_eq!(answer.status, 202, "{bearer}: {answer:?}");
    }
    assert_eq!(api.published().await.len(), 5);
    let far = json!({
        "site": "shop", "keys": ["k"], "tags": ["a"], "priority": "critical",
        "urls": [{"url": "https://shop.example.com/a", "query": "any"}],
    });
    for (bearer, body, lacks) in [
        ("narrow", &json!({"tags": ["a"]}), &["/regions"][..]),
        ("narrow", &json!({"tags": ["a"], "regions": ["us-east"]}), &["/regions"]),
        ("narrow", &far, &["/site", "/urls", "/keys", "/priority", "/regions"]),
        ("wide", &confirmed, &["/everything"]),
    ] {
        for query in ["", "?dry_run=true"] {
            let told = publish_to(&api, query, bearer, body).await.problem(403, "forbidden");
            let pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
            assert_eq!(pointers, lacks, "{bearer}{query}: {told:?}");
        }
    }
    publish(&api, "confirmed", &everything).await.problem(422, "invalid");
    assert_eq!(api.published().await.len(), 5, "nothing that was refused");
    assert!(api.metrics().contains("reason=\"forbidden\"} 8"), "{}", api.metrics());
    api.end().await;
}

#[tokio::test]
async fn what_is_no_purge_needs_a_word_of_its_own() {
    let one = "00000000-0000-4000-8000-000000000001";
    let acts = [
        ("GET /v1/regions".to_owned(), "read"),
        ("GET /v1/invalidations".to_owned(), "read"),
        (format!("GET /v1/invalidations/{one}"), "read"),
        ("GET /v1/events".to_owned(), "read"),
        ("GET /v1/dead-letters".to_owned(), "read"),
        ("POST /v1/flushes".to_owned(), "flush"),
        ("POST /v1/dead-letters/retry".to_owned(), "dead_letters"),
        ("POST /v1/dead-letters/drop".to_owned(), "dead_letters"),
        (format!("POST /v1/dead-letters/{one}/retry"), "dead_letters"),
        (format!("POST /v1/dead-letters/{one}/drop"), "dead_letters"),
        ("POST /v1/pauses".to_owned(), "pause"),
        (format!("DELETE /v1/pauses/{one}"), "pause"),
        (format!("POST /v1/invalidations/{one}/cancel"), "pause"),
        ("GET /v1/pauses".to_owned(), "read"),
        ("DELETE /v1/agents/edge-1".to_owned(), "retire"),
        ("DELETE /v1/publishers/p2".to_owned(), "retire"),
        ("GET /v1/audit".to_owned(), "audit"),
        ("GET /v1/audit/verification".to_owned(), "audit"),
        (format!("GET /v1/audit/certificates/{one}"), "audit"),
    ];
    let all = ["tag", "read", "flush", "dead_letters", "pause", "retire", "audit"];
    let except = all.map(|word| {
        let others: Vec<&str> = all.into_iter().filter(|other| *other != word).collect();
        format!("allow = {others:?}")
    });
    let entries: Vec<(&str, &str)> =
        all.into_iter().zip(except.iter().map(String::as_str)).collect();
    let api = start(&entries).await;
    for (line, word) in &acts {
        // The token that is named after a word lacks it, and nothing else.
        let refused = send(&api, line, word).await;
        assert_eq!(refused.problem(403, "forbidden"), [], "{line}");
        assert!(refused.body.contains(&format!("lacks \\\"{word}\\\"")), "{line}: {refused:?}");
        if !line.ends_with("/events") {
            let allowed = send(&api, line, "tag").await;
            assert_ne!(allowed.status, 403, "{line}: {allowed:?}");
        }
    }
    api.end().await;
}

#[tokio::test]
async fn a_token_of_one_site_reads_nothing_of_another() {
    let api =
        start(&[("main", "sites = ['main']"), ("both", "sites = ['main', 'shop']"), ("all", "")])
            .await;
    let tag = |site: &str| json!({"site": site, "tags": ["a"]});
    let mut ids = Vec::new();
    for site in ["main", "shop"] {
        let accepted = publish(&api, "all", &tag(site)).await.json();
        ids.push(accepted["id"].as_str().expect("an id").to_owned());
    }
    let sites_listed = async |line: &str, bearer: &str| {
        let page = send(&api, line, bearer).await.json();
        let items = page["items"].as_array().expect("a page").iter();
        items.map(|item| item["site"].as_str().expect("a site").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sites_listed("GET /v1/invalidations", "all").await, ["shop", "main"]);
    assert_eq!(sites_listed("GET /v1/invalidations", "main").await, ["main"]);
    assert_eq!(sites_listed("GET /v1/invalidations?site=shop", "both").await, ["shop"]);
    for (line, bearer) in [
        ("GET /v1/invalidations?site=shop", "main"),
        ("GET /v1/invalidations", "both"),
        ("GET /v1/events?site=shop", "main"),
        ("GET /v1/dead-letters?site=shop", "main"),
    ] {
        let told = send(&api, line, bearer).await.problem(400, "malformed");
        assert_eq!(told[0].0, "?site", "{line}: {told:?}");
        assert!(told[0].1.contains("main"), "{line}: {told:?}");
    }
    for (bearer, statuses) in [("all", [200, 200]), ("main", [200, 404])] {
        for (id, status) in ids.iter().zip(statuses) {
            let line = format!("GET /v1/invalidations/{id}");
            assert_eq!(send(&api, &line, bearer).await.status, status, "{bearer}: {line}");
        }
    }
    api.end().await;
}

#[tokio::test]
async fn a_token_that_has_ended_or_stands_in_the_address_is_refused() {
    let api = start(&[
        ("old", "expires = '2020-01-01T00:00:00Z'"),
        ("lost", "revoked = '2020-01-01T00:00:00Z'"),
        ("good", "expires = '2999-01-01T00:00:00Z'"),
    ])
    .await;
    let body = json!({"site": "main", "tags": ["a"]});
    for (bearer, told) in [("old", "expired"), ("lost", "revoked")] {
        let refused = publish(&api, bearer, &body).await;
        assert_eq!(refused.problem(401, "unauthorized"), []);
        assert!(refused.body.contains(told), "{refused:?}");
    }
    for query in ["?token=good", "?wait=applied&Access_Token=good"] {
        let refused = publish_to(&api, query, "good", &body).await;
        assert_eq!(refused.problem(401, "unauthorized"), []);
        assert!(refused.body.contains("revoke it"), "{refused:?}");
        assert!(!refused.body.contains("good"), "the secret is not told again: {refused:?}");
    }
    assert_eq!(publish(&api, "good", &body).await.status, 202);
    assert_eq!(api.published().await.len(), 1);
    api.end().await;
}

#[tokio::test]
async fn who_has_spent_a_budget_is_told_when_there_is_some_again() {
    let api =
        start(&[("thrifty", "budget = '1/s'\neverything = 'unattended'"), ("other", "")]).await;
    let everything = json!({"site": "main", "everything": true});
    assert_eq!(publish(&api, "thrifty", &everything).await.status, 202, "it may be overdrawn once");
    let refused = publish(&api, "thrifty", &json!({"site": "main", "tags": ["a"]})).await;
    assert_eq!(refused.problem(429, "overdrawn"), []);
    let wait: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((900..=990).contains(&wait), "{wait}");
    assert!(refused.body.contains("token thrifty"), "{refused:?}");
    let dry = publish_to(&api, "?dry_run=true", "thrifty", &everything).await;
    assert_eq!(dry.status, 200, "to ask costs nothing");
    assert_eq!(publish(&api, "other", &json!({"site": "main", "tags": ["a"]})).await.status, 202);
    api.end().await;
}
