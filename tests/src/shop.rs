//! An application behind Varnish that keeps its pages in Redis, its editors and its readers. What readers get goes to
//! the oracle.
//!
//! ```text
//! editors --commit--> shop <--fetch-- Varnish <--read-- readers
//!                      | ^---fill---
//!                      +--> Redis --- hits ------------------------> oracle
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

/// Where the readers of Varnish are counted.
pub const VARNISH: &str = "varnish";
/// Where the application's reads of Redis are counted.
pub const REDIS: &str = "redis";

/// One in so many renderings is slow.
const SLOW_ONE_IN: u32 = 4;

/// The application; it ends when dropped.
#[derive(Debug)]
pub struct Shop {
    address: SocketAddr,
    desk: Arc<Desk>,
    _server: JoinSet<()>,
}

/// What the application, its editors and its readers share.
#[derive(Debug)]
pub struct Desk {
    opened: Instant,
    oracle: Mutex<Oracle>,
    /// Redis, once it is connected.
    redis: Mutex<Option<MultiplexedConnection>>,
    rng: Mutex<Rng>,
    slowest: Duration,
}

impl Shop {
    /// Opens on a free loopback port, with no page. Rendering takes up to `slowest`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn open(rng: Rng, slowest: Duration) -> Self {
        let desk = Arc::new(Desk {
            opened: Instant::now(),
            oracle: Mutex::default(),
            redis: Mutex::default(),
            rng: Mutex::new(rng),
            slowest,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let router = Router::new().fallback(answer).with_state(desk.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, desk, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it keeps its pages there. Without Redis it renders each time.
    pub fn keep_pages_in(&self, redis: MultiplexedConnection) {
        *self.desk.redis.lock() = Some(redis);
    }

    /// Its desk.
    pub fn desk(&self) -> Arc<Desk> {
        self.desk.clone()
    }
}

impl Desk {
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

    /// A reader gets `page` through Varnish; the oracle judges it.
    pub async fn read(&self, reader: &Reader, page: &str) {
        let began = self.opened.elapsed();
        if let Some(version) = reader.try_version(page).await {
            self.oracle.lock().read(VARNISH, page, version, began);
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

    /// The version of a page that Redis keeps.
    pub async fn kept(&self, page: &str) -> Option<Version> {
        let redis = self.redis.lock().clone();
        redis?.get(key(page)).await.ok().flatten()
    }

    async fn version(&self, page: &str) -> Version {
        let began = self.opened.elapsed();
        if let Some(version) = self.kept(page).await {
            self.oracle.lock().read(REDIS, page, version, began);
            return version;
        }
        let version = self.oracle.lock().newest(page);
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

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response<Body> {
    let version = desk.version(request.uri().path()).await;
    Response::builder()
        .status(StatusCode::OK)
        .header(CACHE_CONTROL, "max-age=3600")
        .header(VERSION, version)
        .body(format!("version {version}\n").into())
        .expect("valid headers")
}
