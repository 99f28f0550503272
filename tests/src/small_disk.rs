//! A disk that a test can fill.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of its own, small enough to be filled.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

/// More than the journal leaves alone.
const DISK: &str = "size=80m";

impl SmallDisk {
    /// A new one, `at` that folder.
    ///
    /// # Panics
    /// When it cannot be mounted, which takes root.
    pub fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(at).status();
        assert!(mounted.expect("mount").success(), "mounting takes root");
        Self(at.to_owned())
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// To the last byte.
    ///
    /// # Panics
    /// When nothing can be written to it at all.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        let pieces = vec![1; 1 << 20];
        let mut piece = pieces.as_slice();
        while !piece.is_empty() {
            if ballast.write_all(piece).is_err() {
                piece = &piece[..piece.len() / 2];
            }
        }
    }

    /// With so many bytes: to less than the journal leaves alone.
    ///
    /// # Panics
    /// When they have no room.
    pub fn fill_mostly(&self, bytes: usize) {
        fs::write(self.ballast(), vec![1; bytes]).expect("room");
    }

    /// Frees it of what filled it.
    ///
    /// # Panics
    /// When nothing does.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
