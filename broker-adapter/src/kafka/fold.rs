//! The latest of every key of a board, from a topic that may still hold older ones.

use std::collections::BTreeMap;

use crate::{Bounds, Delivery, Partition, Position};

/// Keys held at most; beyond it, or beyond the bytes, what is held is given early: a reader may then see an older
/// message of a key before the latest.
const KEYS_MAX: usize = 65_536;
/// Bytes of bodies held at most.
const BYTES_MAX: usize = 64 << 20;

/// What was read so far of what was there at the beginning.
#[derive(Debug)]
pub(super) struct Fold {
    /// Partitions not read to their end, and that end.
    ends: BTreeMap<Partition, Position>,
    latest: BTreeMap<String, Delivery>,
    bytes: usize,
}

impl Fold {
    /// Up to these ends; `None` where nothing is kept.
    pub(super) fn until(bounds: &Bounds) -> Option<Self> {
        let kept = bounds.iter().filter(|(_, kept)| kept.first < kept.end);
        let ends: BTreeMap<_, _> = kept.map(|(partition, kept)| (*partition, kept.end)).collect();
        (!ends.is_empty()).then(|| Self { ends, latest: BTreeMap::new(), bytes: 0 })
    }

    /// One more message; a tombstone says that its key is gone.
    pub(super) fn take(&mut self, delivery: Delivery, tombstone: bool) {
        let (partition, position) = (delivery.partition, delivery.position);
        let key = delivery.key.clone().unwrap_or_default();
        self.bytes += delivery.body.len();
        let older =
            if tombstone { self.latest.remove(&key) } else { self.latest.insert(key, delivery) };
        self.bytes -= older.map_or(0, |older| older.body.len());
        if self.ends.get(&partition).is_some_and(|end| position.0 + 1 >= end.0) {
            self.ends.remove(&partition);
        }
    }

    /// Nothing more is in this partition, whatever its end said.
    pub(super) fn reached_end(&mut self, partition: Partition) {
        self.ends.remove(&partition);
    }

    /// What may be given now, in the order in which it was written.
    pub(super) fn given(&mut self) -> Vec<Delivery> {
        let full = self.latest.len() > KEYS_MAX || self.bytes > BYTES_MAX;
        if !self.is_over() && !full {
            return Vec::new();
        }
        self.bytes = 0;
        let mut given: Vec<Delivery> = std::mem::take(&mut self.latest).into_values().collect();
        given.sort_by_key(|delivery| (delivery.partition, delivery.position));
        given
    }

    /// Whether all that was there at the beginning has been read.
    pub(super) fn is_over(&self) -> bool {
        self.ends.is_empty()
    }
}
