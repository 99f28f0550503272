//! How a client's request is answered: from the store where RFC 9111 allows it, else by the origin.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use schemas::{Mode, QueryMatch, Scheme, Selector, SiteName, Sites, Url};

use super::index::{Names, Page};
use super::message;
use super::status::{CacheStatus, Forwarded, Reason};
use super::store::{Found, Store};
use super::stored::Stored;
use crate::driver::Purge;
use crate::driver::edge::link::{Link, LinkError};
use daemon::Clock;

/// The cache between clients and origin.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) sites: Arc<Sites>,
    pub(super) store: Store,
    pub(super) origin: Link,
    pub(super) clock: Clock,
}

/// Something that can be purged, and therefore stored.
#[derive(Debug, Clone)]
struct Target {
    site: SiteName,
    page: Page,
    uri: Uri,
}

impl Target {
    /// None for an address that no invalidation could name.
    fn of(request: &Request<Bytes>, sites: &Sites) -> Option<Self> {
        let host = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => request.headers().get(HOST)?.to_str().ok()?,
        };
        let path_and_query = request.uri().path_and_query()?;
        let page = Page::from(format!("http://{host}{path_and_query}").parse::<Url>().ok()?);
        let site = sites.of_host(&page.host)?.name.clone();
        let uri = match &page.query {
            Some(query) => format!("{}?{query}", page.path).parse().ok()?,
            None => page.path.as_str().parse().ok()?,
        };
        Some(Self { site, page, uri })
    }
}

impl Cache {
    /// Answers any request but a purge.
    pub(super) async fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let Some(target) = Target::of(&request, &self.sites) else {
            return self.pass(message::forwarded(request), Reason::Bypass).await;
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.change(request, &target).await;
        }
        let (asked, _) = request.into_parts();
        let request =
            message::for_page(&target.page.host, target.uri.clone(), asked.headers.clone());
        let now = self.now();
        let found = self.store.find(&target.site, &target.page, &request, now);
        let response = match found {
            Found::Fresh(stored) => {
                let status = CacheStatus::Hit { ttl: stored.fresh_for(now) };
                told(stored.response(now), status)
            }
            _ if message::is_only_if_cached(&asked.headers) => {
                told(excuse(StatusCode::GATEWAY_TIMEOUT, "not cached"), CacheStatus::NotCached)
            }
            Found::Lacking { reason, .. } if asked.method == Method::HEAD => {
                let mut request = request.map(|()| Bytes::new());
                *request.method_mut() = Method::HEAD;
                self.pass(request, reason).await
            }
            Found::Lacking { reason, stale } => self.fetch(&target, request, reason, stale).await,
        };
        unless_known(&asked.headers, response)
    }

    /// Passes on a request that may change the page, whose stored answers it ends if it succeeds (RFC 9111, 4.4).
    async fn change(&self, request: Request<Bytes>, target: &Target) -> Response<Body> {
        let is_safe = request.method().is_safe();
        let response = self.pass(message::forwarded(request), Reason::Method).await;
        let succeeded = response.status().is_success() || response.status().is_redirection();
        if succeeded && !is_safe {
            let Page { host, path, query } = target.page.clone();
            let (scheme, query) = (Scheme::default(), QueryMatch::Exact(query));
            let selector = Selector::Url { scheme, host, path, query };
            self.store.purge(&Purge::new(target.site.clone(), selector, Mode::Hard));
        }
        response
    }

    /// Gets a page from the origin, or its word that what is stored still holds, and stores it if it may.
    async fn fetch(
        &self,
        target: &Target,
        request: Request<()>,
        reason: Reason,
        stale: Option<Arc<Stored>>,
    ) -> Response<Body> {
        let (said, response) = match self.ask(&request, stale.as_deref()).await {
            Ok(answered) => answered,
            Err(error) => return failed(&error, reason),
        };
        let now = self.now();
        let names = Arc::new(Names {
            site: target.site.clone(),
            page: target.page.clone(),
            tags: message::tags(response.headers()),
        });
        let forwarded = |stored| Forwarded { reason, status: Some(said), stored };
        match Stored::of(names, &request, &response, now) {
            Some(stored) => {
                let answer = stored.response(now);
                self.store.put(stored, &request, now);
                told(answer, CacheStatus::Forwarded(forwarded(true)))
            }
            None => told(delivered(response), CacheStatus::Forwarded(forwarded(false))),
        }
    }

    /// The page as it is now, and the status with which the origin said so.
    async fn ask(
        &self,
        request: &Request<()>,
        stale: Option<&Stored>,
    ) -> Result<(StatusCode, Response<Bytes>), LinkError> {
        if let Some(stored) = stale {
            let mut conditional = request.clone();
            conditional.headers_mut().extend(stored.validators());
            let response = self.exchange(conditional.map(|()| Bytes::new())).await?;
            let said = response.status();
            if let Some(freshened) = stored.freshened(request, &response, self.now()) {
                return Ok((said, freshened));
            }
            if said != StatusCode::NOT_MODIFIED {
                return Ok((said, response));
            }
            // It confirmed something else than it was asked about.
        }
        let response = self.exchange(request.clone().map(|()| Bytes::new())).await?;
        Ok((response.status(), response))
    }

    /// Passes a request on without the store.
    async fn pass(&self, request: Request<Bytes>, reason: Reason) -> Response<Body> {
        match self.exchange(request).await {
            Ok(response) => {
                let status = Some(response.status());
                let forwarded = Forwarded { reason, status, stored: false };
                told(delivered(response), CacheStatus::Forwarded(forwarded))
            }
            Err(error) => failed(&error, reason),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkError> {
        let method = request.method().clone();
        Ok(message::received(self.origin.exchange(request).await?, &method))
    }

    fn now(&self) -> SystemTime {
        self.clock.now().into()
    }
}

fn delivered(response: Response<Bytes>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers = message::without_tags(parts.headers);
    Response::from_parts(parts, Body::from(body))
}

fn told(mut response: Response<Body>, status: CacheStatus) -> Response<Body> {
    status.append_to(response.headers_mut());
    response
}

/// Nothing but the header for a client that knows the answer already.
fn unless_known(asked: &HeaderMap, mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::OK && message::is_known(asked, response.headers()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    }
    response
}

fn failed(error: &LinkError, reason: Reason) -> Response<Body> {
    let status = match error {
        LinkError::Late(..) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let forwarded = Forwarded { reason, status: None, stored: false };
    told(excuse(status, &error.to_string()), CacheStatus::Forwarded(forwarded))
}

/// An answer of the proxy's own.
pub(super) fn excuse(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{reason}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
