//! A small application: it keeps what it got from the origin in Redis, with the tags, as `docs/caches/redis.md` advises.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST as HOST_HEADER, LOCATION};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use daemon::{BoxError, Crew, HttpServer};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use reqwest::Client;
use schemas::Url;

use super::origin::VERSION;
use super::stage::{HOST, SITE};

/// How the application names a page.
pub(crate) const KEY_TEMPLATE: &str = "page:{host}{path}";
/// How it names the set of pages that bear a tag.
pub(crate) const TAG_TEMPLATE: &str = "tags:{site}:{tag}";

/// How long it keeps a page.
const KEPT_SECONDS: u64 = 3_600;
/// Longest wait for Redis and for the origin.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS_MAX: usize = 1_024;
/// The field of a page's hash that is no header.
const BODY: &str = "body";
/// The header that names the tags of a page.
const TAGS: &str = "surrogate-key";

/// The headers that are kept with a page.
const KEPT_HEADERS: [HeaderName; 5] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    LOCATION,
    HeaderName::from_static(TAGS),
    HeaderName::from_static(VERSION),
];

/// The application of one region.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    redis: MultiplexedConnection,
    client: Client,
    origin: String,
    /// Under which names it is asked.
    names: Vec<String>,
}

impl Application {
    /// Connects to its Redis.
    pub(crate) async fn open(redis: &str, origin: &str) -> anyhow::Result<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connecting = redis::Client::open(redis)?;
        let redis = connecting.get_multiplexed_async_connection_with_config(&config).await;
        let redis = redis.context("the redis-server that the demo has started does not answer")?;
        let redirect = reqwest::redirect::Policy::none();
        // Nothing here speaks TLS: the system's authorities need not be read, nor be there.
        let client = Client::builder().tls_certs_only([]);
        let client = client.timeout(ANSWER_WITHIN).redirect(redirect).no_proxy();
        let names = vec![HOST.to_owned()];
        Ok(Self { redis, client: client.build()?, origin: origin.to_owned(), names })
    }

    /// From Redis, or from the origin and then into Redis.
    async fn page(mut self, url: &Url) -> Result<Response, BoxError> {
        let key = format!("page:{HOST}{}", url.path);
        let kept: BTreeMap<String, Vec<u8>> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.redis).await?;
        if kept.contains_key(BODY) {
            return response(StatusCode::OK, kept);
        }
        let asked = self.client.get(format!("{}{}", self.origin, url.path));
        let answer = asked.header(HOST_HEADER, HOST).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let page = page_of(&headers, answer.bytes().await?.to_vec());
        if status == StatusCode::OK {
            self.keep(&key, &page).await?;
        }
        response(status, page)
    }

    /// The page and the tags that name it, in one transaction.
    async fn keep(
        &mut self,
        key: &str,
        page: &BTreeMap<String, Vec<u8>>,
    ) -> redis::RedisResult<()> {
        let mut transaction = redis::pipe();
        transaction.atomic().del(key).hset_multiple(key, &page.iter().collect::<Vec<_>>());
        transaction.cmd("EXPIRE").arg(key).arg(KEPT_SECONDS);
        let tags = page.get(TAGS).map(|tags| String::from_utf8_lossy(tags));
        for tag in tags.iter().flat_map(|tags| tags.split_whitespace()) {
            transaction.sadd(format!("tags:{SITE}:{tag}"), key);
        }
        transaction.query_async(&mut self.redis).await
    }
}

/// Starts it on a free port.
pub(crate) async fn serve(
    crew: &mut Crew,
    mut application: Application,
) -> anyhow::Result<SocketAddr> {
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), CONNECTIONS_MAX).await?;
    let address = server.local_addr();
    application.names.push(address.to_string());
    application.names.push(format!("localhost:{}", address.port()));
    let router = Router::new().fallback_service(get(answer).with_state(application));
    crew.spawn(format!("application {address}"), server.run(router, crew.stop()));
    Ok(address)
}

async fn answer(State(application): State<Application>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(HOST_HEADER).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| application.names.iter().any(|name| name == host)) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    // Keys are in the canonical form that purges use.
    let Ok(url) = format!("http://{HOST}{}", uri.path()).parse::<Url>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match application.page(&url).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
    }
}

fn page_of(headers: &HeaderMap, body: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let header = |name: HeaderName| {
        let value = headers.get(&name)?.as_bytes().to_vec();
        Some((name.to_string(), value))
    };
    let mut page: BTreeMap<_, _> = KEPT_HEADERS.into_iter().filter_map(header).collect();
    page.insert(BODY.to_owned(), body);
    page
}

fn response(status: StatusCode, mut page: BTreeMap<String, Vec<u8>>) -> Result<Response, BoxError> {
    let body = page.remove(BODY).unwrap_or_default();
    let mut response = Response::builder().status(status);
    for (name, value) in page {
        response = response.header(name, value);
    }
    Ok(response.body(body.into())?)
}
