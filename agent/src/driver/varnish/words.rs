//! How an answer begins, word by word as it comes off the connection.

use schemas::Exchange;

/// So much of an answer is kept behind its status line: a little more than anybody is told.
const BYTES_MAX: usize = 2 * 1024;

/// The beginning of one answer, if it is worth keeping.
#[derive(Debug)]
pub(super) struct Words(Option<Kept>);

#[derive(Debug)]
struct Kept {
    status: Vec<u8>,
    rest: Vec<u8>,
}

impl Words {
    /// Of an answer that nobody will ask about.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Of an answer with this head.
    pub(super) fn of(head: &[u8]) -> Self {
        let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        let (status, rest) = head.split_at(end);
        let mut words =
            Self(Some(Kept { status: status.trim_ascii_end().to_vec(), rest: Vec::new() }));
        words.hear(rest.strip_prefix(b"\n").unwrap_or(rest));
        words
    }

    /// The answer goes on.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        if let Some(Kept { rest, .. }) = &mut self.0 {
            let room = BYTES_MAX.saturating_sub(rest.len());
            rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// All that was kept.
    pub(super) fn exchange(self) -> Option<Exchange> {
        self.0.map(|Kept { status, rest }| Exchange::new(&status, &rest))
    }
}
