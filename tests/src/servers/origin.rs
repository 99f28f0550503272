//! A web origin whose pages have versions: what caches are filled from, and what the oracle compares with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, ETAG, HOST, IF_NONE_MATCH, VARY};
use axum::http::{Method, Response, StatusCode};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The response header that tells the version of a page.
pub const VERSION: &str = "x-version";
/// The request header that a page with variants varies by.
pub const VARIANT: &str = "x-variant";

/// How one address is answered.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// Its `Surrogate-Key`.
    pub tags: Vec<String>,
    /// Whether it varies by [`VARIANT`].
    pub varies: bool,
    /// Its `Cache-Control`.
    pub cache_control: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// How long the answer takes; its version is that of the moment when the request came in.
    pub delay: Duration,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            tags: Vec::new(),
            varies: false,
            cache_control: "max-age=3600",
            headers: Vec::new(),
            delay: Duration::ZERO,
        }
    }
}

impl Page {
    /// What an origin says of a page that it does not have.
    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, cache_control: "max-age=60", ..Self::default() }
    }
}

#[derive(Debug)]
struct Pages {
    by_url: HashMap<String, (Page, u64)>,
    others: Page,
    purge_status: StatusCode,
    requests: HashMap<(Method, String), usize>,
}

/// The origin; it ends when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
    _server: JoinSet<()>,
}

impl Origin {
    /// Starts on a free loopback port, with no page.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let pages = Arc::new(Mutex::new(Pages {
            by_url: HashMap::new(),
            others: Page::not_found(),
            purge_status: StatusCode::METHOD_NOT_ALLOWED,
            requests: HashMap::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let router = Router::new().fallback(answer).with_state(pages.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, pages, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers `url` (host, path and query) with `page`; gives its version, one above the last.
    pub fn publish(&self, url: &str, page: Page) -> u64 {
        let mut pages = self.pages.lock();
        let version = pages.by_url.get(url).map_or(1, |(_, version)| version + 1);
        pages.by_url.insert(url.to_owned(), (page, version));
        version
    }

    /// Answers everything never published with `page`.
    pub fn publish_others(&self, page: Page) {
        self.pages.lock().others = page;
    }

    /// Answers PURGE with `status`, as some origins do without purging anything.
    pub fn answer_purges(&self, status: StatusCode) {
        self.pages.lock().purge_status = status;
    }

    /// The version of `url` now; 0 if it was never published.
    pub fn version(&self, url: &str) -> u64 {
        self.pages.lock().by_url.get(url).map_or(0, |(_, version)| *version)
    }

    /// How many requests of `method` came for `url`.
    pub fn requests(&self, method: &Method, url: &str) -> usize {
        let requests = &self.pages.lock().requests;
        requests.get(&(method.clone(), url.to_owned())).copied().unwrap_or_default()
    }
}

async fn answer(State(pages): State<Arc<Mutex<Pages>>>, request: Request) -> Response<Body> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = format!("{host}{}", request.uri());
    let (page, version) = {
        let mut pages = pages.lock();
        *pages.requests.entry((request.method().clone(), url.clone())).or_default() += 1;
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            pages.by_url.get(&url).cloned().unwrap_or_else(|| (pages.others.clone(), 0))
        } else {
            (Page { status: pages.purge_status, ..Page::default() }, 0)
        }
    };
    sleep(page.delay).await;
    let etag = format!("\"{version}\"");
    if page.status == StatusCode::OK
        && request.headers().get(IF_NONE_MATCH).is_some_and(|known| *known == *etag)
    {
        return unchanged(&page, &etag);
    }
    response(&page, version, &url, &etag)
}

/// Without its tags: an origin need not repeat them.
fn unchanged(page: &Page, etag: &str) -> Response<Body> {
    Response::builder()
        .status(StatusCode::NOT_MODIFIED)
        .header(CACHE_CONTROL, page.cache_control)
        .header(ETAG, etag)
        .body(Body::empty())
        .expect("valid headers")
}

fn response(page: &Page, version: u64, url: &str, etag: &str) -> Response<Body> {
    let mut response = Response::builder()
        .status(page.status)
        .header(CACHE_CONTROL, page.cache_control)
        .header(ETAG, etag)
        .header(VERSION, version);
    if !page.tags.is_empty() {
        response = response.header("surrogate-key", page.tags.join(" "));
    }
    if page.varies {
        response = response.header(VARY, VARIANT);
    }
    for (name, value) in &page.headers {
        response = response.header(*name, value);
    }
    let body = match page.status {
        StatusCode::NO_CONTENT => Body::empty(),
        _ => format!("{url} version {version}\n").into(),
    };
    response.body(body).expect("valid headers")
}
