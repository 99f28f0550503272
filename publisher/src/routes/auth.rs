//! Who may ask: whoever bears a token, checked before a body is read.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::problem::{Kind, Refused};
use crate::tokens::Tokens;

/// Who everyone is where there are no tokens.
const ANYONE: &str = "";

/// Who asks: the name of a token.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Arc<str>);

/// Who asks, if that may be.
pub(super) fn caller(tokens: Option<&Tokens>, headers: &HeaderMap) -> Result<Caller, Refused> {
    let caller = match tokens {
        None => Some(ANYONE),
        Some(tokens) => bearer(headers).and_then(|secret| tokens.name_of(secret)),
    };
    caller.map(|caller| Caller(caller.into())).ok_or_else(|| {
        let detail = "send \"Authorization: Bearer TOKEN\" with a token of the tokens file";
        Refused::new(Kind::Unauthorized, detail)
    })
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().as_bytes())
}
