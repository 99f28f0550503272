//! Reads a request's JSON body under a limit of bytes and time.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemas::api::{BODY_BYTES_MAX, Mistake};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::problem::{Kind, Refused};

/// A body that is not there by then is given up.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// So much of a body that is too large is still read, so that its sender reads the answer instead of a reset.
const DRAINED_BYTES_MAX: usize = 2 << 20;
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// The JSON in `body`.
pub(super) async fn json(headers: &HeaderMap, body: Body) -> Result<Value, Refused> {
    check_media_type(headers)?;
    let bytes = read(headers, body).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("the body is not JSON: {error}");
        Refused::new(Kind::Malformed, detail)
    })
}

/// The JSON in `body`, as what it stands for; its first mistake is the answer.
pub(super) async fn typed<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refused> {
    serde_json::from_value(json(headers, body).await?).map_err(|error| {
        let mistake = Mistake { pointer: String::new(), detail: error.to_string() };
        Refused::mistakes(Kind::Invalid, vec![mistake])
    })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refused> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        let detail = "send \"Content-Type: application/json\"";
        return Err(Refused::new(Kind::MediaType, detail));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Refused::new(Kind::MediaType, detail));
    }
    Ok(())
}

async fn read(headers: &HeaderMap, mut body: Body) -> Result<Bytes, Refused> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|length| length.parse().ok()).is_some_and(|bytes: u64| too_large(bytes)) {
        drain(body).await;
        return Err(refuse_too_large());
    }
    let limited = Limited::new(&mut body, BODY_BYTES_MAX);
    match timeout(READ_WITHIN, pin!(limited.collect())).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(refuse_too_large())
        }
        Ok(Err(_)) => Err(Refused::new(Kind::Malformed, "the body ended before its end")),
        Err(_) => {
            let detail = format!("the body took longer than {} s", READ_WITHIN.as_secs());
            Err(Refused::new(Kind::TooSlow, detail))
        }
    }
}

fn too_large(bytes: u64) -> bool {
    usize::try_from(bytes).map_or(true, |bytes| bytes > BODY_BYTES_MAX)
}

fn refuse_too_large() -> Refused {
    let detail = format!(
        "a body has at most {} KiB; send several requests, or purge a prefix or a tag",
        BODY_BYTES_MAX / 1_024
    );
    Refused::new(Kind::TooLarge, detail)
}

async fn drain(body: Body) {
    let drained = timeout(DRAIN_WITHIN, Limited::new(body, DRAINED_BYTES_MAX).collect()).await;
    tracing::trace!(whole = matches!(drained, Ok(Ok(_))), "read on past a body's limit");
}
