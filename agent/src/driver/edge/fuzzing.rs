//! What hears an edge and its driver, for `tests/fuzz`: text in, text out.

use super::protocol::{self, Identity};

/// The list of selectors in a purge's body, written again.
pub fn list(text: &str) -> Option<String> {
    let purges = protocol::read_list(text).ok()?;
    Some(protocol::write_list(&purges).expect("an edge holds what it could read"))
}

/// Who an edge says it is, said again.
pub fn identity(text: &str) -> Option<String> {
    text.parse().ok().map(|identity: Identity| identity.to_string())
}
