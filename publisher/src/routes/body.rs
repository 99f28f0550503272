//! Reads a request's JSON body under a limit of bytes and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::BytesMut;
use http_body_util::{BodyExt, Limited};
use schemas::api::{BODY_BYTES_MAX, Mistake};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::problem::{Kind, Refused};

/// A body that is not there by then is given up.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// A body that trickles in is given up earlier: after the first seconds so many bytes must be here for each.
const HEAD_START: Duration = Duration::from_secs(5);
const BYTES_PER_SECOND_MIN: u32 = 4 << 10;
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
    let begun = Instant::now();
    let mut read = Read::default();
    loop {
        match timeout_at(begun + due(read.bytes()), body.frame()).await {
            Ok(None) => return Ok(read.into_bytes()),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if data.len() > BODY_BYTES_MAX - read.bytes() {
                    drain(body).await;
                    return Err(refuse_too_large());
                }
                read.take(data);
            }
            Ok(Some(Err(_))) => {
                return Err(Refused::new(Kind::Malformed, "the body ended before its end"));
            }
            Err(_) => {
                let (all, start) = (READ_WITHIN.as_secs(), HEAD_START.as_secs());
                let detail = format!(
                    "the body took longer than {all} s, or came with less than {} KiB/s after the first {start} s",
                    BYTES_PER_SECOND_MIN >> 10
                );
                return Err(Refused::new(Kind::TooSlow, detail));
            }
        }
    }
}

/// When the next bytes of a body must be here of which so many are.
fn due(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    READ_WITHIN.min(HEAD_START + Duration::from_secs(1) * bytes / BYTES_PER_SECOND_MIN)
}

/// What is read of a body: nearly always one piece, which is not copied.
#[derive(Debug)]
enum Read {
    Piece(Bytes),
    Pieces(BytesMut),
}

impl Default for Read {
    fn default() -> Self {
        Self::Piece(Bytes::new())
    }
}

impl Read {
    fn bytes(&self) -> usize {
        match self {
            Self::Piece(piece) => piece.len(),
            Self::Pieces(pieces) => pieces.len(),
        }
    }

    fn take(&mut self, data: Bytes) {
        match self {
            Self::Piece(piece) if piece.is_empty() => *piece = data,
            Self::Piece(piece) => {
                let mut pieces = BytesMut::with_capacity(2 * (piece.len() + data.len()));
                pieces.extend_from_slice(piece);
                pieces.extend_from_slice(&data);
                *self = Self::Pieces(pieces);
            }
            Self::Pieces(pieces) => pieces.extend_from_slice(&data),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Piece(piece) => piece,
            Self::Pieces(pieces) => pieces.freeze(),
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use futures::stream::unfold;
    use tokio::time::sleep;

    use super::*;

    /// A body of which one of these pieces comes every second.
    fn coming(pieces: Vec<Vec<u8>>) -> Body {
        Body::from_stream(unfold(pieces.into_iter(), async |mut pieces| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(pieces.next()?), pieces))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_given_up_before_its_time() {
        for (piece, patience) in [(1, HEAD_START), ((4 << 10) - 100, Duration::from_secs(15))] {
            let begun = Instant::now();
            let read = read(&HeaderMap::new(), coming(vec![vec![b'x'; piece]; 60])).await;
            let status = read.expect_err("it is too slow").into_response().status();
            assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
            let at_most = patience + Duration::from_millis(100);
            assert!(begun.elapsed() <= at_most, "{piece}: {:?}", begun.elapsed());
            assert!(begun.elapsed() >= HEAD_START, "{piece}: {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_in_pieces_is_whole() {
        let pieces: Vec<_> = (0..13_u8).map(|at| vec![at; 20_000]).collect();
        let read = read(&HeaderMap::new(), coming(pieces.clone())).await.expect("it is in time");
        assert_eq!(read, pieces.concat());
    }

    #[tokio::test]
    async fn a_body_that_does_not_tell_its_length_is_no_longer_than_others() {
        for (bytes, fits) in [(BODY_BYTES_MAX, true), (BODY_BYTES_MAX + 1, false)] {
            let pieces = [vec![b'x'; bytes - 1], vec![b'x']].map(Ok::<_, Infallible>);
            let body = Body::from_stream(futures::stream::iter(pieces));
            assert_eq!(read(&HeaderMap::new(), body).await.is_ok(), fits, "{bytes}");
        }
    }
}
