//! A stored answer: whether it may be used again, by the rules of RFC 9111.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

use super::index::Names;
use super::message::{self, for_policy};

/// What an object costs beyond its bytes: the maps that know it.
const OVERHEAD_BYTES: usize = 1_024;
/// Header fields that tell of a body, of which a 304 has none (RFC 9111, 3.2).
const NOT_FRESHENED: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// One answer of the origin to one request.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) names: Arc<Names>,
    policy: CachePolicy,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    request_bytes: usize,
}

/// How a stored answer meets a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It may be given as it is.
    Fresh,
    /// It is the one, but the origin must be asked first.
    Stale,
    /// It answers another variant.
    Other,
}

impl Stored {
    /// What the origin said, if it may be stored and can be of use again.
    pub(super) fn of(
        names: Arc<Names>,
        request: &Request<()>,
        response: &Response<Bytes>,
        now: SystemTime,
    ) -> Option<Self> {
        let headers = response.headers().clone();
        let described = for_policy(response.status(), &headers);
        let policy = CachePolicy::new_options(request, &described, now, CacheOptions::default());
        let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        // The library takes cookies for stale, not for private: a 304 would hand them to somebody else.
        let useful = !policy.is_stale(now) || (has_validator && !headers.contains_key(SET_COOKIE));
        (policy.is_storable() && useful).then(|| Self {
            names,
            policy,
            status: response.status(),
            headers,
            body: response.body().clone(),
            request_bytes: message::header_bytes(request.headers()),
        })
    }

    /// What it is to `request`.
    pub(super) fn usable_for(&self, request: &Request<()>, now: SystemTime) -> Use {
        match self.policy.before_request(request, now) {
            BeforeRequest::Fresh(_) => Use::Fresh,
            BeforeRequest::Stale { matches: true, .. } => Use::Stale,
            BeforeRequest::Stale { matches: false, .. } => Use::Other,
        }
    }

    /// How long it stays fresh.
    pub(super) fn fresh_for(&self, now: SystemTime) -> Duration {
        self.policy.time_to_live(now)
    }

