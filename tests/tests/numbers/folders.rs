//! Folders copied away, and put back later: what a restored backup is.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder as it was.
#[derive(Debug)]
pub(crate) struct Backup {
    of: PathBuf,
    copy: TempDir,
}

impl Backup {
    /// Copies `folder`, whose owner does not run.
    pub(crate) fn of(folder: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a folder");
        copy_all(folder, copy.path());
        Self { of: folder.to_owned(), copy }
    }

    /// Puts it back in the place of what is there now.
    pub(crate) fn restore(self) {
        fs::remove_dir_all(&self.of).expect("it is there");
        copy_all(self.copy.path(), &self.of);
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
