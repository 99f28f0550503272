//! What humans order, over HTTP.

use broker_adapter::{Broker, Start, Topic};
use schemas::{
    BoardMessage, CacheName, LaneReport, Ordered, Orders, PUBLISHERS_BOARD, Report, wire,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Answer, Api};
use crate::samples::{lane_report, report};

impl Api {
    async fn flush(&self, body: &Value) -> Answer {
        let body = body.to_string();
        self.send("POST /v1/flushes", "content-type: application/json\r\n", body.as_bytes()).await
    }

    /// The orders that stand on the board.
    pub(super) async fn standing_orders(&self) -> Orders {
        self.orders_of("p1").await
    }

    /// Those of a publisher.
    pub(super) async fn orders_of(&self, publisher: &str) -> Orders {
        let board = Topic::board(PUBLISHERS_BOARD);
        let mut reader = self.log().subscribe(board, Start::Oldest).await.unwrap();
        loop {
            for delivery in reader.read(10).await.unwrap() {
                if let BoardMessage::Orders(orders) = wire::decode_board(&delivery.body).unwrap()
                    && orders.by.as_str() == publisher
                {
                    return orders;
                }
            }
        }
    }
}

fn obeys(orders: &[Uuid], sequence: u64) -> Report {
    let lane = LaneReport { obeyed: orders.to_vec(), ..lane_report(Vec::new()) };
    Report { sequence, ..report("edge-1", "eu-west", lane) }
}

#[tokio::test]
async fn a_flush_is_ordered_on_the_board_until_all_have_carried_it_out() {
    let api = Api::start().await;
    api.put(obeys(&[], 1)).await;
    api.shows("/v1/agents", "edge-1").await;
    let answer = api.flush(&json!({"region": "eu-west", "mode": "soft"})).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let ordered = answer.json();
    assert_eq!(
        ordered["caches"],
        json!([{"agent": "edge-1", "cache": "varnish", "state": "live"}])
    );
    let first: Uuid = ordered["id"].as_str().unwrap().parse().unwrap();
    let standing = api.standing_orders().await;
    assert_eq!(standing.orders.iter().map(|order| order.id).collect::<Vec<_>>(), [first]);
    api.flush(&json!({"region": "eu-west", "cache": "varnish"})).await;
    assert_eq!(api.standing_orders().await.orders.len(), 2, "the first is not carried out yet");
    api.put(obeys(&[first], 2)).await;
    api.shows("/v1/agents", "edge-1").await;
    for _ in 0..1_000 {
        api.flush(&json!({"region": "eu-west", "cache": "varnish"})).await;
        if api.standing_orders().await.orders.iter().all(|order| order.id != first) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let standing = api.standing_orders().await;
    assert!(standing.orders.iter().all(|order| order.id != first), "it is over");
    assert!(!standing.orders.is_empty());
    let Ordered::Flush { region, cache, .. } = &standing.orders[0].what else {
        panic!("{standing:?}")
    };
    assert_eq!(
        (region.as_str(), cache.as_ref().map(CacheName::as_str)),
        ("eu-west", Some("varnish"))
    );
    api.end().await;
}

#[tokio::test]
async fn a_region_or_cache_that_does_not_exist_is_named_and_nothing_ordered() {
    let api = Api::start().await;
    api.put(obeys(&[], 1)).await;
    api.shows("/v1/agents", "edge-1").await;
    for (body, pointer, named) in [
        (json!({"region": "ap-south"}), "/region", "ap-south"),
        (json!({"region": "No Region"}), "/region", "may hold"),
        (json!({"region": "eu-west", "cache": "redis"}), "/cache", "there are varnish"),
        (json!({"region": "eu-west", "cash": "varnish"}), "", "cash"),
        (json!({"cache": "varnish"}), "", "region"),
    ] {
        let mistakes = api.flush(&body).await.problem(422, "invalid");
        assert_eq!(mistakes.len(), 1, "{body}");
        assert_eq!(mistakes[0].0, pointer, "{body}");
        assert!(mistakes[0].1.contains(named), "{body}: {}", mistakes[0].1);
    }
    let twice = "content-type: application/json\r\nidempotency-key: k\r\n";
    let body = br#"{"region":"eu-west"}"#;
    let first = api.send("POST /v1/flushes", twice, body).await.json();
    let again = api.send("POST /v1/flushes", twice, body).await.json();
    assert_eq!(first, again, "the same key is the same order");
    assert_eq!(api.standing_orders().await.orders.len(), 1);
    api.end().await;
}
