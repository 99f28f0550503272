//! The names of invalidations and orders.

use jiff::Timestamp;
use schemas::Invalidation;
use uuid::Uuid;

use super::PublisherHandle;
use crate::intake::Wanted;

impl PublisherHandle {
    /// Gives it its name and its time.
    pub(super) fn name(&self, wanted: Wanted) -> (Uuid, Invalidation) {
        let (id, now) = named_at(self.0.clock.now());
        (id, wanted.into_invalidation(id, now))
    }

    /// A name that nobody has given.
    pub(super) fn new_id(&self) -> Uuid {
        id_at(self.0.clock.now())
    }
}

/// A name that nobody has given, and the time of what has it: whole microseconds, which is what an idempotency key
/// remembers.
pub(crate) fn named_at(now: Timestamp) -> (Uuid, Timestamp) {
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    (id_at(now), now)
}

/// A version 7 UUID whose random bits begin with the fraction of the millisecond (RFC 9562, section 6.2, method 3):
/// what was accepted later sorts later.
fn id_at(time: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
    let fraction = u64::try_from(time.subsec_nanosecond()).unwrap_or(0) % 1_000_000;
    let [.., high, low] = ((fraction << 12) / 1_000_000).to_be_bytes();
    let [_, _, _, _, _, _, _, _, random @ ..] = Uuid::new_v4().into_bytes();
    let mut bytes = [high, low, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&random);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_microseconds_sort_as_these_and_those_of_one_differ() {
        let at = |microsecond| id_at(Timestamp::from_microsecond(microsecond).expect("in range"));
        let start = 1_800_000_000_000_000;
        let ids: Vec<Uuid> = (start..start + 3_000).map(at).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
        assert_ne!(at(start), at(start));
        assert_eq!((ids[0].get_version_num(), ids[0].get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(ids[999].get_timestamp().map(|time| time.to_unix().0), Some(1_800_000_000));
    }
}
