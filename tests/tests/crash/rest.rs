//! What is found when all is quiet, and what must be true of it.

use purgebus::oracle::Reads;
use uuid::Uuid;

use crate::editors::Edit;

/// What is found when all is quiet.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Everything accepted.
    pub(crate) edits: Vec<Edit>,
    /// Pages that a cache serves in an old version.
    pub(crate) lost: Vec<String>,
    /// In Redis and through Varnish.
    pub(crate) reads: [Reads; 2],
    /// Accepted ids that a running process did not know.
    pub(crate) unknown: Vec<Uuid>,
}

impl Rest {
    /// Nothing accepted was lost, and nobody got an old page after final.
    pub(crate) fn is_sound(&self) {
        let [redis, varnish] = self.reads;
        assert!(self.unknown.is_empty(), "accepted, then unknown: {:?}", self.unknown);
        assert!(self.lost.is_empty(), "lost: {:#?}", self.lost);
        assert_eq!((redis.stale, varnish.stale), (0, 0), "stale after final: {:?}", self.reads);
        assert!(varnish.checked > 1_000, "too few reads to tell: {varnish:?}");
        assert!(redis.late + varnish.late > 0, "no race was ever run: {:?}", self.reads);
    }

    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        let [redis, varnish] = self.reads;
        format!(
            "{} purges accepted, all final; {} pages lost; reads checked in Redis {} (late {}, stale {}), \
             in Varnish {} (late {}, stale {})",
            self.edits.len(),
            self.lost.len(),
            redis.checked,
            redis.late,
            redis.stale,
            varnish.checked,
            varnish.late,
            varnish.stale
        )
    }
}
