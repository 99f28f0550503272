//! What is found when all is quiet, and what must be true of it.

use std::collections::BTreeMap;
use std::fmt;

use purgebus::oracle::Reads;
use schemas::api::Durable;
use uuid::Uuid;

use super::Edit;

/// What is found when all is quiet.
#[derive(Debug)]
pub struct Rest {
    /// Everything accepted since the town began.
    pub edits: Vec<Edit>,
    /// Pages that a cache serves in an old version.
    pub lost: Vec<String>,
    /// By place: in its Redis, and by people.
    pub reads: BTreeMap<String, [Reads; 2]>,
    /// Accepted ids that the publisher who had accepted them did not know.
    pub unknown: Vec<Uuid>,
}

impl Rest {
    /// Nothing accepted was lost, and nobody got an old page after final.
    ///
    /// # Panics
    /// When it is not so.
    pub fn is_sound(&self) {
        assert!(self.unknown.is_empty(), "accepted, then unknown: {:?}", self.unknown);
        self.is_fresh();
    }

    /// Caches are as they must be, whatever their publishers have forgotten.
    ///
    /// # Panics
    /// When it is not so.
    pub fn is_fresh(&self) {
        assert!(self.lost.is_empty(), "lost: {:#?}", self.lost);
        assert_eq!(self.all_reads().stale, 0, "stale after final: {:#?}", self.reads);
    }

    /// Enough was read at every place, and some of it while a purge was under way.
    ///
    /// # Panics
    /// When it is not so.
    pub fn tells_enough(&self, reads_min: u64) {
        for (place, [_, read]) in &self.reads {
            assert!(read.checked > reads_min, "too few reads at {place} to tell: {read:?}");
        }
        assert!(self.all_reads().late > 0, "no race was ever run: {:#?}", self.reads);
    }

    /// How many were answered while only the publisher's journal had them.
    pub fn journalled(&self) -> usize {
        self.edits.iter().filter(|edit| edit.durable == Durable::Journal).count()
    }

    /// Of all places together.
    pub fn all_reads(&self) -> Reads {
        self.reads.values().flatten().fold(Reads::default(), |all, one| Reads {
            checked: all.checked + one.checked,
            late: all.late + one.late,
            stale: all.stale + one.stale,
        })
    }
}

/// One line for people.
impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reads { checked, late, stale } = self.all_reads();
        write!(
            f,
            "{} accepted ({} in the journal only), all final; {} lost; {checked} reads, {late} late, {stale} stale",
            self.edits.len(),
            self.journalled(),
            self.lost.len(),
        )
    }
}
