//! A publisher that can be killed and started again: its journal outlives it.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use daemon::{Clock, Health, Stop};
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use publisher::{
    AcceptError, JournalStore, Outlet, Publisher, PublisherConfig, PublisherHandle, PublisherSetup,
};
use schemas::api::{CacheSummary, InvalidationRequest, Progress};
use schemas::{Sites, Trust};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long broker and journal keep everything.
pub(super) const RETENTION: Duration = Duration::from_hours(7 * 24);

/// Where the publisher of the moment is asked, if there is one.
#[derive(Debug, Default)]
pub(super) struct Door(RwLock<Option<PublisherHandle>>);

impl Door {
    /// The id of the accepted request; `None` if nobody was there to accept it.
    ///
    /// # Panics
    /// When the request is refused for what it says.
    pub(super) async fn accept(&self, request: &InvalidationRequest) -> Option<Uuid> {
        match self.handle()?.accept(request).await {
            Ok(accepted) => Some(accepted.id),
            Err(AcceptError::Unavailable(_)) => None,
            Err(error) => panic!("a good request was refused: {error}"),
        }
    }

    /// How far it has come; `None` if nobody is there to ask.
    ///
    /// # Panics
    /// When the publisher knows nothing of it.
    pub(super) async fn progress(&self, id: Uuid) -> Option<Progress> {
        let progress = self.handle()?.progress(id).await.expect("a journal that can be read");
        Some(progress.expect("an accepted invalidation is known"))
    }

    /// One row per lane.
    pub(super) fn lanes(&self) -> Vec<CacheSummary> {
        self.handle().map_or_else(Vec::new, |handle| handle.caches())
    }

    fn handle(&self) -> Option<PublisherHandle> {
        self.0.read().clone()
    }
}

/// A publisher and what outlives it.
#[derive(Debug)]
pub(super) struct PublisherProcess {
    store: JournalStore,
    outlet: Outlet,
    sites: Arc<Sites>,
    clock: Clock,
    door: Arc<Door>,
    metrics: Arc<Mutex<Registry>>,
    partitions: u32,
    journal_bytes: ByteSize,
    running: JoinSet<()>,
}

impl PublisherProcess {
    /// A publisher that does not run yet.
    pub(super) fn new(
        store: JournalStore,
        outlet: Outlet,
        sites: Arc<Sites>,
        clock: Clock,
    ) -> Self {
        let (door, metrics, running) = (Arc::default(), Arc::default(), JoinSet::new());
        let (partitions, journal_bytes) = (1, ByteSize::gib(4));
        Self { store, outlet, sites, clock, door, metrics, partitions, journal_bytes, running }
    }

    /// Its journal keeps so much at most, from its next life on.
    pub(super) fn set_journal_bytes(&mut self, bytes: ByteSize) {
        self.journal_bytes = bytes;
    }

    /// Its topics have so many partitions, from its next life on.
    pub(super) fn set_partitions(&mut self, partitions: u32) {
        self.partitions = partitions;
    }

    /// Calls `copy` while nothing writes to the journal: what the dead one had begun to write is written then.
    pub(super) fn at_rest(&self, copy: impl FnOnce()) {
        let database = self.store.database();
        let nobody_writes = database.begin_write().expect("a journal that can be written");
        copy();
        nobody_writes.abort().expect("nothing was written");
    }

    /// Its journal is another one, from its next life on.
    pub(super) fn set_store(&mut self, store: JournalStore) {
        self.store = store;
    }

    /// Where it is asked, whichever life of it.
    pub(super) fn door(&self) -> Arc<Door> {
        self.door.clone()
    }

    /// Opens the journal and starts.
    pub(super) async fn start(&mut self) {
        self.metrics = Arc::default();
        let publisher = Publisher::open(PublisherSetup {
            config: PublisherConfig {
                journal_bytes: self.journal_bytes,
                ..PublisherConfig::default()
            },
            name: "newsroom".parse().expect("a name"),
            sites: self.sites.clone(),
            store: self.store.clone(),
            outlet: self.outlet.clone(),
            trust: Trust::Anyone,
            partitions: self.partitions,
            retention: RETENTION,
            clock: self.clock,
            health: Health::default(),
            metrics: self.metrics.clone(),
        });
        let publisher = publisher.await.expect("a publisher");
        let handle = publisher.handle();
        let running = publisher.run(Stop::new());
        self.running.spawn(async move { running.await.expect("nobody stopped it") });
        *self.door.0.write() = Some(handle);
    }

    /// Ends it as `kill -9` would: whatever it had committed is committed.
    ///
    /// # Panics
    /// When it has ended by itself.
    pub(super) async fn kill(&mut self) {
        *self.door.0.write() = None;
        if let Some(ended) = self.running.try_join_next() {
            panic!("the publisher ended by itself: {ended:?}");
        }
        self.running.shutdown().await;
    }

    /// A counter or gauge of this life of it.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        let registry = self.metrics.lock();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics as text");
        let rows = text.lines().filter_map(|row| row.rsplit_once(' '));
        rows.filter(|(row, _)| row.split('{').next() == Some(name))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }
}
