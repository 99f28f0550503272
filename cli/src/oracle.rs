//! The oracle: knows what was committed when, and judges what readers got. It asks nobody whether a purge worked.
//!
//! ```text
//! commit v2 ---- purge accepted ---- final(v2) ---------------->  time
//!     reads of v1 here are late          reads of v1 here are stale
//! ```

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Which edition of a page; rises with every commit.
pub type Version = u64;

/// What one read was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The newest committed when the read began.
    Fresh,
    /// Older than that, but the purge was not final yet.
    Late,
    /// Older than a version whose purge was final when the read began.
    Stale,
}

/// What was read at one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// All reads.
    pub checked: u64,
    /// Of them old, before the purge was final.
    pub late: u64,
    /// Of them old, after the purge was final.
    pub stale: u64,
}

#[derive(Debug, Default)]
struct History {
    committed: Vec<Duration>,
    /// When a version was final, and the highest version that was.
    finals: BTreeMap<Duration, Version>,
}

/// Everything the oracle knows. Times count from a start that all callers share.
#[derive(Debug, Default)]
pub struct Oracle {
    pages: HashMap<String, History>,
    reads: BTreeMap<String, Reads>,
}

impl Oracle {
    /// `page` was committed `at`; answers its version, the first being 1.
    pub fn commit(&mut self, page: &str, at: Duration) -> Version {
        let history = self.pages.entry(page.to_owned()).or_default();
        history.committed.push(at);
        history.committed.len() as Version
    }

    /// The bus says that the purge for `version` of `page` was final by `at`.
    pub fn finished(&mut self, page: &str, version: Version, at: Duration) {
        let Some(history) = self.pages.get_mut(page) else { return };
        let before = history.finals.range(..=at).next_back().map_or(0, |(_, version)| *version);
        history.finals.insert(at, version.max(before));
        for (_, later) in history.finals.range_mut(at..) {
            *later = version.max(*later);
        }
    }

    /// A read at `place` that began at `began` gave `version` of `page`.
    pub fn read(
        &mut self,
        place: &str,
        page: &str,
        version: Version,
        began: Duration,
    ) -> Judgement {
        let (newest, must) = self.pages.get(page).map_or((0, 0), |history| {
            let newest = history.committed.partition_point(|at| *at <= began) as Version;
            let must = history.finals.range(..=began).next_back();
            (newest, must.map_or(0, |(_, version)| *version))
        });
        let reads = self.reads.entry(place.to_owned()).or_default();
        reads.checked += 1;
        if version < must {
            reads.stale += 1;
            Judgement::Stale
        } else if version < newest {
            reads.late += 1;
            Judgement::Late
        } else {
            Judgement::Fresh
        }
    }

    /// The newest version of `page`.
    pub fn newest(&self, page: &str) -> Version {
        self.pages.get(page).map_or(0, |history| history.committed.len() as Version)
    }

    /// Every page with its newest version: what each cache must serve once all is quiet. A cache that serves
    /// less has lost a purge.
    pub fn pages(&self) -> impl Iterator<Item = (&str, Version)> {
        self.pages.iter().map(|(page, history)| (page.as_str(), history.committed.len() as Version))
    }

    /// What was read at `place` so far.
    pub fn reads(&self, place: &str) -> Reads {
        self.reads.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn changed_at_1_and_final_at_5() -> Oracle {
        let mut oracle = Oracle::default();
        oracle.commit("/a", seconds(0));
        oracle.commit("/a", seconds(1));
        oracle.finished("/a", 2, seconds(5));
        oracle
    }

    #[test]
    fn an_old_read_is_late_before_final_and_stale_after_it() {
        let mut oracle = changed_at_1_and_final_at_5();
        assert_eq!(oracle.read("eu", "/a", 1, seconds(0)), Judgement::Fresh);
        assert_eq!(oracle.read("eu", "/a", 1, seconds(4)), Judgement::Late);
        assert_eq!(oracle.read("eu", "/a", 1, seconds(5)), Judgement::Stale);
        assert_eq!(oracle.read("eu", "/a", 2, seconds(5)), Judgement::Fresh);
        assert_eq!(oracle.reads("eu"), Reads { checked: 4, late: 1, stale: 1 });
        assert_eq!(oracle.reads("us"), Reads::default());
    }

    #[test]
    fn a_version_that_is_final_earlier_than_an_older_one_counts_for_both() {
        let mut oracle = changed_at_1_and_final_at_5();
        oracle.commit("/a", seconds(2));
        oracle.finished("/a", 3, seconds(3));
        assert_eq!(oracle.read("eu", "/a", 2, seconds(6)), Judgement::Stale);
        assert_eq!(oracle.read("eu", "/a", 3, seconds(6)), Judgement::Fresh);
    }

    #[test]
    fn a_newer_read_than_committed_when_it_began_is_fresh() {
        let mut oracle = changed_at_1_and_final_at_5();
        assert_eq!(oracle.read("eu", "/a", 2, seconds(0)), Judgement::Fresh);
        assert_eq!(oracle.pages().collect::<Vec<_>>(), [("/a", 2)]);
    }
}
