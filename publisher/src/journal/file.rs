//! The file below the journal's store. The store cannot go on after a write that failed, so while its disk is full a
//! write waits here; whoever waits for it is told by [`Stall`], and it lands when there is room again.
//!
//! A sync that failed is not repeated: the system may have dropped what it could not write.

use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use tokio::sync::watch;
use tracing::{info, warn};

use super::seal::Seal;

/// How often a full disk is tried again.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// Whether a write waits for room on the disk. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stall(Arc<watch::Sender<bool>>);

impl Stall {
    /// Nothing waits.
    pub(super) fn none() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Whether a write waits now.
    pub(super) fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until a write waits. Cancel-safe.
    pub(super) async fn begins(&self) {
        // It ends only with the sender, which this holds.
        let _never_closed = self.0.subscribe().wait_for(|waits| *waits).await.is_ok();
    }

    fn set(&self, waits: bool) {
        self.0.send_replace(waits);
    }

    /// Does work that writes, as often as it takes while the disk is full.
    pub(super) fn patiently(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut done = work();
        if !is_full(&done) {
            return done;
        }
        warn!("the journal's disk is full: nothing is accepted until it has room");
        self.set(true);
        while is_full(&done) {
            std::thread::park_timeout(TRY_EVERY);
            done = work();
        }
        self.set(false);
        info!("the journal's disk has room again");
        done
    }
}

/// A file whose writes wait while the disk is full.
#[derive(Debug)]
pub(super) struct PatientFile<B = FileBackend> {
    inner: B,
    stall: Stall,
    seal: Option<Arc<Seal>>,
}

impl<B> PatientFile<B> {
    pub(super) fn new(inner: B, stall: Stall, seal: Option<Arc<Seal>>) -> Self {
        Self { inner, stall, seal }
    }

    /// What has failed leaves a file of which nothing is known.
    fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let (Err(_), Some(seal)) = (&done, &self.seal) {
            seal.broken();
        }
        done
    }
}

fn is_full(done: &io::Result<()>) -> bool {
    let kind = done.as_ref().map_err(io::Error::kind);
    matches!(kind, Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

impl<B: StorageBackend> StorageBackend for PatientFile<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.noted(self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noted(self.stall.patiently(|| self.inner.set_len(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.noted(self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noted(self.stall.patiently(|| self.inner.write(offset, data)))
    }

    fn close(&self) -> io::Result<()> {
        self.noted(self.inner.close())?;
        if let Some(seal) = &self.seal {
            seal.put();
        }
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use redb::backends::InMemoryBackend;

    use super::*;

    /// Has no room for the first so many writes, and never syncs.
    #[derive(Debug)]
    struct Crowded {
        inner: InMemoryBackend,
        refuses: AtomicU32,
        syncs: AtomicU32,
    }

    impl StorageBackend for Crowded {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.inner.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.inner.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            Err(ErrorKind::StorageFull.into())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let refuses = self
                .refuses
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match refuses {
                Ok(_) => Err(ErrorKind::StorageFull.into()),
                Err(_) => self.inner.write(offset, data),
            }
        }
    }

    #[tokio::test]
    async fn a_write_waits_for_room_and_says_so_and_a_sync_is_tried_once() {
        let (inner, stall) = (InMemoryBackend::new(), Stall::none());
        let crowded = Crowded { inner, refuses: 3.into(), syncs: 0.into() };
        let file = PatientFile::new(crowded, stall.clone(), None);
        file.set_len(4).unwrap();
        let writing = tokio::task::spawn_blocking(move || {
            file.write(0, b"page").unwrap();
            file
        });
        stall.begins().await;
        let file = writing.await.unwrap();
        assert!(!stall.is_on());
        let mut read = [0; 4];
        file.read(0, &mut read).unwrap();
        assert_eq!(&read, b"page");
        assert!(file.sync_data().is_err());
        assert_eq!(file.inner.syncs.load(Ordering::Relaxed), 1);
    }
}
