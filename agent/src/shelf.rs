//! Where a lane's cursor lies between its lives: one file per lane in the agent's `state` folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use schemas::{CacheName, Cursor, Priority, wire};
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::driver::PurgeError;

/// Why the state folder was not usable.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It could not be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file in it is damaged.
    #[error(
        "{} is damaged; remove it to start this lane without a cursor, which flushes its cache",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: schemas::wire::WireError,
    },
    /// The agent's identity is damaged.
    #[error(
        "{} is damaged; remove it to start as a new instance, which keeps the cursors",
        path.display()
    )]
    Identity {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The cache did not take it.
    #[error("the cache does not take it")]
    Inside(#[source] PurgeError),
}

/// Longest name of a server.
const SERVER_BYTES_MAX: u64 = 1024;

/// One cursor's file, replaced as a whole.
///
/// Where the cursor lies inside the cache, this is a copy. Beside it stands which server it was stored in, `server`
/// for short, and only while no other was met since: so whoever finds both knows that they belong together.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    path: PathBuf,
    server: PathBuf,
}

impl Shelf {
    /// The shelf of a lane in `folder`.
    pub(crate) fn new(folder: &Path, cache: &CacheName, priority: Priority) -> Self {
        let file = |kind| folder.join(format!("{cache}.{priority}.{kind}"));
        Self { path: file("cursor"), server: file("server") }
    }

    /// What was stored last; `None` if nothing ever was.
    pub(crate) fn load(&self) -> Result<Option<Cursor>, ShelfError> {
        match fs::read(&self.path) {
            Ok(bytes) => wire::decode_cursor(&bytes)
                .map(Some)
                .map_err(|source| ShelfError::Damaged { path: self.path.clone(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ShelfError::Io { path: self.path.clone(), source }),
        }
    }

    /// Stores `cursor`; durable when it returns.
    pub(crate) fn store(&self, cursor: &Cursor) -> Result<(), ShelfError> {
        replace(&self.path, &wire::encode_cursor(cursor))
            .map_err(|source| ShelfError::Io { path: self.path.clone(), source })
    }

    /// Which server the cursor on this shelf was stored in, if that is known.
    pub(crate) fn server(&self) -> Result<Option<String>, ShelfError> {
        let mut server = String::new();
        let read = File::open(&self.server)
            .and_then(|file| file.take(SERVER_BYTES_MAX).read_to_string(&mut server));
        match read {
            Ok(_) => Ok(Some(server)),
            // A damaged name is the name of no server.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.server_error(source)),
        }
    }

    /// The cursor on this shelf is of the server that was met last: notes which one that is.
    pub(crate) fn note_server(&self, server: &str) -> Result<(), ShelfError> {
        if self.server()?.as_deref() == Some(server) {
            return Ok(());
        }
        replace(&self.server, server.as_bytes()).map_err(|source| self.server_error(source))
    }

    /// Another server was met, of which there is no cursor here yet.
    pub(crate) fn forget_server(&self) -> Result<(), ShelfError> {
        let folder = self.server.parent().unwrap_or(Path::new("."));
        match fs::remove_file(&self.server) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| File::open(folder)?.sync_all()),
        }
        .map_err(|source| self.server_error(source))
    }

    fn server_error(&self, source: io::Error) -> ShelfError {
        ShelfError::Io { path: self.server.clone(), source }
    }
}

/// Replaces a file at once: a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    replace_in(folder, path, bytes)?;
    sync(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The same, durable once `folder`, which holds it, is synced.
pub(crate) fn replace_in(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The agent's identity, made at its first start and kept in `folder`.
pub(crate) fn instance(folder: &Path) -> Result<Uuid, ShelfError> {
    let path = folder.join("instance");
    let io = |source| ShelfError::Io { path: path.clone(), source };
    fs::create_dir_all(folder).map_err(io)?;
    let damaged = |source| ShelfError::Identity { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let instance = text.trim().parse();
            instance.map_err(|error| damaged(io::Error::new(io::ErrorKind::InvalidData, error)))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(damaged(error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let instance = Uuid::new_v4();
            replace(&path, instance.to_string().as_bytes()).map_err(io)?;
            Ok(instance)
        }
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shelf(folder: &Path) -> Shelf {
        let cache = "varnish".parse().expect("a name");
        Shelf::new(folder, &cache, Priority::Normal)
    }

    fn cursor(life: u64) -> Cursor {
        Cursor {
            life,
            region: "local".parse().expect("a name"),
            sites: ["main".parse().expect("a name")].into(),
            parts: ["key={site}:{key}".to_owned()].into(),
            lines: Vec::new(),
            hints: Vec::new(),
            flushed: None,
            closed: Vec::new(),
            obeyed: Vec::new(),
            hosts: BTreeMap::new(),
            behind: false,
        }
    }

    #[test]
    fn what_was_stored_last_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path());
        assert!(shelf.load().expect("an empty shelf").is_none());
        for life in 1..=3 {
            shelf.store(&cursor(life)).expect("stored");
        }
        assert_eq!(shelf.load().expect("a cursor"), Some(cursor(3)));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no litter");
    }

    #[test]
    fn a_damaged_cursor_is_refused_by_the_name_of_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path());
        shelf.store(&cursor(1)).expect("stored");
        let whole = fs::read(&shelf.path).expect("bytes");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&shelf.path, &bytes).expect("written");
            let error = shelf.load().expect_err("a flipped bit").to_string();
            assert!(error.contains("varnish.normal.cursor"), "{error}");
            fs::write(&shelf.path, &whole[..at]).expect("written");
            assert!(shelf.load().is_err(), "torn at {at}");
        }
    }

    #[test]
    fn a_server_is_known_until_another_is_met() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = shelf(folder.path());
        shelf.forget_server().expect("nothing to forget");
        for server in ["a b", "c d"] {
            shelf.note_server(server).expect("noted");
            assert_eq!(shelf.server().expect("readable").as_deref(), Some(server));
            shelf.forget_server().expect("forgotten");
            assert_eq!(shelf.server().expect("readable"), None);
        }
    }

    #[test]
    fn an_agent_stays_the_same_instance() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        assert_eq!(instance(&state).expect("made"), instance(&state).expect("kept"));
    }
}
