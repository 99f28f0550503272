//! What a trail alone knows of one invalidation: its publishing, and how far every lane had come with it.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use schemas::api::{AuditPlace, Certificate, Evidence, Progress, ProgressState};
use serde_json::Value;
use uuid::Uuid;

use super::entry::PUBLISH;
use super::files::{self, FileName, Lines};
use super::line::Line;
use super::verify::place;
use crate::search::{later, time_of};
use crate::tracker::History;

/// A line is written at most so much later, or earlier by a clock that was set, than its invalidation was accepted.
const SLACK: SignedDuration = SignedDuration::from_hours(1);
/// What is not final by then is not looked for any further.
const LOOKS_FOR: SignedDuration = SignedDuration::from_hours(24 * 31);

/// What a trail tells of an invalidation.
#[derive(Debug)]
pub(crate) struct Told {
    /// The line of its publishing, and its place.
    pub(crate) record: Value,
    pub(crate) published: AuditPlace,
    /// Up to where it was read, how far it had come there, and whether every lane was told of; if its place is known.
    pub(crate) come: Option<(AuditPlace, Progress, bool)>,
}

impl Told {
    /// Whether the trail proves that every cache that owed it has finished it.
    pub(crate) fn is_final(&self) -> bool {
        let come = self.come.as_ref();
        come.is_some_and(|(_, progress, whole)| *whole && progress.state == ProgressState::Final)
    }

    /// A certificate of what the trail alone knows; nothing where it does not know its place.
    pub(crate) fn certificate(
        self,
        issued_at: Timestamp,
        issued_by: String,
    ) -> Option<Certificate> {
        let complete = self.is_final();
        let (read_to, progress, _) = self.come?;
        Some(Certificate {
            issued_at,
            issued_by,
            complete,
            evidence: Evidence::Trail,
            published: Some(self.published),
            read_to: Some(read_to),
            record: Some(self.record),
            progress,
        })
    }
}

/// What the trail in `folder` tells of an invalidation, until it was final; nothing if it does not tell of its
/// publishing. Blocks on the disk.
pub(crate) fn look(folder: &Path, id: Uuid) -> io::Result<Option<Told>> {
    let Some(accepted_at) = time_of(id) else { return Ok(None) };
    let files = files::list(folder)?;
    let Some((file, place, record)) = published(folder, &files, id, accepted_at)? else {
        return Ok(None);
    };
    let come = match History::of(&record) {
        None => None,
        Some(history) => {
            // Every lane is told once a day, in the first file of it.
            let since = files.iter().filter(|other| other.day >= file.day).copied();
            come(folder, since, history, accepted_at)?
        }
    };
    Ok(Some(Told { record, published: place, come }))
}

/// The line that tells that it was published.
fn published(
    folder: &Path,
    files: &[FileName],
    id: Uuid,
    accepted_at: Timestamp,
) -> io::Result<Option<(FileName, AuditPlace, Value)>> {
    let (earliest, latest) = (later(accepted_at, -SLACK), later(accepted_at, SLACK));
    let told = format!("\"id\":\"{id}\"").into_bytes();
    for file in files.iter().filter(|file| !file.ended_before(earliest)) {
        let mut lines = Lines::open(&file.in_folder(folder), 0)?;
        while let Some(text) = lines.next_whole()? {
            if Line::what(text) != Some(PUBLISH.as_bytes()) {
                continue;
            }
            let at = Line::at(text);
            if at.is_some_and(|at| at > latest) {
                return Ok(None);
            }
            if !text.windows(told.len()).any(|part| part == told) {
                continue;
            }
            let record: Value = serde_json::from_slice(text).unwrap_or_default();
            if let (Ok(line), None) = (Line::read(text), record.get("repeated")) {
                return Ok(Some((*file, place(line.link, at, *file), record)));
            }
        }
    }
    Ok(None)
}

/// Reads until it was final, or as far as one looks.
fn come(
    folder: &Path,
    files: impl Iterator<Item = FileName>,
    mut history: History,
    accepted_at: Timestamp,
) -> io::Result<Option<(AuditPlace, Progress, bool)>> {
    let until = later(accepted_at, LOOKS_FOR);
    let mut last = None;
    for file in files {
        let mut lines = Lines::open(&file.in_folder(folder), 0)?;
        while let Some(text) = lines.next_whole()? {
            let (Some(at), Some(Ok(what))) = (Line::at(text), Line::what(text).map(str::from_utf8))
            else {
                continue;
            };
            if at > until {
                return Ok(last.map(|last| ended(&history, last)));
            }
            if !History::reads(what) {
                continue;
            }
            let Ok(line) = Line::read(text) else { continue };
            let here = (place(line.link, Some(at), file), at);
            let news = history.take(what, text);
            if news {
                let (progress, whole) = history.progress(at);
                if whole && at >= accepted_at && progress.state == ProgressState::Final {
                    return Ok(Some((here.0, progress, true)));
                }
            }
            last = Some(here);
        }
    }
    Ok(last.map(|last| ended(&history, last)))
}

fn ended(history: &History, (place, at): (AuditPlace, Timestamp)) -> (AuditPlace, Progress, bool) {
    let (progress, whole) = history.progress(at);
    (place, progress, whole)
}
