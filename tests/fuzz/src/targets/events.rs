//! What the command line hears from a publisher: events, and when to ask again.

use schemas::api::{Event, Problem};

use crate::memory;

const MEMORY_MAX: usize = 4 * 1024 * 1024;

pub(super) fn run(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let hear =
        |cut| memory::within(MEMORY_MAX, || purgebus::fuzzing::events(stream, usize::from(cut)));
    let events = hear(*cut);
    // However the bytes come, they say the same.
    assert_eq!(events, hear(0));
    for (id, data) in events {
        assert!(id.is_some() || !data.is_empty(), "an event that says nothing");
        if let Ok(event) = serde_json::from_str::<Event>(&data) {
            assert!(!event.word().is_empty());
        }
    }
    // Only that both are taken calmly.
    drop(serde_json::from_slice::<Problem>(stream));
    purgebus::fuzzing::pause(stream);
}
