//! Why frames do not leave, as forwarders see it, for whoever is asked about the publisher's health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::journal::Stream;

/// A broker that took a heartbeat not longer ago takes messages.
const ALIVE_FOR: Duration = Duration::from_secs(3);

/// What keeps each stream from moving. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Troubles(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    refused: BTreeMap<Stream, String>,
    board: Option<String>,
    /// When the broker last took a heartbeat.
    beats: BTreeMap<Stream, Instant>,
}

impl Troubles {
    /// The broker refuses a frame of this stream, for `reason`; or it does not any more.
    pub(super) fn refused(&self, stream: Stream, reason: Option<String>) {
        let mut known = self.0.lock();
        match reason {
            Some(reason) => drop(known.refused.insert(stream, reason)),
            None => drop(known.refused.remove(&stream)),
        }
    }

    /// The board does not take who speaks, for `reason`; or it does.
    pub(super) fn board(&self, reason: Option<String>) {
        self.0.lock().board = reason;
    }

    /// The broker has just taken a heartbeat of this stream.
    pub(crate) fn beat(&self, stream: Stream) {
        self.0.lock().beats.insert(stream, Instant::now());
    }

    /// Whether the broker took a heartbeat of this stream of late.
    pub(super) fn alive(&self, stream: Stream) -> bool {
        self.0.lock().beats.get(&stream).is_some_and(|at| at.elapsed() < ALIVE_FOR)
    }

    /// All of it in words, if there is any.
    pub(crate) fn in_words(&self) -> Option<String> {
        let known = self.0.lock();
        let refused = known.refused.iter();
        let refused = refused.map(|(stream, why)| format!("the broker refuses {stream}: {why}"));
        let board = known.board.iter();
        let board =
            board.map(|why| format!("the publishers board does not take who speaks: {why}"));
        let words: Vec<String> = refused.chain(board).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}
