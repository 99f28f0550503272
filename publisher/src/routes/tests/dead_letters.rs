//! Dead letters, over HTTP: told, found, ordered.

use jiff::Timestamp;
use schemas::{
    ChosenLetters, DeadLetter, DeadLetters, Exchange, LaneReport, LetterState, LineId, Mode,
    Ordered, Place, Report, Selector,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Answer, Api};
use crate::samples::{lane_report, report};

fn letter(id: u128, second: i64) -> DeadLetter {
    let time = Timestamp::from_second(second).unwrap();
    DeadLetter {
        id: Uuid::from_u128(id),
        site: "main".parse().unwrap(),
        selector: Selector::Tag(format!("t{id}").parse().unwrap()),
        mode: Mode::Hard,
        reason: format!("405 for {id}\u{7}"),
        first_seen: time,
        last_tried: time,
        tries: 1,
        state: LetterState::Refused,
        place: Place { line: LineId::from_bytes([1; 16]), number: 7 },
        invalidations: 2,
        exchange: (id == 2)
            .then(|| Exchange::new(b"HTTP/1.1 405 \x1b[2Jno", b"A: b\r\n\r\n\xff<p>\n\0")),
    }
}

/// Agent `edge-1` has three letters, of which it tells two.
fn with_letters(ids: &[u128], obeyed: &[Uuid], sequence: u64) -> Report {
    let newest: Vec<_> = ids.iter().map(|id| letter(*id, 100)).collect();
    let dead_letters = DeadLetters { count: newest.len() as u64 + 1, newest };
    let lane = LaneReport { dead_letters, obeyed: obeyed.to_vec(), ..lane_report(Vec::new()) };
    Report { sequence, ..report("edge-1", "eu-west", lane) }
}

impl Api {
    async fn decide(&self, decision: &str, key: &str, body: &Value) -> Answer {
        let headers = format!("content-type: application/json\r\nidempotency-key: {key}\r\n");
        let line = format!("POST /v1/dead-letters/{decision}");
        self.send(&line, &headers, body.to_string().as_bytes()).await
    }

    async fn hear_of_letters() -> Self {
        let api = Self::start().await;
        api.put(with_letters(&[1, 2], &[], 1)).await;
        api.shows("/v1/dead-letters", "405 for 1").await;
        api
    }

    async fn ids(&self, query: &str) -> (Vec<String>, Option<String>) {
        let page = self.get(&format!("/v1/dead-letters{query}")).await.json();
        let ids = page["items"].as_array().unwrap().iter();
        let ids = ids.map(|row| row["id"].as_str().unwrap()[35..].to_owned()).collect();
        (ids, page["next_cursor"].as_str().map(str::to_owned))
    }
}

#[tokio::test]
async fn letters_are_told_page_by_page_and_by_filter() {
    let api = Api::hear_of_letters().await;
    let page = api.get("/v1/dead-letters").await.json();
    assert_eq!(page["untold"], 1);
    let row = &page["items"][0];
    assert_eq!(
        (&row["selector"], &row["reason"], &row["tries"], &row["invalidations"], &row["number"]),
        (&json!("tag t2"), &json!("405 for 2\\u{7}"), &json!(1), &json!(2), &json!(7))
    );
    assert_eq!(
        (&row["agent"], &row["cache"], &row["state"]),
        (&json!("edge-1"), &json!("varnish"), &json!("refused"))
    );
    let mut one = api.get(&format!("/v1/dead-letters/{}", Uuid::from_u128(1))).await.json();
    assert_eq!(one, page["items"][1]);
    one = api.get(&format!("/v1/dead-letters/{}", row["id"].as_str().unwrap())).await.json();
    let answer = "A: b\n\n\u{fffd}<p>\n\\0";
    let exchange = json!({"status": "HTTP/1.1 405 \\u{1b}[2Jno", "answer": answer});
    assert_eq!(one["exchange"].take(), exchange, "what it holds obeys nobody");
    assert_eq!(row["exchange"], Value::Null, "a list has no room for it");
    one.as_object_mut().unwrap().remove("exchange");
    assert_eq!(one, *row);

    let (first, next) = api.ids("?limit=1").await;
    let (second, end) = api.ids(&format!("?limit=1&cursor={}", next.unwrap())).await;
    assert_eq!((first, second, end), (vec!["2".to_owned()], vec!["1".to_owned()], None));
    for (query, found) in [
        ("?text=405%20for%201", vec!["1"]),
        ("?text=t2", vec!["2"]),
        ("?cache=redis", vec![]),
        ("?agent=edge-2", vec![]),
        ("?region=eu-west&site=main&cache=varnish&agent=edge-1", vec!["2", "1"]),
    ] {
        assert_eq!(api.ids(query).await.0, found, "{query}");
    }
    for query in ["?limit=0", "?limit=201", "?cursor=AQ", "?cache=No%20Cache", "?region=nowhere"] {
        let told = api.get(&format!("/v1/dead-letters{query}")).await.problem(400, "malformed");
        assert_eq!(told.len(), 1, "{query}");
    }
    let unknown = format!("/v1/dead-letters/{}", Uuid::from_u128(9));
    api.get(&unknown).await.problem(404, "not_found");
    api.get("/v1/dead-letters/9").await.problem(404, "not_found");
    api.end().await;
}

