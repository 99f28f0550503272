//! A disk that forgets at a crash what was not synced, counts syncs, and can fail.

use std::io;
use std::sync::Arc;

use broker_adapter::{BrokerError, Embedded, EmbeddedConfig};
use jiff::Timestamp;
use parking_lot::Mutex;
use redb::{Database, StorageBackend};

use crate::at;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    written: Vec<u8>,
    synced: Vec<u8>,
    syncs: u64,
    full: bool,
}

impl Disk {
    pub(crate) fn open(&self) -> Result<Embedded, BrokerError> {
        self.open_with(EmbeddedConfig::default(), || at(0))
    }

    pub(crate) fn open_with(
        &self,
        config: EmbeddedConfig,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Embedded, BrokerError> {
        // A repair reads the whole file, which may take minutes: no crash may need one.
        let database = Database::builder()
            .set_repair_callback(redb::RepairSession::abort)
            .create_with_backend(self.clone())
            .unwrap();
        Embedded::open(Arc::new(database), config, now)
    }

    /// The disk after the power went: what was not synced is gone.
    pub(crate) fn after_crash(&self) -> Self {
        let synced = self.0.lock().synced.clone();
        let state = State { written: synced.clone(), synced, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(crate) fn fill(&self) {
        self.0.lock().full = true;
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = index(offset);
        out.copy_from_slice(&self.0.lock().written[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        state.written.resize(index(len), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = &mut *self.0.lock();
        state.check()?;
        state.synced.clone_from(&state.written);
        state.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check()?;
        let from = index(offset);
        state.written[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}
