//! Who may ask, and what for: whoever bears a token, checked before a body is read.

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::caller::Caller;
use crate::problem::{Kind, Refused};
use crate::tokens::{Act, Tokens};

/// What tokens are called in addresses by those who put them there.
const SECRETS: [&str; 4] = ["token", "access_token", "api_key", "apikey"];

/// Who asks, if that may be.
pub(super) fn caller(
    tokens: Option<&Tokens>,
    headers: &HeaderMap,
    uri: &Uri,
    now: Timestamp,
) -> Result<Caller, Refused> {
    let Some(tokens) = tokens else { return Ok(Caller::ANYONE) };
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let in_address = parameters.any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
    });
    if in_address {
        let detail = "a token in the address is logged on its way, so it is no secret any more: revoke it, and send \
                      \"Authorization: Bearer TOKEN\"";
        return Err(Refused::new(Kind::Unauthorized, detail));
    }
    let token = bearer(headers).and_then(|secret| tokens.bearer(secret)).ok_or_else(|| {
        let detail = "send \"Authorization: Bearer TOKEN\" with a token of the tokens file";
        Refused::new(Kind::Unauthorized, detail)
    })?;
    match token.ended(now) {
        None => Ok(Caller::bearer(token.clone())),
        Some(detail) => Err(Refused::new(Kind::Unauthorized, detail)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().as_bytes())
}

/// Lets through who may do it: to read needs one word, to `act` another.
pub(super) async fn permit(act: Option<Act>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { Some(Act::Read) } else { act };
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    match needed.map_or(Ok(()), |act| caller.may(act)) {
        Ok(()) => next.run(request).await,
        Err(detail) => Refused::new(Kind::Forbidden, detail).into_response(),
    }
}
