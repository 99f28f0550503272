//! What every scenario is told alike: how long it measures, and how its figures are shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

/// How long, and how it is shown.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Terms {
    /// Measures for about so many seconds in all; what starts, fills, drains and is looked through takes more
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// Prints the document alone, without a table before it
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Draws latencies by percentile, and what was measured by round, into this file
    #[arg(long, global = true)]
    pub(crate) svg: Option<PathBuf>,
}

impl Terms {
    /// How long to measure in all; so long where nobody has said it.
    pub(crate) fn time(&self, usually: Duration) -> Duration {
        self.seconds.map_or(usually, Duration::from_secs)
    }

    /// How long to measure each of so many parts; so long where nobody has said it.
    pub(crate) fn each(&self, parts: u32, usually: Duration) -> Duration {
        self.seconds.map_or(usually, |seconds| Duration::from_secs(seconds) / parts.max(1))
    }

    /// How many of what takes so long each; so many where nobody has said how long.
    pub(crate) fn count(&self, each: Duration, usually: u32) -> u32 {
        let Some(seconds) = self.seconds else { return usually };
        let count = Duration::from_secs(seconds).as_nanos() / each.as_nanos().max(1);
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// Whether rounds that began then have measured for long enough, where anybody has said how long.
    pub(crate) fn are_over(&self, began: Instant) -> bool {
        self.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds))
    }

    /// A pause that a short run keeps short.
    pub(crate) fn pause(&self, usually: Duration) -> Duration {
        usually.min(self.time(usually))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_as_usual_and_what_is_said_is_dealt_out() {
        let usual = Duration::from_secs(3);
        let (silent, told) = (Terms::default(), Terms { seconds: Some(2), ..Terms::default() });
        assert_eq!((silent.time(usual), silent.each(4, usual)), (usual, usual));
        assert_eq!(
            (told.time(usual), told.each(4, usual)),
            (Duration::from_secs(2), Duration::from_millis(500))
        );
        assert_eq!((silent.count(usual, 7), told.count(Duration::from_millis(200), 7)), (7, 10));
        assert_eq!(told.count(usual, 7), 1);
        assert_eq!((silent.pause(usual), told.pause(usual)), (usual, Duration::from_secs(2)));
    }
}
