//! Where a lane's dead letters lie between its lives: one file each, in a folder of the agent's `state` folder.
//!
//! A letter is written before the cursor that names its numbers, and removed after the cursor that no longer does: so a
//! crash leaves a letter too many, never one too few.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemas::{CacheName, KeptLetter, Priority, wire};
use tracing::warn;
use uuid::Uuid;

use crate::error_chain;
use crate::letters::{LETTERS_MAX, LetterChanges};
use crate::shelf::{ShelfError, replace_in, sync};

/// The folder of all lanes.
const FOLDER: &str = "dead-letters";
/// What the name of a letter's file ends with, and what is added to it where the file is damaged.
const LETTER: &str = "letter";
const DAMAGED: &str = "damaged";
/// Most files looked at: letters, one crash's surplus, and what was set aside.
const FILES_MAX: usize = 4 * LETTERS_MAX;

/// The folder of one lane, made with its first letter.
#[derive(Debug, Clone)]
pub(crate) struct LetterFolder {
    path: PathBuf,
}

impl LetterFolder {
    /// The folder of a lane in the folder `state`.
    pub(crate) fn new(state: &Path, cache: &CacheName, priority: Priority) -> Self {
        Self { path: state.join(FOLDER).join(format!("{cache}.{priority}")) }
    }

    /// Every letter that can be read. A damaged one is set aside beside it: its numbers are done again.
    pub(crate) fn load(&self) -> Result<Vec<KeptLetter>, ShelfError> {
        let files = match fs::read_dir(&self.path) {
            Ok(files) => files,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(error(&self.path, source)),
        };
        let mut letters = Vec::new();
        for file in files.take(FILES_MAX) {
            let path = file.map_err(|source| error(&self.path, source))?.path();
            if path.extension().is_none_or(|kind| kind != LETTER) || letters.len() >= LETTERS_MAX {
                continue;
            }
            match read(&path).map_err(|source| error(&path, source))? {
                Ok(letter) => letters.push(letter),
                Err(reason) => set_aside(&path, &reason)?,
            }
        }
        Ok(letters)
    }

    /// Writes what is new; durable when it returns.
    pub(crate) fn write(&self, changes: &LetterChanges) -> Result<(), ShelfError> {
        if changes.written.is_empty() {
            return Ok(());
        }
        let folder = |source| error(&self.path, source);
        let new = !self.path.exists();
        fs::create_dir_all(&self.path).map_err(folder)?;
        for kept in &changes.written {
            let path = self.file(kept.letter.id);
            replace_in(&self.path, &path, &wire::encode_letter(kept))
                .map_err(|source| error(&path, source))?;
        }
        sync(&self.path).map_err(folder)?;
        // The names of new folders stand in those that hold them.
        let mut above = self.path.ancestors().skip(1).take(if new { 2 } else { 0 });
        above.try_for_each(sync).map_err(folder)
    }

    /// Removes what is no more.
    pub(crate) fn remove(&self, changes: &LetterChanges) -> Result<(), ShelfError> {
        for id in &changes.gone {
            let path = self.file(*id);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(error(&path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the letter of that name lies.
    pub(crate) fn file(&self, id: Uuid) -> PathBuf {
        self.path.join(id.to_string()).with_extension(LETTER)
    }
}

fn set_aside(path: &Path, reason: &str) -> Result<(), ShelfError> {
    warn!(file = %path.display(), reason, "a dead letter is damaged: set aside, its numbers are done again");
    let aside = path.with_extension(format!("{LETTER}.{DAMAGED}"));
    fs::rename(path, aside).map_err(|source| error(path, source))
}

fn error(path: &Path, source: io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), source }
}

/// The letter in a file, or why there is none in it.
fn read(path: &Path) -> io::Result<Result<KeptLetter, String>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(wire::BODY_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1_024);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    let letter = wire::decode_letter(&bytes).map_err(|error| error_chain(&error));
    let name = path.file_stem().and_then(|name| name.to_str());
    Ok(letter.and_then(|kept| {
        let same = name == Some(&kept.letter.id.to_string());
        if same { Ok(kept) } else { Err("it is the letter of another file".to_owned()) }
    }))
}

#[cfg(test)]
mod tests;
