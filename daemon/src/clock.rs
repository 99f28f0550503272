//! Wall-clock time as a dependency, so that tests under paused time have a clock that follows it.

use jiff::Timestamp;
use tokio::time::Instant;

/// Where a component reads the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    System,
    Following { start: Timestamp, since: Instant },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and goes on with tokio's time, paused or not.
    pub fn following(start: Timestamp) -> Self {
        Self(Source::Following { start, since: Instant::now() })
    }

    /// What it shows.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(self) -> Timestamp {
        match self.0 {
            Source::System => Timestamp::now(),
            Source::Following { start, since } => {
                start.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX)
            }
        }
    }
}
