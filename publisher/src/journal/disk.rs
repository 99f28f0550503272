//! Whether the disk has room for another commit. The store cannot go on after a write that failed, so it is not
//! let near the end of the disk; when there is room again, the journal takes again.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tracing::warn;

/// Free space that commits leave alone; other writers of the database live on it.
const RESERVE_BYTES: u64 = 32 << 20;

type FreeBytes = Box<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// Knows how much is free where the journal lies.
pub(super) struct Disk(Option<FreeBytes>);

impl Disk {
    /// The disk of `folder`; `None` for a journal in memory.
    pub(super) fn of(folder: Option<PathBuf>) -> Self {
        Self(folder.map(|folder| -> FreeBytes {
            Box::new(move || {
                let space = rustix::fs::statvfs(&folder)?;
                Ok(space.f_bavail.saturating_mul(space.f_frsize))
            })
        }))
    }

    /// Whether a commit may be tried.
    pub(super) fn has_room(&self) -> bool {
        match self.0.as_ref().map(|free_bytes| free_bytes()) {
            None => true,
            Some(Ok(free)) => free > RESERVE_BYTES,
            Some(Err(error)) => {
                warn!(%error, "cannot tell how much room the journal's disk has");
                true
            }
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Disk {
    /// A disk with what `free_bytes` says.
    pub(super) fn pretend(free_bytes: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(move || Ok(free_bytes()))))
    }
}