    /// The fields that ask the origin whether it still holds.
    pub(super) fn validators(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)]
            .into_iter()
            .filter_map(|(asked, told)| Some((asked, self.headers.get(told)?.clone())))
    }

    /// It again, as the origin's answer to the validators says; none if that does not concern it.
    pub(super) fn freshened(
        &self,
        request: &Request<()>,
        response: &Response<Bytes>,
        now: SystemTime,
    ) -> Option<Response<Bytes>> {
        let after = self.policy.after_response(request, response, now);
        let AfterResponse::NotModified(..) = after else { return None };
        let mut headers = self.headers.clone();
        for name in response.headers().keys() {
            if NOT_FRESHENED.contains(name) {
                continue;
            }
            headers.remove(name);
            for value in response.headers().get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let mut fresh = Response::new(self.body.clone());
        *fresh.status_mut() = self.status;
        *fresh.headers_mut() = headers;
        Some(fresh)
    }

    /// What a client gets.
    pub(super) fn response(&self, now: SystemTime) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = message::without_tags(self.headers.clone());
        response.headers_mut().insert(AGE, self.policy.age(now).as_secs().into());
        response
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let Names { page, tags, .. } = &*self.names;
        let query = page.query.as_ref().map_or(0, |query| query.as_str().len());
        let tags = tags.iter().map(|tag| tag.as_str().len() + OVERHEAD_BYTES / 8).sum::<usize>();
        // The policy has a copy of the answer's header, and the request's.
        let headers = 2 * message::header_bytes(&self.headers) + self.request_bytes;
        OVERHEAD_BYTES + page.path.as_str().len() + query + tags + headers + self.body.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn request() -> Request<()> {
        Request::get("/a").header("host", "www.example.com").body(()).unwrap()
    }

    pub(in super::super) fn response(fields: &[(&str, &str)]) -> Response<Bytes> {
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(Bytes::from_static(b"body")).unwrap()
    }

    pub(in super::super) fn names(path: &str) -> Arc<Names> {
        let url = format!("http://www.example.com{path}").parse::<schemas::Url>().unwrap();
        let tags = ["t".parse().unwrap()].into();
        Arc::new(Names { site: "main".parse().unwrap(), page: url.into(), tags })
    }

    fn stored(fields: &[(&str, &str)]) -> Option<Stored> {
        Stored::of(names("/a"), &request(), &response(fields), SystemTime::UNIX_EPOCH)
    }

    fn after(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_fresh_for_as_long_as_the_origin_says() {
        let epoch = ("date", "Thu, 01 Jan 1970 00:00:00 GMT");
        for (fields, seconds) in [
            (&[("cache-control", "max-age=60")][..], 60),
            (&[("cache-control", "Max-Age=60")], 60),
            (&[("cache-control", "max-age=60, s-maxage=90")], 90),
            (&[("cache-control", "max-age=60"), ("age", "50")], 10),
            (&[epoch, ("expires", "Thu, 01 Jan 1970 00:01:00 GMT")], 60),
        ] {
            let stored = stored(fields).unwrap();
            assert_eq!(stored.fresh_for(after(0)).as_secs(), seconds, "{fields:?}");
            assert_eq!(stored.usable_for(&request(), after(seconds - 1)), Use::Fresh, "{fields:?}");
            assert_eq!(stored.usable_for(&request(), after(seconds)), Use::Stale, "{fields:?}");
        }
    }

    #[test]
    fn only_what_can_be_of_use_again_is_stored() {
        for (fields, is_stored) in [
            (&[("cache-control", "max-age=60")][..], true),
            (&[("cache-control", "max-age=0")], false),
            (&[("cache-control", "max-age=0"), ("etag", "\"1\"")], true),
            (&[("cache-control", "no-cache"), ("etag", "\"1\"")], true),
            (&[("cache-control", "no-cache, No-Store"), ("etag", "\"1\"")], false),
            (&[("cache-control", "max-age=60, Private")], false),
            (&[("cache-control", "max-age=60"), ("set-cookie", "a=1"), ("etag", "\"1\"")], false),
            (&[("cache-control", "max-age=60, public"), ("set-cookie", "a=1")], true),
            (&[("cache-control", "max-age=60"), ("vary", "*")], false),
            (&[], false),
        ] {
            assert_eq!(stored(fields).is_some(), is_stored, "{fields:?}");
        }
    }

    #[test]
    fn no_age_is_too_old() {
        let age = u64::MAX.to_string();
        let stored = stored(&[("age", &age), ("etag", "\"1\""), ("cache-control", "max-age=9")]);
        assert_eq!(stored.unwrap().usable_for(&request(), after(9)), Use::Stale);
    }

    #[test]
    fn confirmation_renews_the_header_and_keeps_the_body() {
        let fields =
            [("etag", "\"1\""), ("cache-control", "max-age=1"), ("link", "old"), ("x", "y")];
        let stored = stored(&fields).unwrap();
        let mut confirmation = response(&[
            ("etag", "\"1\""),
            ("cache-control", "max-age=9"),
            ("link", "new"),
            ("link", "newer"),
            ("content-length", "0"),
        ]);
        *confirmation.status_mut() = StatusCode::NOT_MODIFIED;
        let renewed = stored.freshened(&request(), &confirmation, after(5)).unwrap();
        let links = renewed.headers().get_all("link").iter().collect::<Vec<_>>();
        assert_eq!(links, ["new", "newer"]);
        assert_eq!(renewed.headers()["x"], "y");
        assert_eq!((renewed.status(), &renewed.body()[..]), (StatusCode::OK, &b"body"[..]));
        assert!(!renewed.headers().contains_key(CONTENT_LENGTH));
        let again = Stored::of(names("/a"), &request(), &renewed, after(5)).unwrap();
        assert_eq!(again.fresh_for(after(5)), Duration::from_secs(9));

        confirmation.headers_mut().insert(ETAG, "\"2\"".parse().unwrap());
        assert!(stored.freshened(&request(), &confirmation, after(5)).is_none());
    }
}
