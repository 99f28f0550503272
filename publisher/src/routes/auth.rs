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

/// What a token needs to read what is at a path, and to do something there before its request is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permits {
    pub(super) read: Act,
    pub(super) act: Option<Act>,
}

/// Who asks, if that may be.
pub(super) fn caller(
    tokens: Option<&Tokens>,
    headers: &HeaderMap,
    uri: &Uri,
    now: Timestamp,
) -> Result<Caller, Refused> {
    let Some(tokens) = tokens else { return Ok(Caller::ANYONE) };
    if names_secret(uri) {
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

/// Whether an address seems to hold a token.
pub(super) fn names_secret(uri: &Uri) -> bool {
    uri.query().unwrap_or_default().split('&').any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
    })
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().as_bytes())
}

/// Lets through who may do it: to read needs one word, to `act` another. The answer bears the word for what acts.
pub(super) async fn permit(permits: Permits, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { Some(permits.read) } else { permits.act };
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    let mut response = match needed.map_or(Ok(()), |act| caller.may(act)) {
        Ok(()) => next.run(request).await,
        Err(detail) => Refused::new(Kind::Forbidden, detail).into_response(),
    };
    if let Some(act) = needed {
        response.extensions_mut().insert(act);
    }
    response
}
