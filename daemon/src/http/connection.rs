//! One connection, from its first request to its last.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;
use futures::future::{Either, ready};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

use super::refusal::{self, Refusal};
use super::watch::{Answer, Overdue, Seen, Turn, Watched};
use crate::Stop;

/// Longest head of a request, its first line included: 431 beyond.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Longest path with its query: 414 beyond.
const PATH_BYTES_MAX: usize = 8 << 10;
/// What a connection holds of what comes and goes; so much of a next request may wait behind one that is answered.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// A client that is cut off has this long to be told why.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// As client and server agreed, or by an error of the one or the other.
    Closed,
    /// The client was too slow.
    CutOff(Overdue),
}

/// Answers the requests of one client until one of both has enough.
pub(super) async fn converse<S, Answering>(
    stream: S,
    answer: impl Fn(Request) -> Answering,
    stop: Stop,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    Answering: Future<Output = Response>,
{
    let seen = Arc::new(Seen::default());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let turn = Turn::begin(&seen);
        let fits =
            request.uri().path_and_query().is_none_or(|it| it.as_str().len() <= PATH_BYTES_MAX);
        let answering = if fits {
            Either::Left(answer(request.map(Body::new)))
        } else {
            Either::Right(ready(refusal::response(Refusal::PathTooLong)))
        };
        // No block that awaits it: that would hold it, and copy it for every request, twice.
        answering
            .map(|response| Ok::<_, Infallible>(response.map(|body| Answer { body, _turn: turn })))
    });
    let stream = Watched { stream, seen: Arc::clone(&seen) };
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        overdue = seen.overdue() => {
            if overdue == Overdue::Head {
                tell(connection.into_parts().io.into_inner(), Refusal::SlowHead).await;
            }
            return Ended::CutOff(overdue);
        }
        () = stop.requested() => {
            Pin::new(&mut connection).graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended badly");
    }
    Ended::Closed
}

/// Says why the connection ends, to whoever still listens.
pub(super) async fn tell(mut stream: impl AsyncWrite + Unpin, refusal: Refusal) {
    let told = async {
        stream.write_all(&refusal::bytes(refusal)).await?;
        stream.shutdown().await
    };
    if !matches!(timeout(TELL_WITHIN, told).await, Ok(Ok(()))) {
        debug!(?refusal, "a client could not be told why its connection ends");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};

    use super::super::watch::{HEAD_WITHIN, IDLE_MAX, STALLED_MAX};
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
    /// Looks are a second apart.
    const LOOKS: Duration = Duration::from_secs(2);

    /// A client, and the server's end of its connection, which answers with `bytes`.
    #[expect(clippy::disallowed_methods, reason = "a test awaits it")]
    fn connected(bytes: usize) -> (DuplexStream, JoinHandle<Ended>) {
        let (client, server) = duplex(4 << 10);
        let answer = move |_| async move { Response::new(Body::from(vec![b'x'; bytes])) };
        (client, tokio::spawn(converse(server, answer, Stop::new())))
    }

    async fn received(client: &mut DuplexStream) -> String {
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        String::from_utf8(told).unwrap()
    }

    async fn answered(client: &mut DuplexStream) {
        client.write_all(REQUEST).await.unwrap();
        let mut bytes = [0; 4 << 10];
        let read = client.read(&mut bytes).await.unwrap();
        assert!(bytes[..read].starts_with(b"HTTP/1.1 200"), "{:?}", &bytes[..read]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_cut_off_and_told_why() {
        for asked_before in [false, true] {
            let (mut client, server) = connected(1);
            if asked_before {
                answered(&mut client).await;
                sleep(IDLE_MAX / 2).await;
            }
            let began = Instant::now();
            client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            while client.write_u8(b'x').await.is_ok() && !server.is_finished() {
                sleep(Duration::from_millis(700)).await;
            }
            assert!(began.elapsed() < HEAD_WITHIN + 2 * LOOKS, "{:?}", began.elapsed());
            assert_eq!(server.await.unwrap(), Ended::CutOff(Overdue::Head));
            assert!(received(&mut client).await.starts_with("HTTP/1.1 408 "));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_asks_nothing_leaves_first_soon_and_later_with_patience() {
        let (mut client, server) = connected(1);
        let began = Instant::now();
        assert_eq!(server.await.unwrap(), Ended::CutOff(Overdue::Idle));
        assert!(began.elapsed() < HEAD_WITHIN + LOOKS);
        assert_eq!(received(&mut client).await, "");

        let (mut client, server) = connected(1);
        for _ in 0..3 {
            answered(&mut client).await;
            sleep(IDLE_MAX.saturating_sub(LOOKS)).await;
        }
        let began = Instant::now();
        assert_eq!(server.await.unwrap(), Ended::CutOff(Overdue::Idle));
        assert!(began.elapsed() < 2 * LOOKS);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_does_not_read_is_cut_off_and_one_who_reads_slowly_is_not() {
        let (mut client, server) = connected(1 << 20);
        client.write_all(REQUEST).await.unwrap();
        let began = Instant::now();
        let mut bytes = [0; 4 << 10];
        while began.elapsed() < 5 * STALLED_MAX {
            assert!(client.read(&mut bytes).await.unwrap() > 0);
            sleep(STALLED_MAX.saturating_sub(LOOKS)).await;
        }
        assert!(!server.is_finished());
        let began = Instant::now();
        assert_eq!(server.await.unwrap(), Ended::CutOff(Overdue::Stalled));
        assert!(began.elapsed() < STALLED_MAX + LOOKS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_as_long_as_it_does() {
        let (mut client, server) = duplex(4 << 10);
        let answer = |_| async {
            sleep(10 * IDLE_MAX).await;
            Response::new(Body::from("late"))
        };
        let asked = async {
            client.write_all(REQUEST).await.unwrap();
            let mut first = [0; 12];
            client.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            drop(client);
        };
        let (ended, ()) = tokio::join!(converse(server, answer, Stop::new()), asked);
        assert_eq!(ended, Ended::Closed);
    }

    #[tokio::test]
    async fn heads_that_are_too_long_are_refused() {
        let many = "x: y\r\n".repeat(101);
        let long = format!("x: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
        let path = "y".repeat(PATH_BYTES_MAX);
        for (path, headers, status) in
            [("", many, "431"), ("", long, "431"), (path.as_str(), String::new(), "414")]
        {
            let (mut client, server) = connected(1);
            let head = format!("GET /{path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
            let asked = async {
                // It may be refused before it has been sent.
                client.write_all(head.as_bytes()).await.ok();
                received(&mut client).await
            };
            let told = asked.await;
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
            assert_eq!(server.await.unwrap(), Ended::Closed);
        }
    }
}
