//! What a dead process left on the disk: its log and its cursors. Read from a copy, so that the next life finds
//! exactly what this one left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use broker_adapter::{
    Broker, Embedded, EmbeddedConfig, Message, Partition, Position, Start, Topic,
};
use bytes::Bytes;
use daemon::Clock;
use publisher::JournalStore;
use schemas::{Cursor, Invalidation, LogMessage, Place, Priority, wire};

use super::Serve;
use crate::eventually;

const READ_MAX: usize = 1_000;

/// What a dead process left, of normal priority.
#[derive(Debug)]
pub struct Remains {
    /// Everything that has a number, by its place.
    pub numbered: BTreeMap<Place, Invalidation>,
    /// The cursor of each cache that has one.
    pub cursors: BTreeMap<String, Cursor>,
}

/// Whether a cursor says that a number is finally settled.
pub fn is_finished(cursor: &Cursor, place: Place) -> bool {
    cursor.lines.iter().filter(|line| line.line == place.line).any(|line| {
        let above = || line.settled.iter().any(|range| range.contains(place.number));
        place.number <= line.floor || above()
    })
}

impl Serve {
    /// What it left. To be called while it is dead.
    ///
    /// # Panics
    /// When that cannot be read.
    pub async fn remains(&self) -> Remains {
        assert!(!self.process.is_started(), "it runs");
        Remains {
            numbered: numbered(&self.process.home().journal()).await,
            cursors: self.cursors(),
        }
    }

    /// The cursors that it has stored by now.
    ///
    /// # Panics
    /// When one is not whole.
    pub fn cursors(&self) -> BTreeMap<String, Cursor> {
        cursors(&self.process.home().state())
    }

    /// Appends messages to its log, as whoever owns the broker can. To be called while it is dead.
    ///
    /// # Panics
    /// When the log does not take them.
    pub async fn inject(&self, bodies: impl IntoIterator<Item = Bytes>) {
        assert!(!self.process.is_started(), "it runs");
        let journal = self.process.home().journal();
        let log = open(&journal);
        let message = |body| Message { key: None, id: None, body };
        let messages = bodies.into_iter().map(message).collect();
        let taken = log.publish(topic(), Partition::default(), messages).await;
        taken.expect("the log takes it");
        drop(log);
        // The thread that wrote holds the log a moment longer than its answer takes.
        eventually("the journal is let go", async || JournalStore::open(&journal).is_ok()).await;
    }
}

fn topic() -> Topic {
    Topic::log(Priority::Normal.as_str())
}

fn open(folder: &Path) -> Embedded {
    let store = JournalStore::open(folder).expect("a journal");
    let clock = Clock::system();
    let log = Embedded::open(store.database(), EmbeddedConfig::default(), move || clock.now());
    log.expect("a log")
}

async fn numbered(journal: &Path) -> BTreeMap<Place, Invalidation> {
    let copy = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(journal).expect("a journal") {
        let file = file.expect("a file");
        fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
    }
    let log = open(copy.path());
    let mut numbered = BTreeMap::new();
    let bounds = log.bounds(topic()).await.expect("bounds");
    let Some(bounds) = bounds.get(&Partition::default()) else { return numbered };
    let mut read = log.subscribe(topic(), Start::Oldest).await.expect("a subscription");
    let mut next = bounds.first;
    while next < bounds.end {
        for delivery in read.read(READ_MAX).await.expect("deliveries") {
            next = Position(delivery.position.0 + 1);
            if let Ok(LogMessage::Frame(frame)) = wire::decode_log(&delivery.body) {
                let places = (frame.first..).map(|number| Place { line: frame.line, number });
                numbered.extend(places.zip(frame.invalidations));
            }
        }
    }
    numbered
}

fn cursors(state: &Path) -> BTreeMap<String, Cursor> {
    let mut cursors = BTreeMap::new();
    let suffix = format!(".{}.cursor", Priority::Normal);
    for file in fs::read_dir(state).into_iter().flatten() {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        if let Some(cache) = name.strip_suffix(&suffix) {
            let bytes = fs::read(file.path()).expect("a cursor");
            let cursor = wire::decode_cursor(&bytes).expect("a whole cursor, whenever it died");
            cursors.insert(cache.to_owned(), cursor);
        }
    }
    cursors
}
