//! What a world was worth, once it is settled.

use purgebus::oracle::Reads;

/// The oracle's judgement of all caches together, and the desk's account of every purge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many changes were accepted.
    pub accepted: usize,
    /// How many reads were checked.
    pub checked: u64,
    /// How many of them were old while the purge was on its way.
    pub late: u64,
    /// How many of them were old after the purge was final.
    pub stale_after_final: u64,
    /// `place path`: never purged since a change that was accepted.
    pub lost: Vec<String>,
}

impl Verdict {
    pub(super) fn add(&mut self, reads: Reads) {
        self.checked += reads.checked;
        self.late += reads.late;
        self.stale_after_final += reads.stale;
    }

    /// Nothing lost, nothing stale, and there was something to lose.
    ///
    /// # Panics
    /// When it is not so.
    pub fn must_be_clean(&self) {
        assert!(self.lost.is_empty() && self.stale_after_final == 0, "{self:#?}");
        assert!(self.accepted > 0 && self.checked > 0, "nothing was tried: {self:#?}");
    }
}
