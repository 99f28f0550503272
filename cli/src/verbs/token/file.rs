//! The tokens file, changed in place: what is no entry of ours, comments too, stays as it is.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use publisher::{TokenEntry, Tokens};
use serde::Serialize;
use tempfile::NamedTempFile;
use toml_edit::{DocumentMut, value};

use crate::exit::{Exit, Failure};

/// All entries.
pub(super) fn read(file: &Path) -> Result<Vec<TokenEntry>, Failure> {
    TokenEntry::read_all(file).map_err(|error| Failure::new(Exit::WrongUsage, error))
}

/// An entry as it stands in the file; an error where no publisher would take it.
pub(super) fn written(entry: &TokenEntry) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct File<'a> {
        token: [&'a TokenEntry; 1],
    }
    let text = toml::to_string(&File { token: [entry] }).map_err(Failure::failed)?;
    checked(&text, Path::new("the new entry"))?;
    Ok(text)
}

/// Adds an entry at the file's end.
pub(super) fn append(file: &Path, entry: &str) -> Result<(), Failure> {
    let before = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("cannot read {}", file.display())).map_err(wrong)?,
    };
    let gap = match before.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let whole = format!("{before}{gap}{entry}");
    checked(&whole, file)?;
    replace(file, &whole)
}

/// Notes in an entry that it was revoked.
pub(super) fn revoke(file: &Path, name: &str, now: Timestamp) -> Result<(), Failure> {
    let entries = read(file)?;
    let Some(at) = entries.iter().position(|entry| entry.name == name) else {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let message = format!("there is no token {name}; there are {}", names.join(", "));
        return Err(Failure::message(Exit::Refused, message));
    };
    if let Some(since) = entries[at].revoked {
        return Err(Failure::message(Exit::Refused, format!("{name} is revoked since {since}")));
    }
    let text = fs::read_to_string(file)?;
    let mut document: DocumentMut = text.parse().map_err(Failure::failed)?;
    let entry = document["token"].as_array_of_tables_mut().and_then(|all| all.get_mut(at));
    let entry = entry.context("token is written as one list; write [[token]] for each");
    entry.map_err(wrong)?["revoked"] = value(format!("{now:.0}"));
    replace(file, &document.to_string())
}

/// An error where no publisher would take the file.
fn checked(text: &str, file: &Path) -> Result<(), Failure> {
    Tokens::parse(text, file).map(drop).map_err(|error| Failure::new(Exit::WrongUsage, error))
}

fn wrong(error: anyhow::Error) -> Failure {
    Failure::new(Exit::WrongUsage, error)
}

/// Replaces the file at once, with the rights that it had; a new one is for us alone.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut new = NamedTempFile::new_in(folder)?;
        new.write_all(text.as_bytes())?;
        if let Ok(before) = fs::metadata(file) {
            new.as_file().set_permissions(before.permissions())?;
            let (user, group) = owner(&before);
            std::os::unix::fs::fchown(new.as_file(), Some(user), Some(group))?;
        }
        new.as_file().sync_data()?;
        new.persist(file).map_err(|error| error.error)?;
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display())).map_err(Failure::failed)
}

fn owner(file: &fs::Metadata) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    (file.uid(), file.gid())
}
