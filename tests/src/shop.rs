//! An application behind a cache, that may keep its pages in Redis; its editors and its readers. What readers get goes
//! to the oracle. Several shops may share one desk: regions with the same pages.
//!
//! ```text
//! editors --commit--> desk <--newest-- shop <--fetch-- HTTP cache <--read-- readers
//!                       ^               | ^--fill--
//!                       +-- hits judged +--> Redis
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{Response, StatusCode};
use fastrand::Rng;
use parking_lot::Mutex;
use purgebus::oracle::{Oracle, Reads, Version};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::serve::Reader;
use crate::servers::origin::VERSION;

/// One in so many renderings is slow.
const SLOW_ONE_IN: u32 = 4;

/// The application at one place; it ends when dropped.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    counter: Arc<Counter>,
    _server: JoinSet<()>,
}

/// What all shops, editors and readers share: who knows what was committed and read.
#[derive(Debug)]
pub struct Desk {
    opened: Instant,
    oracle: Mutex<Oracle>,
}

/// What one shop sells from.
#[derive(Debug)]
struct Counter {
    desk: Arc<Desk>,
    /// Where its reads of Redis are counted.
    place: String,
    /// Redis, once it is connected.
    redis: Mutex<Option<MultiplexedConnection>>,
    rng: Mutex<Rng>,
    slowest: Duration,
}

impl Shop {
    /// Opens on a free loopback port. Rendering takes up to `slowest`; what it reads in Redis is counted at `place`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn open(
        desk: Arc<Desk>,
        place: impl Into<String>,
        rng: Rng,
        slowest: Duration,
    ) -> Self {
        let (redis, rng) = (Mutex::default(), Mutex::new(rng));
        let counter = Arc::new(Counter { desk, place: place.into(), redis, rng, slowest });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let router = Router::new().fallback(answer).with_state(counter.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, counter, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it keeps its pages there. Without Redis it renders each time.
    pub fn keep_pages_in(&self, redis: MultiplexedConnection) {
        *self.counter.redis.lock() = Some(redis);
    }

    /// The version of a page that its Redis keeps.
    pub async fn kept(&self, page: &str) -> Option<Version> {
        self.counter.kept(page).await
    }
}

impl Desk {
    /// With no page.
    pub fn open() -> Arc<Self> {
        Arc::new(Self { opened: Instant::now(), oracle: Mutex::default() })
    }

    /// A page changes.
    pub fn commit(&self, page: &str) -> Version {
        let now = self.opened.elapsed();
        self.oracle.lock().commit(page, now)
    }

    /// The bus says that the purge for `version` of `page` is final by now.
    pub fn finished(&self, page: &str, version: Version) {
        let now = self.opened.elapsed();
        self.oracle.lock().finished(page, version, now);
    }

    /// A reader gets `page`; the oracle judges it, and counts it at `place`.
    pub async fn read(&self, place: &str, reader: &Reader, page: &str) {
        let began = self.opened.elapsed();
        if let Some(version) = reader.try_version(page).await {
            self.oracle.lock().read(place, page, version, began);
        }
    }

    /// What was read at a place.
    pub fn reads(&self, place: &str) -> Reads {
        self.oracle.lock().reads(place)
    }

    /// Every page with its newest version.
    pub fn pages(&self) -> Vec<(String, Version)> {
        let oracle = self.oracle.lock();
        oracle.pages().map(|(page, version)| (page.to_owned(), version)).collect()
    }
}

impl Counter {
    async fn kept(&self, page: &str) -> Option<Version> {
        let redis = self.redis.lock().clone();
        redis?.get(key(page)).await.ok().flatten()
    }

    async fn version(&self, page: &str) -> Version {
        let began = self.desk.opened.elapsed();
        if let Some(version) = self.kept(page).await {
            self.desk.oracle.lock().read(&self.place, page, version, began);
            return version;
        }
        let version = self.desk.oracle.lock().newest(page);
        sleep(self.rendering_time()).await;
        let redis = self.redis.lock().clone();
        if let Some(mut redis) = redis {
            // A page that cannot be kept is rendered again.
            redis.set::<_, _, ()>(key(page), version).await.ok();
        }
        version
    }

    fn rendering_time(&self) -> Duration {
        let mut rng = self.rng.lock();
        match rng.u32(0..SLOW_ONE_IN) {
            0 => self.slowest.mul_f64(rng.f64()),
            _ => Duration::ZERO,
        }
    }
}

fn key(page: &str) -> String {
    format!("page:www.example.com{page}")
}

async fn answer(State(counter): State<Arc<Counter>>, request: Request) -> Response<Body> {
    let version = counter.version(request.uri().path()).await;
    Response::builder()
        .status(StatusCode::OK)
        .header(CACHE_CONTROL, "max-age=3600")
        .header(VERSION, version)
        .body(format!("version {version}\n").into())
        .expect("valid headers")
}
