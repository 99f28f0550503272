//! The other half of the protocol: purges from this machine, answered with who did them.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};

use super::serve::excuse;
use super::store::Store;
use crate::driver::edge::protocol::{IDENTITY, Identity, REMOVED, read_list};

/// Answers a PURGE of `peer`.
pub(super) fn answer(
    store: &Store,
    identity: &Identity,
    peer: SocketAddr,
    request: &Request<axum::body::Bytes>,
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
    request: &Request<axum::body::Bytes>,
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
