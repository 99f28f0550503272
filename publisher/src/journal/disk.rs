//! Whether the disk has room for another commit. Commits leave some room, on which the other writers of the database
//! live; when there is room again, the journal takes again.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tracing::warn;

use super::file::Stall;

/// Free space that commits leave alone; other writers of the database live on it.
const RESERVE_BYTES: u64 = 32 << 20;

type FreeBytes = Box<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// Knows how much is free where the journal lies.
pub(super) struct Disk {
    free_bytes: Option<FreeBytes>,
    stall: Stall,
}

impl Disk {
    /// The disk of `folder`, where writes that find no room wait in `stall`.
    pub(super) fn of(folder: PathBuf, stall: Stall) -> Self {
        let free_bytes = move || {
            let space = rustix::fs::statvfs(&folder)?;
            Ok(space.f_bavail.saturating_mul(space.f_frsize))
        };
        Self { free_bytes: Some(Box::new(free_bytes)), stall }
    }

    /// Of a journal in memory.
    pub(super) fn boundless() -> Self {
        Self { free_bytes: None, stall: Stall::none() }
    }

    /// Whether a commit may be tried.
    pub(super) fn has_room(&self) -> bool {
        if self.stall.is_on() {
            return false;
        }
        match self.free_bytes.as_ref().map(|free_bytes| free_bytes()) {
            None => true,
            Some(Ok(free)) => free > RESERVE_BYTES,
            Some(Err(error)) => {
                warn!(%error, "cannot tell how much room the journal's disk has");
                true
            }
        }
    }

    /// Waits until a write has found no room. Cancel-safe.
    pub(super) async fn is_stuck(&self) {
        self.stall.begins().await;
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("stall", &self.stall).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Disk {
    /// A disk with what `free_bytes` says.
    pub(super) fn pretend(free_bytes: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { free_bytes: Some(Box::new(move || Ok(free_bytes()))), stall: Stall::none() }
    }
}
