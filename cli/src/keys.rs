//! Files of keys: the one that a publisher signs with, and those that an agent believes.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use schemas::{KeyError, SigningKey, TrustedKeys};

/// Larger is none of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The key in a file that `purgebus key create` has made. Blocks on the disk, for a moment.
pub(crate) fn signing_key(file: &Path) -> anyhow::Result<SigningKey> {
    read(file, SigningKey::from_pem)
}

/// The keys in a file with one on each line. Blocks on the disk, for a moment.
pub(crate) fn trusted_keys(file: &Path) -> anyhow::Result<TrustedKeys> {
    read(file, TrustedKeys::from_str)
}

fn read<T>(file: &Path, parse: impl FnOnce(&str) -> Result<T, KeyError>) -> anyhow::Result<T> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.with_context(|| {
        format!("cannot read {}; name a file that this user may read", file.display())
    })?;
    parse(&String::from_utf8_lossy(&bytes)).with_context(|| file.display().to_string())
}
