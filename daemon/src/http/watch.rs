//! Sees to it that a connection gets on: whoever sends a request's head slowly, does nothing, or does not read what it
//! asked for is found out.
//!
//! What happens is only counted where it happens; one timer for each connection looks at the counts once in a while, so
//! that a request costs no timer and no look at the clock.
//!
//! ```text
//! waiting for a head --service called--> answering --last byte of the body--> waiting for a head
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// How often a connection is looked at: all times below are as exact as this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From the first byte of a request, or the beginning of the connection, the whole head must be here within this time.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// A connection on which nothing is asked for so long is closed.
pub(super) const IDLE_MAX: Duration = Duration::from_mins(1);
/// A client that takes nothing of an answer for so long is cut off.
pub(super) const STALLED_MAX: Duration = Duration::from_secs(30);

/// Why a connection is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A request was begun and is still not whole.
    Head,
    /// Nothing was asked.
    Idle,
    /// What was asked for is not taken.
    Stalled,
}

impl Overdue {
    /// For the metrics, where it is the client's fault.
    pub(super) fn fault(self) -> Option<&'static str> {
        match self {
            Self::Head => Some("slow_head"),
            Self::Idle => None,
            Self::Stalled => Some("stalled"),
        }
    }
}

/// What has happened on a connection. Only its own task writes here, so nothing is ordered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Even while a head is waited for, odd while a request is answered.
    turn: AtomicU64,
    read: AtomicU64,
    /// Bytes read when the turn began.
    read_before: AtomicU64,
    written: AtomicU64,
    write_waits: AtomicBool,
}

impl Seen {
    fn next_turn(&self) {
        self.read_before.store(self.read.load(Relaxed), Relaxed);
        self.turn.fetch_add(1, Relaxed);
    }

    fn wrote<T>(&self, polled: &Poll<io::Result<T>>, bytes: impl FnOnce(&T) -> usize) {
        match polled {
            Poll::Pending => self.write_waits.store(true, Relaxed),
            Poll::Ready(done) => {
                self.write_waits.store(false, Relaxed);
                let bytes = done.as_ref().map_or(0, bytes);
                self.written.fetch_add(bytes as u64, Relaxed);
            }
        }
    }

    /// Comes to an end when the connection must.
    pub(super) async fn overdue(&self) -> Overdue {
        let begun = Instant::now();
        let (mut turn, mut turn_seen) = (0, begun);
        // The first request must come without delay.
        let mut head_since = Some(begun);
        let (mut written, mut taken_at) = (0, begun);
        loop {
            sleep(LOOK_EVERY).await;
            let now = Instant::now();
            if self.turn.load(Relaxed) != turn {
                (turn, turn_seen, head_since) = (self.turn.load(Relaxed), now, None);
            }
            let waits_for_head = turn % 2 == 0;
            if waits_for_head && self.read.load(Relaxed) > self.read_before.load(Relaxed) {
                head_since.get_or_insert(now);
            }
            let write_waits = self.write_waits.load(Relaxed);
            if !write_waits || self.written.load(Relaxed) != written {
                (written, taken_at) = (self.written.load(Relaxed), now);
            }
            if write_waits {
                // The end of an answer is still on its way.
                turn_seen = now;
            }
            let is_over = |since: Instant, max| now.duration_since(since) >= max;
            if is_over(taken_at, STALLED_MAX) {
                return Overdue::Stalled;
            }
            match head_since {
                Some(since) if waits_for_head && is_over(since, HEAD_WITHIN) => {
                    let begun = self.read.load(Relaxed) > self.read_before.load(Relaxed);
                    return if begun { Overdue::Head } else { Overdue::Idle };
                }
                None if waits_for_head && is_over(turn_seen, IDLE_MAX) => return Overdue::Idle,
                _ => {}
            }
        }
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Seen>);

impl Turn {
    pub(super) fn begin(seen: &Arc<Seen>) -> Self {
        seen.next_turn();
        Self(Arc::clone(seen))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.next_turn();
    }
}

/// The body of an answer, with which its turn ends.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) _turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) seen: Arc<Seen>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.seen.read.fetch_add(read as u64, Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.seen.wrote(&polled, |written| *written);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.seen.wrote(&polled, |written| *written);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Under TLS, what was written may wait here.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.seen.wrote(&polled, |()| 0);
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.seen.wrote(&polled, |()| 0);
        polled
    }
}