#[tokio::test]
async fn a_decision_is_an_order_until_it_is_carried_out_and_the_same_key_the_same_order() {
    let api = Api::hear_of_letters().await;
    let one = json!({"ids": [Uuid::from_u128(1)], "reason": "gone"});
    let ordered = api.decide("drop", "k", &one).await;
    assert_eq!(ordered.status, 202, "{}", ordered.body);
    let ordered = ordered.json();
    assert_eq!(ordered["letters"], 1);
    assert_eq!(
        ordered["caches"],
        json!([{"agent": "edge-1", "cache": "varnish", "state": "live"}])
    );
    let order: Uuid = ordered["id"].as_str().unwrap().parse().unwrap();
    let standing = api.standing_orders().await;
    let letters = ChosenLetters { ids: vec![Uuid::from_u128(1)], ..ChosenLetters::default() };
    let (reason, by) = ("gone".to_owned(), "anyone".to_owned());
    assert_eq!(standing.orders[0].what, Ordered::Drop { letters, reason, by });

    api.put(with_letters(&[2], &[order], 2)).await;
    while api.ids("").await.0.len() > 1 {
        tokio::task::yield_now().await;
    }
    let again = api.decide("drop", "k", &one).await;
    assert_eq!((again.status, again.json()["id"].clone()), (202, ordered["id"].clone()));
    let retried = api.decide("retry", "k", &json!({"cache": "varnish"})).await.json();
    let letters =
        ChosenLetters { cache: Some("varnish".parse().unwrap()), ..ChosenLetters::default() };
    let standing = api.standing_orders().await.orders;
    let retry =
        standing.iter().find(|order| order.what == Ordered::Retry { letters: letters.clone() });
    assert_eq!(retry.unwrap().id.to_string(), retried["id"].as_str().unwrap());
    assert_eq!(standing.len(), 1, "the first is carried out: {standing:?}");
    api.end().await;
}

#[tokio::test]
async fn what_is_not_meant_well_is_named_and_nothing_ordered() {
    let api = Api::hear_of_letters().await;
    let one = Uuid::from_u128(1);
    for (decision, body, pointer, named) in [
        ("retry", json!({}), "", "all: true"),
        ("retry", json!({"all": true, "cache": "varnish"}), "/all", "nothing else"),
        ("retry", json!({"ids": [one], "reason": "x"}), "/reason", "drop"),
        ("drop", json!({"ids": [one]}), "/reason", "missing"),
        ("drop", json!({"ids": [one], "reason": ""}), "/reason", "missing"),
        ("drop", json!({"ids": [one], "reason": "a\u{1b}[31m"}), "/reason", "control characters"),
        ("retry", json!({"ids": [Uuid::from_u128(9)]}), "/ids", "no dead letter"),
        (
            "retry",
            json!({"ids": (10..1_012).map(Uuid::from_u128).collect::<Vec<_>>()}),
            "/ids",
            "1000",
        ),
        ("retry", json!({"region": "ap-south"}), "/region", "ap-south"),
        ("retry", json!({"cache": "No Cache"}), "/cache", "may hold"),
        ("retry", json!({"text": "x".repeat(600)}), "/text", "512"),
        ("retry", json!({"text": ""}), "/text", "leave it out"),
        ("retry", json!({"al": true}), "", "al"),
    ] {
        let told = api.decide(decision, "k", &body).await.problem(422, "invalid");
        assert_eq!((told.len(), told[0].0.as_str()), (1, pointer), "{body}: {told:?}");
        assert!(told[0].1.contains(named), "{body}: {}", told[0].1);
    }
    api.end().await;
}

#[tokio::test]
async fn one_letter_is_decided_on_by_its_path() {
    let api = Api::hear_of_letters().await;
    let one = Uuid::from_u128(1);
    let ordered = api.send(&format!("POST /v1/dead-letters/{one}/retry"), "", b"").await;
    assert_eq!((ordered.status, &ordered.json()["letters"]), (202, &json!(1)));
    let reason = json!({"reason": "gone"});
    let ordered = api.decide(&format!("{one}/drop"), "k", &reason).await;
    assert_eq!(ordered.status, 202, "{}", ordered.body);
    let letters = ChosenLetters { ids: vec![one], ..ChosenLetters::default() };
    let (reason_told, by) = ("gone".to_owned(), "anyone".to_owned());
    let standing: Vec<_> =
        api.standing_orders().await.orders.into_iter().map(|it| it.what).collect();
    assert!(standing.contains(&Ordered::Retry { letters: letters.clone() }), "{standing:?}");
    assert!(standing.contains(&Ordered::Drop { letters, reason: reason_told, by }), "{standing:?}");

    let unknown = Uuid::from_u128(9);
    api.decide(&format!("{unknown}/drop"), "l", &reason).await.problem(404, "not_found");
    api.send(&format!("POST /v1/dead-letters/{unknown}/retry"), "", b"")
        .await
        .problem(404, "not_found");
    api.decide("9/drop", "m", &reason).await.problem(404, "not_found");
    api.decide(&format!("{one}/drop"), "n", &json!({})).await.problem(422, "invalid");
    api.end().await;
}
