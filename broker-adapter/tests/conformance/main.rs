//! The suite passes on every backend of this crate, and fails on each way to be broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod broken;
mod fault;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use broker_adapter::conformance::{self, Backend, Failure};
use broker_adapter::{Broker, Embedded, EmbeddedConfig, Misbehaving, Misbehaviour};
use jiff::Timestamp;
use parking_lot::Mutex;
use redb::Database;
use tempfile::TempDir;
use tokio::time::Instant;

use broken::BrokenBackend;
use fault::Fault;

/// A clock that follows tokio's time, and can be put forward by hand.
#[derive(Debug, Clone)]
struct Clock {
    since: Instant,
    ahead: Arc<Mutex<Duration>>,
}

impl Clock {
    fn new() -> Self {
        Self { since: Instant::now(), ahead: Arc::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap() + self.since.elapsed() + *self.ahead.lock()
    }
}

/// Embedded logs on disk, the latest of which the suite works on.
struct OnDisk {
    folder: TempDir,
    files: AtomicU32,
    clock: Clock,
    latest: Mutex<Option<Embedded>>,
}

impl OnDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, files: AtomicU32::new(0), clock: Clock::new(), latest: Mutex::new(None) }
    }

    fn file(&self, number: u32) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    fn open(&self, number: u32) -> Arc<dyn Broker> {
        let database = Arc::new(Database::create(self.file(number)).unwrap());
        let clock = self.clock.clone();
        let log = Embedded::open(database, EmbeddedConfig::default(), move || clock.now()).unwrap();
        *self.latest.lock() = Some(log.clone());
        Arc::new(log)
    }
}

#[async_trait]
impl Backend for OnDisk {
    async fn fresh(&self) -> Arc<dyn Broker> {
        self.open(self.files.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn partitions(&self) -> u32 {
        3
    }

    /// A copy of the open file is what a crash leaves.
    async fn reopen(&self, _: Arc<dyn Broker>) -> Arc<dyn Broker> {
        let number = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        std::fs::copy(self.file(number - 1), self.file(number)).unwrap();
        self.open(number)
    }

    async fn expire(&self, _: &Arc<dyn Broker>) -> bool {
        *self.clock.ahead.lock() += EmbeddedConfig::default().retention + Duration::from_secs(1);
        let log = self.latest.lock().clone().unwrap();
        log.retain(self.clock.now()).await.unwrap();
        true
    }
}

/// Embedded logs in memory, inside a wrapper that behaves.
struct InMemory;

#[async_trait]
impl Backend for InMemory {
    async fn fresh(&self) -> Arc<dyn Broker> {
        let clock = Clock::new();
        let log = Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap();
        Arc::new(Misbehaving::new(Arc::new(log), Misbehaviour::default(), 1))
    }

    fn partitions(&self) -> u32 {
        2
    }

    async fn reopen(&self, broker: Arc<dyn Broker>) -> Arc<dyn Broker> {
        broker
    }

    async fn expire(&self, _: &Arc<dyn Broker>) -> bool {
        false
    }
}

async fn passes(backend: &dyn Backend) {
    assert_eq!(conformance::run(backend).await, []);
}

#[tokio::test(start_paused = true)]
async fn the_embedded_log_on_disk_passes() {
    passes(&OnDisk::new()).await;
}

#[tokio::test(start_paused = true)]
async fn the_embedded_log_in_memory_passes_through_a_wrapper_that_behaves() {
    passes(&InMemory).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_a_fault_passes() {
    passes(&BrokenBackend::new(None)).await;
}

#[tokio::test(start_paused = true)]
async fn every_fault_fails_the_check_that_is_about_it() {
    let mut missed = Vec::new();
    for (fault, check) in Fault::ALL {
        let failures = conformance::run(&BrokenBackend::new(Some(*fault))).await;
        if !failures.iter().any(|failure: &Failure| failure.check == *check) {
            missed.push(format!("{fault:?} passes {check}; failed: {failures:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
