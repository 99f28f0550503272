//! The list of recent invalidations: filters, pages, and what is told of wrong parameters.

use serde_json::{Value, json};

use super::api::Api;

impl Api {
    async fn published_as(&self, body: Value) -> String {
        let accepted = self.post(&body).await;
        assert_eq!(accepted.status, 202, "{accepted:?}");
        accepted.json()["id"].as_str().unwrap().to_owned()
    }

    /// The ids that a list shows.
    async fn listed(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/invalidations?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        ids(&answer.json())
    }
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_shows_what_fits_its_filters() {
    let api = Api::start().await;
    let page = "https://www.example.com/blog/a?b=1";
    let tag = api.published_as(json!({"site": "main", "tags": ["t"], "reason": "why"})).await;
    let url = api.published_as(json!({"urls": [page], "regions": ["eu-west"]})).await;
    let prefix = api.published_as(json!({"prefixes": ["https://www.example.com/blog"]})).await;
    let every =
        api.published_as(json!({"site": "main", "everything": true, "confirm": "main"})).await;
    let shop = api
        .published_as(
            json!({"site": "shop", "everything": true, "confirm": "shop", "priority": "critical"}),
        )
        .await;
    let encoded = "http://WWW.example.com/blog/a?b%3D1";
    for (query, expected) in [
        ("", vec![&shop, &every, &prefix, &url, &tag]),
        ("site=main&tag=t", vec![&every, &tag]),
        (&format!("url={encoded}"), vec![&every, &prefix, &url]),
        ("url=https://www.example.com/blog/a", vec![&every, &prefix]),
        ("site=main&region=us-east", vec![&every, &prefix, &tag]),
        ("site=shop&state=no_agents", vec![&shop]),
        ("state=applied", vec![]),
        ("since=15m&until=0s&site=shop", vec![&shop]),
        ("since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z", vec![]),
    ] {
        let listed = api.listed(query).await;
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let rows = api.get("/v1/invalidations?site=main").await.json();
    assert_eq!((&rows["items"][3]["reason"], &rows["next_cursor"]), (&json!("why"), &Value::Null));
    assert_eq!(rows["items"][3]["selectors"], json!({"tags": 1}));
    api.end().await;
}

#[tokio::test]
async fn pages_together_are_the_whole_list() {
    let api = Api::start().await;
    let mut published = Vec::new();
    for number in 0..23 {
        let priority = ["normal", "critical"][number % 2];
        let body = json!({"site": "main", "tags": [format!("t{number}")], "priority": priority});
        published.push(api.published_as(body).await);
    }
    let mut seen = Vec::new();
    let mut query = "limit=5".to_owned();
    loop {
        let page = api.get(&format!("/v1/invalidations?{query}")).await.json();
        seen.push(ids(&page));
        let Some(next) = page["next_cursor"].as_str() else { break };
        // What comes meanwhile is newer than any page to come.
        api.published_as(json!({"site": "main", "tags": ["meanwhile"]})).await;
        query = format!("limit=5&cursor={next}");
    }
    published.reverse();
    assert_eq!(seen.concat(), published);
    assert!(seen.iter().all(|page| page.len() <= 5) && seen.len() <= 6, "{seen:?}");
    api.end().await;
}

#[tokio::test]
async fn wrong_parameters_are_told_all_at_once() {
    let api = Api::start().await;
    let query =
        "since=soon&until=x&site=mars&tag=a,b&url=/a&region=mars&state=done&limit=0&cursor=AA";
    let told = api.get(&format!("/v1/invalidations?{query}")).await.problem(400, "malformed");
    let mut pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
    pointers.sort_unstable();
    let expected =
        ["?cursor", "?limit", "?region", "?since", "?site", "?state", "?tag", "?until", "?url"];
    assert_eq!(pointers, expected, "{told:?}");
    let detail = |name: &str| told.iter().find(|(pointer, _)| pointer == name).unwrap().1.clone();
    assert_eq!(detail("?region"), "there is no region mars; there are eu-west, us-east");
    assert_eq!(detail("?url"), "url is not absolute; write https://host/path");
    let until = api.get("/v1/invalidations?since=1m&until=2m").await.problem(400, "malformed");
    assert_eq!(until, [("?until".to_owned(), "is before since".to_owned())]);
    for query in ["window=2m", "region=mars", "window=1m&window=1m"] {
        let told = api.get(&format!("/v1/latency?{query}")).await.problem(400, "malformed");
        assert_eq!(told.len(), 1, "{query}");
    }
    api.end().await;
}
