//! The end of a trail, where lines are added: one file a day, its tail repaired where a crash tore it. Blocks on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::PublisherName;
use serde_json::json;
use tracing::warn;
use uuid::Uuid;

use super::files::{self, FileName, Lines, Next, day_of};
use super::head::Head;
use super::line::{Line, Link};
use super::{AuditError, FILE, FORGOTTEN};

/// A day has a further file when one is as large as this, or a quarter of all that is kept.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Beside the lines: whoever writes holds it.
const LOCK: &str = "lock";
const LOCK_TRIES: usize = 50;
const LOCK_EVERY: Duration = Duration::from_millis(20);

/// How much of a trail is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) age: Duration,
    pub(crate) bytes: u64,
}

/// The end of a trail.
#[derive(Debug)]
pub(crate) struct Segment {
    folder: PathBuf,
    keep: Keep,
    publisher: PublisherName,
    installation: Uuid,
    newest: Link,
    /// The file that lines are added to, once one was.
    file: Option<Open>,
    /// Some lines may not be on the disk yet.
    unsynced: bool,
    /// Composed lines of one write.
    buffer: Vec<u8>,
    _lock: File,
}

#[derive(Debug)]
struct Open {
    file: File,
    name: FileName,
    /// So much of it are whole lines.
    bytes: u64,
}

/// What was found at the end of a trail when it was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// So many bytes of a line that was not finished were cut off that file.
    pub(crate) torn: Option<(FileName, u64)>,
    /// Lines that were written once, and are not there: from, to.
    pub(crate) missing: Option<(u64, u64)>,
}

/// The last sound line of a file.
struct Tail {
    newest: Option<Link>,
    /// Where it ends.
    end: u64,
    /// Bytes after it.
    torn: u64,
}

impl Segment {
    /// Opens the trail in `folder`, or begins one there; `known` is what the journal's store knows of its end.
    pub(crate) fn open(
        folder: &Path,
        publisher: PublisherName,
        keep: Keep,
        known: Option<Head>,
    ) -> Result<(Self, Found), AuditError> {
        let failed = |source| AuditError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = lock(folder)?;
        // A damaged head is for those who verify: whoever writes goes on, and writes it anew.
        let beside = Head::read(folder).unwrap_or_default();
        let files = files::list(folder).map_err(failed)?;
        let first = files.first().map(|file| file.owner(folder)).transpose().map_err(failed)?;
        let first = first.flatten().map(|(installation, _)| installation);
        let there = beside.map(|head| head.installation).or(first);
        let installation = match (known, there) {
            (Some(known), Some(there)) if known.installation != there => {
                return Err(AuditError::Foreign { folder: folder.to_owned(), installation: there });
            }
            (Some(known), _) => known.installation,
            (None, there) => there.unwrap_or_else(Uuid::new_v4),
        };
        let mut segment = Self {
            folder: folder.to_owned(),
            keep,
            publisher,
            installation,
            newest: Link::NONE,
            file: None,
            unsynced: false,
            buffer: Vec::new(),
            _lock: lock,
        };
        let known = [known, beside].into_iter().flatten().map(|head| head.newest);
        let known = known.max_by_key(|newest| newest.sequence).unwrap_or(Link::NONE);
        let found = segment.resume(&files, known).map_err(failed)?;
        Ok((segment, found))
    }

    /// Finds where it goes on, and cuts off what a crash has torn.
    fn resume(&mut self, files: &[FileName], known: Link) -> io::Result<Found> {
        let mut found = Found::default();
        for name in files.iter().rev() {
            let path = name.in_folder(&self.folder);
            let tail = tail(&path)?;
            let newest = tail.newest.unwrap_or(Link::NONE).sequence.max(name.first - 1);
            // What others know of was whole once: then it is no crash that tore it, and it stays as it is found.
            if tail.torn > 0 && newest >= known.sequence && found.torn.is_none() {
                OpenOptions::new().write(true).open(&path)?.set_len(tail.end)?;
                found.torn = Some((*name, tail.torn));
            }
            if let Some(link) = tail.newest {
                self.newest = link;
                if link.sequence >= known.sequence && Some(name) == files.last() {
                    let file = OpenOptions::new().append(true).open(&path)?;
                    self.file = Some(Open { file, name: *name, bytes: tail.end });
                }
                break;
            }
        }
        if self.newest.sequence < known.sequence {
            found.missing = Some((self.newest.sequence + 1, known.sequence));
            self.newest = known;
        }
        Ok(found)
    }

    pub(crate) fn head(&self) -> Head {
        Head { installation: self.installation, newest: self.newest }
    }

