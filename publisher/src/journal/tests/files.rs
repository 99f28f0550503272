//! The files of a journal, as a crash or a copy finds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

pub(super) const STORE: &str = "journal.redb";
pub(super) const AHEAD: &str = "journal.wal";

/// All files of a folder, by their names.
#[derive(Debug, Clone)]
pub(super) struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    pub(super) fn in_folder(folder: &Path) -> Self {
        let file = |file: fs::DirEntry| {
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        };
        Self(fs::read_dir(folder).unwrap().map(|found| file(found.unwrap())).collect())
    }

    pub(super) fn of(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.get_mut(name).unwrap()
    }

    /// A folder of these.
    pub(super) fn lay_out(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in &self.0 {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }
}
