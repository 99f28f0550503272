//! Who may ask: whoever bears a token, checked before a body is read.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Refused};
use crate::tokens::Tokens;

/// Who everyone is where there are no tokens.
const ANYONE: &str = "";

/// Who asks: the name of a token.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Arc<str>);

/// Lets through who may ask, and notes who that is.
pub(super) async fn require(tokens: Option<&Tokens>, mut request: Request, next: Next) -> Response {
    let caller = match tokens {
        None => Some(ANYONE),
        Some(tokens) => bearer(request.headers()).and_then(|secret| tokens.name_of(secret)),
    };
    let Some(caller) = caller else {
        let detail = "send \"Authorization: Bearer TOKEN\" with a token of the tokens file";
        return Refused::new(Kind::Unauthorized, detail).into_response();
    };
    request.extensions_mut().insert(Caller(caller.into()));
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().as_bytes())
}
