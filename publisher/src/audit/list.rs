//! Lists lines of a trail, oldest first, a page at a time.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use schemas::api::AuditVerification;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::certificate::{Told, look};
use super::files::{self, FileName, Lines, Next};
use super::head::Head;
use super::line::Line;
use super::verify::verify;
use super::{AuditError, Trail};
use crate::blocking::blocking;

/// Most bytes read for one page: it may be shorter than it could be, and the next goes on.
const READ_BYTES_MAX: u64 = 64 << 20;
/// A line that says that it was written so much later than asked for has none after it that was not.
const CLOCK_STEPS: SignedDuration = SignedDuration::from_hours(1);

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Written then or later.
    pub since: Option<Timestamp>,
    /// Written then or earlier.
    pub until: Option<Timestamp>,
    /// By the token of that name.
    pub who: Option<String>,
    /// Of that kind.
    pub what: Option<String>,
}

/// A page of lines.
#[derive(Debug, Default)]
pub struct AuditListed {
    /// As they were written.
    pub lines: Vec<Box<RawValue>>,
    /// Where the next page begins: the first line of a file, and an offset in it.
    pub next: Option<(u64, u64)>,
}

impl AuditFilter {
    fn wants(&self, text: &[u8]) -> bool {
        let Some(at) = Line::at(text) else { return false };
        let Self { since, until, who, what } = self;
        since.is_none_or(|since| at >= since)
            && until.is_none_or(|until| at <= until)
            && what.as_ref().is_none_or(|what| Line::what(text) == Some(what.as_bytes()))
            && who.as_ref().is_none_or(|who| {
                let line: Value = serde_json::from_slice(text).unwrap_or_default();
                line["who"].as_str() == Some(who)
            })
    }

    fn is_over(&self, text: &[u8]) -> bool {
        let over = |until: Timestamp| until.checked_add(CLOCK_STEPS).unwrap_or(Timestamp::MAX);
        self.until.zip(Line::at(text)).is_some_and(|(until, at)| at > over(until))
    }

    fn skips(&self, file: FileName) -> bool {
        self.since.is_some_and(|since| file.ended_before(since))
    }
}

/// At most `limit` lines of the trail in `folder`, from a place on. Blocks on the disk.
pub(crate) fn list(
    folder: &Path,
    filter: &AuditFilter,
    limit: usize,
    from: Option<(u64, u64)>,
) -> io::Result<AuditListed> {
    let mut listed = AuditListed::default();
    let mut left = READ_BYTES_MAX;
    let files = files::list(folder)?;
    for file in files {
        let offset = match from {
            Some((first, _)) if file.first < first => continue,
            Some((first, offset)) if file.first == first => offset,
            None if filter.skips(file) => continue,
            _ => 0,
        };
        let mut lines = Lines::open(&file.in_folder(folder), offset)?;
        loop {
            let before = lines.offset;
            if listed.lines.len() == limit || left == 0 {
                listed.next = Some((file.first, before));
                return Ok(listed);
            }
            match lines.read()? {
                Next::Line(text) if filter.is_over(text) => return Ok(listed),
                Next::Line(text) if filter.wants(text) => listed.lines.extend(raw(text)),
                Next::Line(_) | Next::TooLong => {}
                Next::Unfinished(_) | Next::End => break,
            }
            left = left.saturating_sub(lines.offset - before);
        }
    }
    Ok(listed)
}

impl Trail {
    /// Some of its lines; `None` where there is no trail.
    pub(crate) async fn list(
        &self,
        filter: AuditFilter,
        limit: usize,
        from: Option<(u64, u64)>,
    ) -> Result<Option<AuditListed>, AuditError> {
        self.reading(move |folder, _| list(folder, &filter, limit, from)).await
    }

    /// Reads all of it; `None` where there is no trail.
    pub(crate) async fn verify(&self) -> Result<Option<AuditVerification>, AuditError> {
        self.reading(move |folder, head| verify(folder, &[head])).await
    }

    /// What it tells of an invalidation; `None` where there is no trail, or it tells nothing.
    pub(crate) async fn look(&self, id: Uuid) -> Result<Option<Told>, AuditError> {
        Ok(self.reading(move |folder, _| look(folder, id)).await?.flatten())
    }

    /// Reads what was told before.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path, Head) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, AuditError> {
        self.flush().await;
        let (Some(folder), Some(head)) = (self.folder(), self.head()) else { return Ok(None) };
        let folder = folder.to_owned();
        blocking(move || {
            let read = read(&folder, head);
            read.map(Some).map_err(|source| AuditError::Folder { folder, source })
        })
        .await
    }
}

/// A line that is none is for those who verify.
fn raw(text: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(str::from_utf8(text).ok()?.to_owned()).ok()
}
