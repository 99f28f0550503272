//! The wish to stop, passed down from the signal to every task.

use tokio_util::sync::CancellationToken;

/// A wish to stop, shared by everyone who must know of it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A wish of its own that also comes true when this one does.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Asks everyone to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether someone has asked.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until someone asks. Cancel-safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

/// Asks to stop at the first SIGINT or SIGTERM. Runs until then, or until `stop` is asked for otherwise.
pub async fn stop_on_signals(_stop: Stop) -> Result<(), crate::BoxError> {
    todo!()
}
