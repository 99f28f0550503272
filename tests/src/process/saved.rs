//! What a dead process left on the disk: forgotten, saved, or put back older than it was.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Process;

/// A copy of what a process had on the disk, its log aside.
#[derive(Debug)]
pub struct Saved(TempDir);

impl Process {
    /// It loses its journal and its cursors. To be called while it is dead.
    ///
    /// # Panics
    /// When it runs, or they cannot be removed.
    pub fn forget(&self) {
        assert!(self.child.is_none(), "it runs");
        for folder in [self.home.journal(), self.home.state()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// A copy of its journal and its cursors. To be called while it is dead.
    ///
    /// # Panics
    /// When it runs, or they cannot be copied.
    pub fn save(&self) -> Saved {
        assert!(self.child.is_none(), "it runs");
        let saved = tempfile::tempdir().expect("a fresh folder");
        for (from, name) in self.kept() {
            copy(&from, &saved.path().join(name));
        }
        Saved(saved)
    }

    /// Its journal and its cursors are again as they were saved. To be called while it is dead.
    ///
    /// # Panics
    /// When it runs, or they cannot be copied.
    pub fn put_back(&self, saved: &Saved) {
        self.forget();
        for (to, name) in self.kept() {
            copy(&saved.0.path().join(name), &to);
        }
    }

    fn kept(&self) -> [(PathBuf, &'static str); 2] {
        [(self.home.journal(), "journal"), (self.home.state(), "state")]
    }
}

/// A folder with its files; neither has folders within. One that is not there is left out.
fn copy(from: &Path, to: &Path) {
    let Ok(files) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).expect("a folder");
    for file in files {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}
