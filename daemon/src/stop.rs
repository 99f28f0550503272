//! The wish to stop, passed down from the signal to every task.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

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

/// A signal came while the process was stopping already: whoever sent it does not want to wait.
#[derive(Debug, thiserror::Error)]
#[error("a second signal came before everything had stopped")]
pub struct Impatient;

/// Listens for SIGINT and SIGTERM from this call on. The future it returns asks to stop at the first and ends
/// only at a second one, so race it against the crew:
///
/// ```no_run
/// # use daemon::{BoxError, Crew, Stop, stop_on_signals};
/// # async fn serve(crew: Crew, stop: Stop, grace: std::time::Duration) -> Result<(), BoxError> {
/// let impatient = stop_on_signals(stop)?;
/// tokio::select! {
///     ended = crew.run(grace) => Ok(ended?),
///     second = impatient => Err(second.into()),
/// }
/// # }
/// ```
pub fn stop_on_signals(
    stop: Stop,
) -> std::io::Result<impl Future<Output = Impatient> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        either(&mut interrupt, &mut terminate).await;
        info!("stopping; a second signal ends the process at once");
        stop.request();
        either(&mut interrupt, &mut terminate).await;
        Impatient
    })
}

/// The wishes to read the configuration again: SIGHUP, from its making on.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// From now on SIGHUP does not end the process.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// The next one; several that came meanwhile are one. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // Signals end with the runtime.
            std::future::pending::<()>().await;
        }
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_hears_its_parent_and_not_the_other_way_round() {
        let parent = Stop::new();
        let (first, second) = (parent.child(), parent.child());
        first.request();
        assert!(first.is_requested() && !second.is_requested() && !parent.is_requested());
        parent.request();
        assert!(second.is_requested());
    }
}
