//! A publisher on a port of its own, and a client that sends whatever bytes it is told.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Start, Topic};
use daemon::{Clock, Health, Stop};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{Audience, Invalidation, LogMessage, Priority, Site, Sites, Trust, wire};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::journal::JournalStore;
use crate::{Outlet, Publisher, PublisherConfig, PublisherSetup};

/// The token `test`, by its SHA-256.
pub(super) const TOKENS: &str = "[[token]]\nname = \"cms\"\nhash = \"sha256:\
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";

pub(super) struct Api {
    address: std::net::SocketAddr,
    log: Embedded,
    metrics: Arc<Mutex<Registry>>,
    stop: Stop,
    running: JoinHandle<()>,
    _tokens: Option<NamedTempFile>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The mistakes told, after everything else about a problem has been checked.
    pub(super) fn problem(&self, status: u16, kind: &str) -> Vec<(String, String)> {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: schemas::api::Problem = serde_json::from_value(self.json()).unwrap();
        assert_eq!(
            (problem.status, problem.kind),
            (status, format!("urn:purgebus:problem:{kind}"))
        );
        assert!(!problem.title.is_empty() && problem.detail.is_some());
        problem.errors.into_iter().map(|mistake| (mistake.pointer, mistake.detail)).collect()
    }
}

impl Api {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(super) async fn start_with(tokens: Option<&str>) -> Self {
        Self::start_audited(tokens, None).await
    }

    /// With an audit trail in that folder.
    pub(super) async fn start_audited(tokens: Option<&str>, audit: Option<&Path>) -> Self {
        let tokens = tokens.map(|text| {
            let mut file = NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        });
        let clock = Clock::system();
        let store = JournalStore::in_memory().unwrap();
        let config = EmbeddedConfig::default();
        let log = Embedded::open(store.database(), config, move || clock.now()).unwrap();
        let metrics = Arc::new(Mutex::new(Registry::default()));
        let mut publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                tokens_file: tokens.as_ref().map(|file| file.path().to_owned()),
                audit_dir: audit.map(Path::to_owned),
                ..PublisherConfig::default()
            },
            name: "p1".parse().unwrap(),
            sites: Arc::new(sites()),
            store,
            outlet: Outlet::Shared(log.clone()),
            trust: Trust::Anyone,
            partitions: 1,
            retention: std::time::Duration::from_hours(1),
            clock,
            health: Health::default(),
            metrics: Arc::clone(&metrics),
        })
        .await
        .unwrap();
        let address = publisher.bind().await.unwrap();
        let stop = Stop::new();
        let running = publisher.run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's own task, awaited at its end")]
        let running = tokio::spawn(async move { running.await.unwrap() });
        Self { address, log, metrics, stop, running, _tokens: tokens }
    }

    pub(super) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// The log and the boards.
    pub(super) fn log(&self) -> &Embedded {
        &self.log
    }

    /// Everything that was published.
    pub(super) async fn published(&self) -> Vec<Invalidation> {
        let mut published = Vec::new();
        for priority in Priority::ALL {
            let topic = Topic::log(priority.as_str());
            let bounds = self.log.bounds(topic).await.unwrap();
            let Some(bounds) = bounds.values().next() else { continue };
            let mut reader = self.log.subscribe(topic, Start::Oldest).await.unwrap();
            let mut read = bounds.first.0;
            while read < bounds.end.0 {
                for delivery in reader.read(1_000).await.unwrap() {
                    read = delivery.position.0 + 1;
                    if let LogMessage::Frame(frame) = wire::decode_log(&delivery.body).unwrap() {
                        published.extend(frame.invalidations);
                    }
                }
            }
        }
        published
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics.lock()).unwrap();
        text
    }

    pub(super) async fn post(&self, body: &Value) -> Answer {
        self.post_to("", body).await
    }

    pub(super) async fn post_to(&self, query: &str, body: &Value) -> Answer {
        self.send_json(query, "", body.to_string().as_bytes()).await
    }

    /// `headers` are lines, each with its end.
    pub(super) async fn send_json(&self, query: &str, headers: &str, body: &[u8]) -> Answer {
        let line = format!("POST /v1/invalidations{query}");
        self.send(&line, &format!("Content-Type: application/json\r\n{headers}"), body).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), "", b"").await
    }

    /// `line` is method and path.
    pub(super) async fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: bus\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.send_bytes(&[head.as_bytes(), body].concat()).await
    }

    pub(super) async fn send_bytes(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn stop(&self) {
        self.stop.request();
    }

    pub(super) async fn end(self) {
        self.stop.request();
        self.running.await.unwrap();
    }
}

/// `main` in two regions, `shop` everywhere.
fn sites() -> Sites {
    let site = |name: &str, host: &str, regions| Site {
        name: name.parse().unwrap(),
        hosts: [host.parse().unwrap()].into(),
        regions,
    };
    let regions = ["eu-west", "us-east"].map(|region| region.parse().unwrap()).into();
    Sites::new([
        site("main", "www.example.com", Audience::Regions(regions)),
        site("shop", "shop.example.com", Audience::All),
    ])
}

/// A request that is good.
pub(super) fn good() -> Value {
    json!({"site": "main", "tags": ["article-7"]})
}
