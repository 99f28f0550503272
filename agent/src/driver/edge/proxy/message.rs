//! Header fields on their way through: what a proxy keeps to itself, what the cache's rules read, what tags say.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, ETAG, HOST, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use schemas::{Host, Tag};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// As old as an answer can be in seconds (RFC 9111, 1.2.2).
const AGE_MAX: u64 = 1 << 31;
/// For one connection only (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Answered by the cache from whole answers, so the origin is never asked for less.
const CONDITIONS: [HeaderName; 6] =
    [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// A request as the origin shall see it.
pub(super) fn forwarded(mut request: Request<Bytes>) -> Request<Bytes> {
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    forward(request.headers_mut());
    request
}

/// The request for a whole page of `host`: what the origin is asked, and what variants are told apart by.
pub(super) fn for_page(host: &Host, uri: Uri, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    forward(headers);
    for name in CONDITIONS {
        headers.remove(name);
    }
    lower_case(headers);
    if let Ok(host) = HeaderValue::from_str(host.as_str()) {
        headers.insert(HOST, host);
    }
    request
}

/// An answer as it may be passed on or stored: its body is whole, so its length goes without saying.
pub(super) fn received(mut response: Response<Bytes>, method: &Method) -> Response<Bytes> {
    remove_hop_by_hop(response.headers_mut());
    if method != Method::HEAD {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// An answer's header as the rules of the cache read it: the library adds to its age without care for overflow.
pub(super) fn for_policy(status: StatusCode, headers: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers.clone();
    lower_case(response.headers_mut());
    let age = response.headers().get(AGE).and_then(|age| age.to_str().ok()?.parse::<u64>().ok());
    if age.is_some_and(|age| age > AGE_MAX) {
        response.headers_mut().insert(AGE, AGE_MAX.into());
    }
    response
}

/// The tags that the origin gave; what is no tag cannot be named by any purge either.
pub(super) fn tags(headers: &HeaderMap) -> BTreeSet<Tag> {
    let of = |name: HeaderName, separator: char| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(move |value| value.split(separator))
    };
    of(SURROGATE_KEY, ' ')
        .chain(of(CACHE_TAG, ','))
        .filter_map(|tag| tag.trim().parse().ok())
        .collect()
}

/// A header as clients get it: tags are for caches.
pub(super) fn without_tags(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(SURROGATE_KEY);
    headers.remove(CACHE_TAG);
    headers
}

/// Whether a client that sent `request` has this answer already (RFC 9110, 13.1.2).
pub(super) fn is_known(request: &HeaderMap, response: &HeaderMap) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Some(tag) = response.get(ETAG).and_then(|tag| tag.to_str().ok()).map(strong) else {
        return false;
    };
    let known = request.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .any(|known| known.trim() == "*" || strong(known) == tag)
}

/// Whether the client wants no answer rather than one from the origin.
pub(super) fn is_only_if_cached(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("only-if-cached"))
}

/// How many bytes a header takes.
pub(super) fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Its length is told anew by whoever sends it.
fn forward(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(CONTENT_LENGTH);
    headers.append(VIA, HeaderValue::from_static("1.1 purgebus-edge"));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect::<Vec<HeaderName>>();
    for name in named.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Directives have no case; the library that reads them knows lower case only.
fn lower_case(headers: &mut HeaderMap) {
    if let axum::http::header::Entry::Occupied(mut values) = headers.entry(CACHE_CONTROL) {
        for value in values.iter_mut() {
            if let Ok(lower) = HeaderValue::from_bytes(&value.as_bytes().to_ascii_lowercase()) {
                *value = lower;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let sent = headers(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-public", "1"),
            ("cookie", "a=1"),
        ]);
        let mut request = Request::new(Bytes::new());
        *request.headers_mut() = sent;
        let mut names =
            forwarded(request).headers().keys().map(ToString::to_string).collect::<Vec<_>>();
        names.sort();
        assert_eq!(names, ["cookie", "via", "x-public"]);
    }

    #[test]
    fn tags_come_from_both_headers_in_their_own_spelling() {
        let sent = headers(&[
            ("surrogate-key", "a b,c  d"),
            ("surrogate-key", "e"),
            ("cache-tag", "f, g h ,i,"),
        ]);
        let found = tags(&sent).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found, ["a", "d", "e", "f", "i"], "what holds a comma or a space is no tag");
        assert!(without_tags(sent).is_empty());
    }

    #[test]
    fn a_client_knows_what_its_tags_name() {
        let page = headers(&[("etag", "\"v1\"")]);
        for (sent, known) in [
            ("\"v1\"", true),
            ("W/\"v1\"", true),
            ("\"v0\", \"v1\"", true),
            ("*", true),
            ("\"v2\"", false),
        ] {
            assert_eq!(is_known(&headers(&[("if-none-match", sent)]), &page), known, "{sent}");
        }
        assert!(!is_known(&headers(&[("if-none-match", "*")]), &HeaderMap::new()));
    }
}
