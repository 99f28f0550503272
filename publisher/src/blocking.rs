//! Work that blocks on the disk.

use tokio::task::spawn_blocking;

/// Runs work that blocks on the disk on a thread of its own; its panic is ours. A dropped call does not stop work that
/// has begun.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels blocking work, and then nobody waits for it.
            Err(_) => std::future::pending().await,
        },
    }
}
