//! Listening over HTTP: from now on, from where one was, filtered, as many as may, and until the publisher stops.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::api::{Api, good};

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener on a connection of its own.
struct Listening {
    stream: TcpStream,
    heard: String,
}

/// One event as it came.
#[derive(Debug)]
struct Heard {
    id: Option<String>,
    word: String,
    data: Value,
}

impl Listening {
    async fn to(api: &Api, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let head = format!("GET /v1/events{query} HTTP/1.1\r\nHost: bus\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut listening = Self { stream, heard: String::new() };
        while !listening.heard.contains("\r\n\r\n") {
            assert!(listening.read().await, "{}", listening.heard);
        }
        listening
    }

    /// Whether there was more.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await;
        let read = read.expect("more, or the end, in time").unwrap();
        self.heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        read > 0
    }

    /// The next event of one of these kinds.
    async fn next(&mut self, words: &[&str]) -> Heard {
        loop {
            while let Some((before, rest)) = self.heard.split_once("\n\n") {
                let heard = heard(before);
                self.heard = rest.to_owned();
                if let Some(heard) = heard.filter(|heard| words.contains(&heard.word.as_str())) {
                    return heard;
                }
            }
            assert!(self.read().await, "it ended before {words:?}");
        }
    }
}

fn heard(text: &str) -> Option<Heard> {
    let field = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.map(|value| value.trim_start().to_owned())
    };
    let data = field("data:")?;
    Some(Heard {
        id: field("id:"),
        word: field("event:")?,
        data: serde_json::from_str(&data).unwrap(),
    })
}

async fn publish(api: &Api, site: &str) -> Value {
    api.post(&json!({"site": site, "tags": ["t"]})).await.json()["id"].clone()
}

#[tokio::test]
async fn whoever_listens_hears_what_comes_and_goes_on_where_it_was() {
    let api = Api::start().await;
    publish(&api, "main").await;
    let mut first = Listening::to(&api, "", "").await;
    assert!(first.heard.contains("text/event-stream"), "{}", first.heard);
    let ids = [publish(&api, "main").await, publish(&api, "shop").await];
    let heard = first.next(&["published"]).await;
    assert_eq!((&heard.data["id"], &heard.data["event"]), (&ids[0], &json!("published")));
    assert_eq!(heard.data["regions"], json!(["eu-west", "us-east"]));
    assert_eq!(first.next(&["published"]).await.data["id"], ids[1]);
    let last = format!("Last-Event-ID: {}\r\n", heard.id.unwrap());
    let mut again = Listening::to(&api, "", &last).await;
    assert_eq!(again.next(&["published", "lagged"]).await.data["id"], ids[1]);
    // Of another life of this publisher: all that this one remembers is new.
    for strange in ["0123456789abcdef-1", "what?"] {
        let mut other = Listening::to(&api, "", &format!("Last-Event-ID: {strange}\r\n")).await;
        let lagged = other.next(&["published", "lagged"]).await;
        assert_eq!((lagged.data, lagged.id), (json!({"event": "lagged", "missed": null}), None));
        other.next(&["published"]).await;
        assert_eq!(other.next(&["published"]).await.data["id"], ids[0]);
    }
    api.end().await;
}

#[tokio::test]
async fn a_listener_hears_of_its_site_and_its_region_alone() {
    let api = Api::start().await;
    let mut shop = Listening::to(&api, "?site=shop", "").await;
    let mut east = Listening::to(&api, "?region=us-east", "").await;
    let west = json!({"site": "main", "tags": ["t"], "regions": ["eu-west"]});
    assert_eq!(api.post(&west).await.status, 202);
    let main = publish(&api, "main").await;
    let shops = publish(&api, "shop").await;
    assert_eq!(shop.next(&["published"]).await.data["id"], shops);
    assert_eq!(east.next(&["published"]).await.data["id"], main);
    // What it does not hear moves it on all the same.
    let seen = shop.heard.clone();
    assert_eq!(api.post(&west).await.status, 202);
    while shop.heard.len() == seen.len() || !shop.heard.ends_with("\n\n\r\n") {
        assert!(shop.read().await);
    }
    assert!(shop.heard.contains("id: ") && !shop.heard.contains("data"), "{}", shop.heard);
    let told = api.get("/v1/events?site=mars&region=mars&since=1").await.problem(400, "malformed");
    assert_eq!(told.len(), 3, "{told:?}");
    api.end().await;
}

#[tokio::test]
async fn as_many_listen_as_may_and_all_are_let_go_when_the_publisher_stops() {
    let api = Api::start().await;
    let mut listening = Vec::new();
    for _ in 0..64 {
        listening.push(Listening::to(&api, "", "").await);
    }
    let refused = api.get("/v1/events").await;
    refused.problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    drop(listening.pop());
    // The place is free once the publisher sees that nobody reads: at the latest when it has something to say.
    let mut tries = 0;
    let mut last = loop {
        assert_eq!(api.post(&good()).await.status, 202);
        let mut next = Listening::to(&api, "", "").await;
        if next.heard.contains(" 200 ") {
            break next;
        }
        tries += 1;
        assert!(tries < 1_000 && next.heard.contains(" 503 "), "{}", next.heard);
        next.heard.clear();
    };
    api.stop();
    while last.read().await {}
    assert!(last.heard.ends_with("0\r\n\r\n"), "it is ended, not cut: {}", last.heard);
    api.end().await;
}