    /// Adds lines, all or none of them.
    pub(crate) fn append<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a [u8]>,
        now: Timestamp,
    ) -> io::Result<()> {
        let is_current = |open: &Open| {
            open.name.day >= day_of(now) && open.bytes < FILE_BYTES_MAX.min(self.keep.bytes / 4)
        };
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_none() {
            return Ok(());
        }
        self.buffer.clear();
        let mut newest = self.newest;
        if !self.file.as_ref().is_some_and(is_current) {
            self.begin_file(now)?;
            newest = newest.chain(&self.header(now), &mut self.buffer);
        }
        let is_empty = self.file.as_ref().is_some_and(|open| open.bytes == 0);
        if is_empty && self.buffer.is_empty() {
            newest = newest.chain(&self.header(now), &mut self.buffer);
        }
        for entry in entries {
            newest = newest.chain(entry, &mut self.buffer);
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        if let Err(error) = open.file.write_all(&self.buffer) {
            // Half of them would be a torn line.
            open.file.set_len(open.bytes)?;
            return Err(error);
        }
        open.bytes += self.buffer.len() as u64;
        self.newest = newest;
        self.unsynced = true;
        Ok(())
    }

    fn header(&self, now: Timestamp) -> Vec<u8> {
        let Self { installation, publisher, .. } = self;
        let version = env!("CARGO_PKG_VERSION");
        entry(
            now,
            FILE,
            &json!({"installation": installation, "publisher": publisher, "version": version}),
        )
    }

    fn begin_file(&mut self, now: Timestamp) -> io::Result<()> {
        self.sync()?;
        let name = FileName::new(now, self.newest.sequence + 1);
        let path = name.in_folder(&self.folder);
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        // So that the file itself survives a crash of the machine.
        File::open(&self.folder)?.sync_all()?;
        let bytes = file.metadata()?.len();
        self.file = Some(Open { file, name, bytes });
        Ok(())
    }

    /// Puts all lines on the disk, and then where they end beside them.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        if let Some(open) = &self.file {
            open.file.sync_data()?;
            if open.file.metadata()?.nlink() == 0 {
                self.file = None;
                return Err(io::Error::new(io::ErrorKind::NotFound, "its file was removed"));
            }
        }
        self.head().write(&self.folder)?;
        self.unsynced = false;
        Ok(())
    }

    /// Lets go of files that are older than the trail is kept, or more than may be kept; each only when a line that
    /// says so is on the disk.
    pub(crate) fn forget(&mut self, now: Timestamp) -> io::Result<()> {
        let mut files = files::list(&self.folder)?;
        files.retain(|file| self.file.as_ref().is_some_and(|open| file.first < open.name.first));
        let age = SignedDuration::try_from(self.keep.age).unwrap_or(SignedDuration::MAX);
        let kept_since = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let size =
            |file: &FileName| fs::metadata(file.in_folder(&self.folder)).map(|file| file.len());
        let sizes = files.iter().map(size).collect::<io::Result<Vec<u64>>>()?;
        let mut total = sizes.iter().sum::<u64>() + self.file.as_ref().map_or(0, |open| open.bytes);
        for (file, bytes) in files.into_iter().zip(sizes) {
            let is_old = file.ended_before(kept_since);
            if !is_old && total <= self.keep.bytes {
                break;
            }
            if !is_old {
                warn!(%file, "audit_bytes is less than audit_keep takes: the oldest file of the trail is removed");
            }
            self.forget_file(file, if is_old { "age" } else { "bytes" }, now)?;
            total -= bytes;
        }
        Ok(())
    }

    fn forget_file(&mut self, file: FileName, why: &str, now: Timestamp) -> io::Result<()> {
        let path = file.in_folder(&self.folder);
        let before = Link { sequence: file.first - 1, ..Link::NONE };
        let Link { sequence, hash } = tail(&path)?.newest.unwrap_or(before);
        let facts = json!({
            "file": file.to_string(), "first_seq": file.first, "last_seq": sequence,
            "last_hash": hash.to_string(), "why": why,
        });
        self.append([entry(now, FORGOTTEN, &facts).as_slice()], now)?;
        self.sync()?;
        fs::remove_file(path)
    }
}

/// A line's entry of some facts.
pub(crate) fn entry(at: Timestamp, what: &str, facts: &serde_json::Value) -> Vec<u8> {
    let facts = facts.to_string();
    let inner = facts.trim_start_matches('{');
    let comma = if inner == "}" { "" } else { "," };
    format!("{{\"at\":\"{at}\",\"what\":\"{what}\"{comma}{inner}").into_bytes()
}

fn lock(folder: &Path) -> Result<File, AuditError> {
    let failed = |source| AuditError::Folder { folder: folder.to_owned(), source };
    let options =
        OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK));
    let lock = options.map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // Whoever had it may just be ending.
            Err(fs::TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_EVERY),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Err(AuditError::InUse(folder.to_owned()))
}

/// Where the sound lines of a file end. Only the end of a long file is read.
fn tail(path: &Path) -> io::Result<Tail> {
    let length = fs::metadata(path)?.len();
    let near = length.saturating_sub(4 * super::line::LINE_BYTES_MAX as u64);
    let tail = tail_from(path, near, length)?;
    if tail.newest.is_some() || near == 0 { Ok(tail) } else { tail_from(path, 0, length) }
}

fn tail_from(path: &Path, offset: u64, length: u64) -> io::Result<Tail> {
    let mut lines = Lines::open(path, offset)?;
    let mut tail = Tail { newest: None, end: 0, torn: 0 };
    loop {
        let read = match lines.read()? {
            Next::End => break,
            Next::Unfinished(_) | Next::TooLong => None,
            Next::Line(text) => Line::read(text).ok().map(|line| line.link),
        };
        if let Some(link) = read {
            (tail.newest, tail.end) = (Some(link), lines.offset);
        }
    }
    tail.torn = length.saturating_sub(tail.end);
    Ok(tail)
}
