//! The other half of the protocol: purges from this machine, answered with who did them.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode};

use super::serve::excuse;
use super::store::Store;
use crate::driver::edge::protocol::{IDENTITY, Identity, REMOVED, read_list};

/// Answers a PURGE of `peer`.
pub(super) fn answer(
    store: &Store,
    identity: &Identity,
    peer: SocketAddr,
    request: &Request<Bytes>,
) -> Response<Body> {
    let mut response =
        purge(store, peer, request).unwrap_or_else(|(status, reason)| excuse(status, &reason));
    if let Ok(identity) = HeaderValue::from_str(&identity.to_string()) {
        response.headers_mut().insert(IDENTITY, identity);
    }
    response
}

fn purge(
    store: &Store,
    peer: SocketAddr,
    request: &Request<Bytes>,
) -> Result<Response<Body>, (StatusCode, String)> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err((StatusCode::FORBIDDEN, "only this machine may purge".to_owned()));
    }
    if request.uri().path() != "/" {
        let reason = "send PURGE / with one selector a line as the body";
        return Err((StatusCode::BAD_REQUEST, reason.to_owned()));
    }
    let bad = |error: &dyn std::fmt::Display| (StatusCode::BAD_REQUEST, error.to_string());
    let list = str::from_utf8(request.body()).map_err(|error| bad(&error))?;
    let purges = read_list(list).map_err(|error| bad(&error))?;
    let removed = purges.iter().map(|purge| store.purge(purge)).sum::<usize>();
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(REMOVED, removed.into());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::stored::Stored;
    use super::super::stored::tests::{names, request, response};
    use super::*;

    /// The status of a purge, how much it says it removed, and how much it left of one object of `main`.
    fn purge_from(peer: &str, path: &str, list: &str) -> (u16, Option<usize>, usize) {
        let (store, asked, now) = (Store::new(100_000), request(), SystemTime::UNIX_EPOCH);
        let page = response(&[("cache-control", "max-age=60")]);
        store.put(Stored::of(names("/a"), &asked, &page, now).unwrap(), &asked, now);
        let request = Request::builder().uri(path).body(Bytes::from(list.to_owned())).unwrap();
        let peer = format!("{peer}:1").parse().unwrap();
        let response = answer(&store, &Identity::fresh(), peer, &request);
        assert!(response.headers().contains_key(IDENTITY), "it says who it is");
        let removed = response.headers().get(REMOVED);
        let removed = removed.map(|removed| removed.to_str().unwrap().parse().unwrap());
        let left = store.purge(&read_list("everything main").unwrap()[0]);
        (response.status().as_u16(), removed, left)
    }

    #[test]
    fn only_this_machine_may_purge() {
        for peer in ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
            assert_eq!(purge_from(peer, "/", "everything main"), (200, Some(1), 0), "{peer}");
        }
        for peer in ["10.0.0.1", "[::ffff:10.0.0.1]", "[2001:db8::1]", "0.0.0.0"] {
            assert_eq!(purge_from(peer, "/", "everything main"), (403, None, 1), "{peer}");
        }
    }

    #[test]
    fn a_list_is_done_as_a_whole_or_not_at_all() {
        let purge = |path, list| purge_from("127.0.0.1", path, list);
        assert_eq!(purge("/", ""), (200, Some(0), 1));
        assert_eq!(purge("/", "everything other\ntag main t\ntag main t\n"), (200, Some(1), 0));
        assert_eq!(purge("/", "everything main\nnonsense"), (400, None, 1));
        assert_eq!(purge("/a", "everything main"), (400, None, 1));
    }
}
