//! What has changed in a folder: it is looked through again and again, and compared with how it was.
//!
//! Looking needs no kernel interface that overflows or knows no network disks, and sees what lies there, not what
//! was told.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::folder::{BadFolder, is_hidden};

/// Most files and folders that are watched.
const ENTRIES_MAX: usize = 20_000;

/// How a folder is at one moment. Paths are below it.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    entries: BTreeMap<PathBuf, Stamp>,
    /// What could not be looked into.
    pub(super) unreadable: Vec<PathBuf>,
}

/// What differs after any change: a file's times, its length, and which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Folder,
    File { modified: (i64, i64), changed: (i64, i64), bytes: u64, inode: u64 },
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        if found.is_dir() {
            return Self::Folder;
        }
        Self::File {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            bytes: found.len(),
            inode: found.ino(),
        }
    }
}

/// A file or folder that came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
}

impl Snapshot {
    /// How `root` is now. Symbolic links are not followed; what vanishes meanwhile is gone.
    pub(super) fn take(root: &Path) -> Result<Self, BadFolder> {
        let mut snapshot = Self::default();
        let visible = WalkDir::new(root)
            .min_depth(1)
            .into_iter()
            .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name()));
        for entry in visible {
            let found = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
            let (found, entry) = match found {
                Ok((found, entry)) if !found.is_symlink() => (found, entry),
                Ok(_) => continue,
                Err(error) => {
                    snapshot.unreadable.extend(error.path().map(Path::to_owned));
                    continue;
                }
            };
            if snapshot.entries.len() == ENTRIES_MAX {
                return Err(BadFolder::TooLarge(root.to_owned(), ENTRIES_MAX));
            }
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            snapshot.entries.insert(path.to_owned(), Stamp::of(&found));
        }
        Ok(snapshot)
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.entries.values().filter(|stamp| **stamp != Stamp::Folder).count()
    }

    /// What is not in `newer` as it is here.
    pub(super) fn changes(&self, newer: &Self) -> Vec<Change> {
        let differing = |left: &Self, right: &Self| {
            let right = right.entries.clone();
            let differs = move |(path, stamp): (&PathBuf, &Stamp)| {
                let is_folder = *stamp == Stamp::Folder;
                let differs = right.get(path) != Some(stamp);
                differs.then(|| (path.clone(), is_folder))
            };
            left.entries.iter().filter_map(differs).collect::<BTreeMap<_, _>>()
        };
        let mut changes = differing(self, newer);
        changes.extend(differing(newer, self));
        changes.into_iter().map(|(path, is_folder)| Change { path, is_folder }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// What `act` changes in a folder with `a.html` and `sub/b.html`.
    fn changes(act: impl FnOnce(&Path)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("a.html"), "old").unwrap();
        fs::write(root.join("sub/b.html"), "old").unwrap();
        let before = Snapshot::take(root).unwrap();
        assert_eq!(before.files(), 2);
        act(root);
        let changes = before.changes(&Snapshot::take(root).unwrap());
        changes.iter().map(|change| change.path.display().to_string()).collect()
    }

    #[test]
    fn every_way_of_changing_a_file_is_seen() {
        assert_eq!(changes(|_| {}), [""; 0]);
        assert_eq!(changes(|root| fs::write(root.join("a.html"), "newer").unwrap()), ["a.html"]);
        let replaced = changes(|root| {
            fs::write(root.join("c"), "new").unwrap();
            fs::rename(root.join("c"), root.join("a.html")).unwrap();
        });
        assert_eq!(replaced, ["a.html"], "by another file of the same length");
        let made = changes(|root| fs::write(root.join("sub/c.html"), "").unwrap());
        assert_eq!(made, ["sub/c.html"]);
        let gone = changes(|root| fs::remove_dir_all(root.join("sub")).unwrap());
        assert_eq!(gone, ["sub", "sub/b.html"]);
        let renamed = changes(|root| fs::rename(root.join("sub"), root.join("new")).unwrap());
        assert_eq!(renamed, ["new", "new/b.html", "sub", "sub/b.html"]);
    }

    #[test]
    fn an_old_date_and_the_same_length_hide_no_change() {
        let touched = changes(|root| {
            let file = root.join("a.html");
            let date = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, "new").unwrap();
            fs::File::options().append(true).open(&file).unwrap().set_modified(date).unwrap();
        });
        assert_eq!(touched, ["a.html"]);
    }

    #[test]
    fn links_and_hidden_files_are_not_there() {
        let linked = changes(|root| {
            symlink("/etc", root.join("etc")).unwrap();
            fs::create_dir(root.join(".git")).unwrap();
            fs::write(root.join(".git/index"), "").unwrap();
        });
        assert_eq!(linked, [""; 0]);
    }

    #[test]
    fn a_folder_that_is_gone_has_lost_all() {
        assert_eq!(
            changes(|root| fs::remove_dir_all(root).unwrap()),
            ["a.html", "sub", "sub/b.html"]
        );
    }

    #[test]
    fn a_folder_of_too_many_files_is_not_watched() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            |number: usize| fs::File::create(folder.path().join(number.to_string())).unwrap();
        for number in 0..ENTRIES_MAX {
            file(number);
        }
        assert_eq!(Snapshot::take(folder.path()).unwrap().files(), ENTRIES_MAX);
        file(ENTRIES_MAX);
        assert!(matches!(Snapshot::take(folder.path()), Err(BadFolder::TooLarge(..))));
    }
}
