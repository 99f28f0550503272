//! What operators write: the configuration, for each role, and the tokens file.

use std::path::Path;

use publisher::Tokens;

use crate::memory;

/// What is wrong is read again until the rest is right, each time from a copy.
const MEMORY_MAX: usize = 64 * 1024 * 1024;

pub(super) fn run(bytes: &[u8]) {
    let Some((chosen, text)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    if *chosen == b't' {
        let file = Path::new("tokens.toml");
        let tokens = memory::within(MEMORY_MAX, || Tokens::parse(text, file));
        assert!(tokens.err().is_none_or(|error| error.to_string().contains("tokens.toml")));
        return;
    }
    // A file that it names is opened, to see whether it is there.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    memory::within(MEMORY_MAX, || purgebus::fuzzing::configuration(text, *chosen));
}
