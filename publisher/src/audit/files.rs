//! The files of a trail: one a day, and a further one where a day's is full. Their names sort as their lines do.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::line::{LINE_BYTES_MAX, Line};

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// A file of a trail: its day, and the number of its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    /// First, because a folder is read in the order of lines.
    pub(crate) first: u64,
    pub(crate) day: Date,
}

impl FileName {
    /// That of a line written `now`.
    pub(crate) fn new(now: Timestamp, first: u64) -> Self {
        Self { first, day: day_of(now) }
    }

    fn read(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (day, first) = name.rsplit_once('-')?;
        Some(Self { first: first.parse().ok()?, day: day.parse().ok()? })
    }

    /// Where it lies.
    pub(crate) fn in_folder(self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }

    /// The installation whose file it is, and its publisher, as its first line tells. Blocks on the disk.
    pub(crate) fn owner(self, folder: &Path) -> io::Result<Option<(Uuid, String)>> {
        let mut lines = Lines::open(&self.in_folder(folder), 0)?;
        Ok(match lines.read()? {
            Next::Line(text) => owner_told(text),
            Next::Unfinished(_) | Next::TooLong | Next::End => None,
        })
    }

    /// Whether nothing in it was written at `time` or later.
    pub(crate) fn ended_before(self, time: Timestamp) -> bool {
        self.day < day_of(time)
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}-{:012}{SUFFIX}", self.day, self.first)
    }
}

fn owner_told(first_line: &[u8]) -> Option<(Uuid, String)> {
    let line = Line::read(first_line).ok()?;
    let json: serde_json::Value = serde_json::from_slice(line.text).ok()?;
    if json["what"] != super::FILE {
        return None;
    }
    let publisher = json["publisher"].as_str()?.to_owned();
    Some((json["installation"].as_str()?.parse().ok()?, publisher))
}

/// The day of a moment, UTC.
pub(crate) fn day_of(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// The files of the trail in `folder`, in the order of their lines. Blocks on the disk.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<FileName>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.extend(entry?.file_name().to_str().and_then(FileName::read));
    }
    files.sort_unstable();
    Ok(files)
}

/// Reads a file line by line, none longer than a line may be.
#[derive(Debug)]
pub(crate) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    /// Where the next line begins.
    pub(crate) offset: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// The last bytes, without an end of line.
    Unfinished(&'a [u8]),
    /// More bytes than a line has.
    TooLong,
    /// Nothing more.
    End,
}

impl Lines {
    /// From `offset` on. Blocks on the disk.
    pub(crate) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        use io::Seek;
        let mut file = File::open(path)?;
        file.seek(io::SeekFrom::Start(offset))?;
        let file = BufReader::with_capacity(LINE_BYTES_MAX, file);
        Ok(Self { file, line: Vec::new(), offset })
    }

    /// The next line.
    pub(crate) fn read(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let mut limited = (&mut self.file).take(LINE_BYTES_MAX as u64);
        let read = limited.read_until(b'\n', &mut self.line)?;
        self.offset += read as u64;
        Ok(match self.line.split_last() {
            None => Next::End,
            Some((b'\n', line)) => Next::Line(line),
            Some(_) if read == LINE_BYTES_MAX => Next::TooLong,
            Some(_) => Next::Unfinished(&self.line),
        })
    }

    /// The next line that is whole, without its end; `None` where there is no more, or the last is not finished.
    pub(crate) fn next_whole(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match self.read()? {
                Next::Line(_) => break,
                Next::TooLong => {}
                Next::Unfinished(_) | Next::End => return Ok(None),
            }
        }
        Ok(self.line.split_last().map(|(_, line)| line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_and_sorts_by_its_first_line() {
        let at: Timestamp = "2026-03-01T23:59:59.9Z".parse().unwrap();
        let name = FileName::new(at, 17);
        assert_eq!(name.to_string(), "audit-2026-03-01-000000000017.jsonl");
        assert_eq!(FileName::read(&name.to_string()), Some(name));
        assert!(name < FileName::new(at, 100) && FileName { first: 18, ..name } > name);
        assert!(name.ended_before("2026-03-02T00:00:00Z".parse().unwrap()));
        assert!(!name.ended_before(at));
        for other in
            ["audit-2026-03-01.jsonl", "head.json", "audit-x-1.jsonl", "audit-2026-03-01-1"]
        {
            assert_eq!(FileName::read(other), None, "{other}");
        }
    }
}
