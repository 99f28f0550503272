//! The trail, for those who leave lines in it: nothing here waits for the disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use daemon::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemas::{Invalidation, Region};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::entry::{Origin, Publishing, Refusal};
use super::folds::{Alike, Folds};
use super::head::Head;
use super::line::LINE_BYTES_MAX;
use super::metrics::AuditMetrics;
use super::segment::entry;
use super::tokens::KnownTokens;

/// Most lines, and most bytes of them, that wait to be written.
pub(super) const QUEUE_LINES_MAX: usize = 32_768;
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Longest entry: a line has its place in the chain beside it.
const ENTRY_BYTES_MAX: usize = LINE_BYTES_MAX - 512;
/// Whoever reads waits so long for what was told before.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Takes lines. Cheap to clone. One that is off takes none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Option<Arc<Shared>>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Box<Path>,
    pub(super) clock: Clock,
    pub(super) metrics: AuditMetrics,
    pub(super) queue: mpsc::Sender<Queued>,
    pub(super) queued_bytes: AtomicUsize,
    /// Lines that found no place in the queue, and are not told of yet.
    pub(super) lost: AtomicU64,
    /// Whether what was told last was written, and there is room for more.
    pub(super) works: AtomicBool,
    pub(super) folds: Mutex<Folds>,
    /// The newest line written.
    pub(super) head: Mutex<Head>,
    /// What is known of the tokens, and whether that is in the journal's store.
    pub(super) tokens: Mutex<(KnownTokens, bool)>,
}

/// What the writer is given.
#[derive(Debug)]
pub(super) enum Queued {
    /// A line's entry.
    Entry(Vec<u8>),
    /// Asks to be told when all before it is written.
    Flush(oneshot::Sender<()>),
}

impl Trail {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Some(shared))
    }

    /// Where its files lie.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.0.as_deref().map(|shared| &*shared.folder)
    }

    /// The newest line written.
    pub(super) fn head(&self) -> Option<Head> {
        self.0.as_ref().map(|shared| *shared.head.lock())
    }

    /// Whether what is told now will be written, as far as one can know.
    pub(crate) fn works(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| shared.works.load(Ordering::Relaxed))
    }

    /// Something happened.
    pub(crate) fn tell(&self, at: Timestamp, what: &str, facts: &Value) {
        if self.0.is_some() {
            self.push(entry(at, what, facts));
        }
    }

    /// Something happened now.
    pub(crate) fn tell_now(&self, what: &str, facts: &Value) {
        if let Some(shared) = &self.0 {
            self.tell(shared.clock.now(), what, facts);
        }
    }

    /// An invalidation goes into the journal; `None` where nothing is written.
    pub(crate) fn publishing<'a>(
        &'a self,
        origin: Origin<'a>,
        invalidation: &Invalidation,
        regions: Option<&BTreeSet<Region>>,
    ) -> Option<Publishing<'a>> {
        self.0.is_some().then(|| Publishing::new(self, origin, invalidation, regions))
    }

    /// A request was refused. Those that are alike are told once a second.
    pub(crate) fn refused(&self, what: &str, refusal: Refusal<'_>) {
        let Some(shared) = &self.0 else { return };
        let Refusal { origin, kind, request, mut facts } = refusal;
        let (from, who) = (origin.from.map(|from| from.ip()), origin.who.to_owned());
        let alike = Alike { from, who, kind, request };
        if shared.folds.lock().is_new(alike) {
            origin.add_to(&mut facts);
            facts["kind"] = kind.into();
            self.tell(shared.clock.now(), what, &facts);
        }
    }

    /// The tokens are these now.
    pub(crate) fn note_tokens(&self, tokens: KnownTokens) {
        let Some(shared) = &self.0 else { return };
        let mut known = shared.tokens.lock();
        for change in known.0.changes(&tokens) {
            let facts = json!({"token": change.name, "hash": change.hash});
            self.tell(shared.clock.now(), change.what, &facts);
        }
        if known.0 != tokens {
            *known = (tokens, false);
        }
    }

    /// Waits until all that was told before is written; answers whether it is.
    pub(crate) async fn flush(&self) -> bool {
        let Some(shared) = &self.0 else { return true };
        let (done, written) = oneshot::channel();
        let flushed = async {
            shared.queue.send(Queued::Flush(done)).await.ok()?;
            written.await.ok()
        };
        matches!(timeout(FLUSH_WITHIN, flushed).await, Ok(Some(())))
    }

    /// Takes an entry, a JSON object that begins with `at` and `what`.
    pub(super) fn push(&self, entry: Vec<u8>) {
        let Some(shared) = &self.0 else { return };
        let entry =
            if entry.len() > ENTRY_BYTES_MAX { cut(&entry, shared.clock.now()) } else { entry };
        let bytes = entry.len();
        let queued = shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_lost = queued + bytes > QUEUE_BYTES_MAX
            || shared.queue.try_send(Queued::Entry(entry)).is_err();
        if is_lost {
            shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            shared.lost.fetch_add(1, Ordering::Relaxed);
            shared.metrics.lost.inc();
        }
    }
}

/// What can be said of an entry that is too long for a line.
fn cut(entry: &[u8], now: Timestamp) -> Vec<u8> {
    let whole: Value = serde_json::from_slice(entry).unwrap_or_default();
    let mut facts = json!({"cut": true, "bytes": entry.len()});
    for name in ["who", "from", "id", "site", "request", "kind", "line", "number", "status"] {
        if let Some(value) = whole.get(name) {
            facts[name] = value.clone();
        }
    }
    let what = whole["what"].as_str().unwrap_or("cut").to_owned();
    super::segment::entry(
        whole["at"].as_str().and_then(|at| at.parse().ok()).unwrap_or(now),
        &what,
        &facts,
    )
}
