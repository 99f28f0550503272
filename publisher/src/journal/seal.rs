//! Whether a file is still exactly as a process left it that ended in order: then not all of it need be read again.
//!
//! ```text
//! open: take the seal away; unbroken? -> go on, else read all of the file
//! close: if all ended without an error, seal what the file system tells of the file by now
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

/// The seal in the journal's folder.
const SEAL: &str = "journal.seal";
/// Longer than any seal is.
const SEAL_BYTES_MAX: u64 = 1_000;

/// The seal of one open file.
#[derive(Debug)]
pub(super) struct Seal {
    path: PathBuf,
    file: File,
    sound: AtomicBool,
    failed: AtomicBool,
}

impl Seal {
    /// Takes away what an earlier process has left for `file` in `folder`; answers whether the file is as it left it.
    pub(super) fn take(folder: &Path, file: &File) -> io::Result<(Self, bool)> {
        let seal = Self {
            path: folder.join(SEAL),
            file: file.try_clone()?,
            sound: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        let mut left = Vec::new();
        match File::open(&seal.path) {
            Ok(written) => written.take(SEAL_BYTES_MAX).read_to_end(&mut left)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((seal, false)),
            Err(error) => return Err(error),
        };
        // Durably, before anything is written: a crash must not find it.
        fs::remove_file(&seal.path)?;
        File::open(folder)?.sync_all()?;
        let unbroken = left == describe(file)?.as_bytes();
        Ok((seal, unbroken))
    }

    /// Nobody who used the file has found anything wrong.
    pub(super) fn sound(&self) {
        self.sound.store(true, Ordering::Relaxed);
    }

    /// A read or write has failed: there is no knowing any more.
    pub(super) fn broken(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// The file is closed. Without a seal it is read as a whole at the next start, and nothing else is lost.
    pub(super) fn put(&self) {
        if !self.sound.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
            return;
        }
        let sealed = describe(&self.file).and_then(|told| fs::write(&self.path, told));
        if let Err(error) = sealed {
            warn!(%error, "the journal could not be sealed: the next start reads all of it");
        }
    }
}

/// What is another after any write, replacement, or copy.
fn describe(file: &File) -> io::Result<String> {
    let told = file.metadata()?;
    let [(written, written_ns), (changed, changed_ns)] =
        [(told.mtime(), told.mtime_nsec()), (told.ctime(), told.ctime_nsec())];
    let (device, inode, bytes) = (told.dev(), told.ino(), told.len());
    Ok(format!("{device} {inode} {bytes} {written}.{written_ns:09} {changed}.{changed_ns:09}\n"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(folder: &Path) -> File {
        let mut options = File::options();
        options.read(true).append(true).create(true).open(folder.join("file")).expect("a file")
    }

    fn unbroken(folder: &Path) -> bool {
        Seal::take(folder, &file(folder)).expect("readable").1
    }

    fn sealed(folder: &Path) {
        let (seal, _) = Seal::take(folder, &file(folder)).expect("readable");
        seal.sound();
        seal.put();
    }

    #[test]
    fn a_seal_counts_once_and_only_for_a_file_that_nobody_has_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        file(folder).write_all(b"journal").expect("written");
        assert!(!unbroken(folder), "never sealed");
        sealed(folder);
        assert!(unbroken(folder));
        assert!(!unbroken(folder), "a process that crashes leaves none");

        sealed(folder);
        file(folder).write_all(b"!").expect("written");
        assert!(!unbroken(folder), "written to");

        sealed(folder);
        fs::copy(folder.join("file"), folder.join("copy")).expect("copied");
        fs::rename(folder.join("copy"), folder.join("file")).expect("replaced");
        assert!(!unbroken(folder), "another file");
    }

    #[test]
    fn nothing_is_sealed_that_did_not_end_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (seal, _) = Seal::take(folder, &file(folder)).expect("readable");
        seal.put();
        assert!(!unbroken(folder), "nobody has said that it is in order");
        let (seal, _) = Seal::take(folder, &file(folder)).expect("readable");
        seal.broken();
        seal.sound();
        seal.put();
        assert!(!unbroken(folder), "a write has failed");
    }
}
