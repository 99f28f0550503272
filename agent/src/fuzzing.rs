//! The parsers of what comes from outside, for `tests/fuzz`; no part of what this crate offers.

use std::fs;
use std::io;
use std::path::Path;

use schemas::{CacheName, Cursor, KeptLetter, Priority};
use uuid::Uuid;

use crate::letter_folder::LetterFolder;
use crate::shelf::Shelf;

pub use crate::driver::edge::fuzzing as edge;
pub use crate::driver::redis::fuzzing as redis;
pub use crate::driver::varnish::fuzzing as varnish;

/// The cursor on a shelf whose file holds `bytes`.
pub fn shelf(state: &Path, cache: &CacheName, bytes: &[u8]) -> io::Result<Option<Cursor>> {
    fs::write(state.join(format!("{cache}.{}.cursor", Priority::Normal)), bytes)?;
    Ok(Shelf::new(state, cache, Priority::Normal).load().ok().flatten())
}

/// The dead letters in a folder where the file of that name holds `bytes`.
pub fn letters(
    state: &Path,
    cache: &CacheName,
    name: Uuid,
    bytes: &[u8],
) -> io::Result<Vec<KeptLetter>> {
    let folder = LetterFolder::new(state, cache, Priority::Normal);
    let file = folder.file(name);
    fs::create_dir_all(file.parent().unwrap_or(state))?;
    fs::write(file, bytes)?;
    folder.load().map_err(io::Error::other)
}
