//! What an edge and its driver say to each other.

use agent::fuzzing::edge;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Some(list) = edge::list(text) {
        assert_eq!(edge::list(&list), Some(list.clone()));
        // No line end of the sender's own makes two selectors of one.
        assert_eq!(list.lines().count(), text.lines().count());
    }
    if let Some(identity) = edge::identity(text) {
        assert_eq!(edge::identity(&identity), Some(identity.clone()));
    }
}
