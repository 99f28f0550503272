//! New files that may hold a secret.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::anyhow;

use crate::exit::{Exit, Failure};

/// Writes a new file, for us alone; one that is there already stays as it is.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened.and_then(|mut opened| opened.write_all(text.as_bytes())).map_err(|error| {
        let exit =
            if error.kind() == ErrorKind::AlreadyExists { Exit::WrongUsage } else { Exit::Failed };
        Failure::new(exit, anyhow!(error).context(format!("cannot write {}", file.display())))
    })
}
