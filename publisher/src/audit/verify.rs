//! Reads a whole trail and says whether it is as it was written; if not, where it is not for the first time.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use schemas::api::{AuditFault, AuditFinding, AuditPlace, AuditVerification};
use uuid::Uuid;

use super::chain::{Chain, Step, forgotten, lines, told};
use super::files::{self, FileName, Lines, Next};
use super::head::{self, Head};
use super::line::{Line, Link};

/// Reads the trail in `folder`; `known` is what others than the folder know of where it ends. Blocks on the disk.
pub(crate) fn verify(folder: &Path, known: &[Head]) -> io::Result<AuditVerification> {
    // Read before the lines: those only become more.
    let head = Head::read(folder);
    let mut heads = known.to_vec();
    heads.extend(head.as_ref().ok().copied().flatten());
    let files = files::list(folder)?;
    if files.is_empty() && heads.is_empty() {
        let none = format!("there is no trail in {}", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, none));
    }
    let mut reading = Reading::new(folder, &heads);
    let finding = match reading.foreign(&files)? {
        Some(finding) => Some(finding),
        None => reading.read(&files)?.or_else(|| reading.end(&files)),
    };
    let finding = finding.or_else(|| headless(head, known));
    Ok(reading.told(finding))
}

/// Where nothing tells that the end is there.
fn headless(head: io::Result<Option<Head>>, known: &[Head]) -> Option<AuditFinding> {
    let detail = match head {
        Ok(Some(_)) => return None,
        Ok(None) if !known.is_empty() => return None,
        Ok(None) => {
            "is not there: whether the end of the trail was cut off cannot be told".to_owned()
        }
        Err(error) => format!("cannot be read: {error}"),
    };
    let (kind, file) = (AuditFault::NoHead, head::FILE.to_owned());
    Some(AuditFinding { kind, file, line: 0, seq: None, detail: format!("head.json {detail}") })
}

/// A trail that is read.
struct Reading<'a> {
    folder: &'a Path,
    chain: Chain,
    installation: Option<Uuid>,
    publisher: Option<String>,
    /// Lines before the first were let go of in order.
    begins_in_order: bool,
    read: AuditVerification,
    oldest: Option<Sound>,
    newest: Option<Sound>,
}

/// A line that is as it was written.
#[derive(Debug, Clone, Copy)]
struct Sound {
    link: Link,
    at: Option<Timestamp>,
    file: FileName,
    /// Its line there.
    number: u64,
}

impl Sound {
    fn place(self) -> AuditPlace {
        place(self.link, self.at, self.file)
    }
}

impl<'a> Reading<'a> {
    fn new(folder: &'a Path, heads: &[Head]) -> Self {
        let links = heads.iter().map(|head| head.newest).filter(|link| *link != Link::NONE);
        Self {
            folder,
            chain: Chain::new(links.collect()),
            installation: heads.first().map(|head| head.installation),
            publisher: None,
            begins_in_order: false,
            read: AuditVerification {
                intact: false,
                installation: None,
                publisher: None,
                files: 0,
                lines: 0,
                oldest: None,
                newest: None,
                lost: 0,
                unfinished: false,
                finding: None,
            },
            oldest: None,
            newest: None,
        }
    }

    /// The first file that says that it is of another installation than the rest.
    fn foreign(&mut self, files: &[FileName]) -> io::Result<Option<AuditFinding>> {
        for file in files {
            let Some((installation, publisher)) = file.owner(self.folder)? else { continue };
            let ours = *self.installation.get_or_insert(installation);
            if ours != installation {
                let detail = format!(
                    "it is of another installation: {installation}, publisher {publisher}; this trail is of {ours}"
                );
                return Ok(Some(finding(AuditFault::Foreign, *file, 1, None, detail)));
            }
            self.publisher = Some(publisher);
        }
        Ok(None)
    }

    fn read(&mut self, files: &[FileName]) -> io::Result<Option<AuditFinding>> {
        if let Some(first) = files.first() {
            self.chain.begin_at(first.first);
        }
        for (at, file) in files.iter().enumerate() {
            let is_last = at + 1 == files.len();
            if let Some(finding) = self.read_file(*file, is_last)? {
                return Ok(Some(finding));
            }
            self.read.files += 1;
        }
        Ok(None)
    }

    fn read_file(&mut self, file: FileName, is_last: bool) -> io::Result<Option<AuditFinding>> {
        let path = file.in_folder(self.folder);
        let mut reader = Lines::open(&path, 0)?;
        for number in 1.. {
            let expected = self.chain.expected();
            let text = match reader.read()? {
                Next::End => break,
                Next::Line(text) => text,
                Next::Unfinished(_) if is_last => {
                    self.read.unfinished = true;
                    break;
                }
                Next::Unfinished(_) | Next::TooLong => {
                    let detail = format!("line {expected} was cut short, or its end removed");
                    let kind = AuditFault::Changed;
                    return Ok(Some(finding(kind, file, number, Some(expected), detail)));
                }
            };
            let step = self.chain.follow(text);
            if step == Step::Good {
                self.note(file, number, text);
                continue;
            }
            let further_down = matches!(step, Step::Ahead(_)) && stands_in(&mut reader, expected)?;
            let (kind, detail) = told(&step, expected, further_down);
            if let (Step::Unchained, Some(last)) = (&step, self.newest) {
                let seq = Some(last.link.sequence);
                return Ok(Some(finding(kind, last.file, last.number, seq, detail)));
            }
            return Ok(Some(finding(kind, file, number, Some(expected), detail)));
        }
        Ok(None)
    }

    /// A line is as it was written.
    fn note(&mut self, file: FileName, number: u64, text: &[u8]) {
        let sound = Sound { link: self.chain.newest, at: Line::at(text), file, number };
        self.read.lines += 1;
        self.oldest.get_or_insert(sound);
        self.newest = Some(sound);
        // Most lines are neither, and need not be understood.
        match Line::what(text).map(str::from_utf8) {
            Some(Ok(super::FORGOTTEN)) => {
                self.begins_in_order |=
                    forgotten(text).is_some_and(|last| Some(last) == self.chain.missing_before());
            }
            Some(Ok(super::GAP)) => {
                let line: Option<serde_json::Value> = serde_json::from_slice(text).ok();
                self.read.lost += line.and_then(|line| line["lost"].as_u64()).unwrap_or(0);
            }
            _ => {}
        }
    }

    /// What is missing at either end.
    fn end(&self, files: &[FileName]) -> Option<AuditFinding> {
        if let (Some(before), false, Some(first)) =
            (self.chain.missing_before(), self.begins_in_order, files.first())
        {
            let gone = lines(1, before.sequence);
            let detail = format!("{gone} gone, and no line says that they were forgotten in order");
            return Some(finding(AuditFault::Removed, *first, 1, Some(1), detail));
        }
        let known = self.chain.cut_off()?;
        let expected = self.chain.expected();
        let detail =
            format!("{} cut off: the publisher wrote {known} lines", lines(expected, known));
        let file = self.newest.map(|last| last.file.to_string()).unwrap_or_default();
        let line = self.newest.map_or(0, |last| last.number) + 1;
        let kind = AuditFault::CutOff;
        Some(AuditFinding { kind, file, line, seq: Some(expected), detail })
    }

    fn told(self, finding: Option<AuditFinding>) -> AuditVerification {
        AuditVerification {
            intact: finding.is_none(),
            installation: self.installation,
            publisher: self.publisher,
            oldest: self.oldest.map(Sound::place),
            newest: self.newest.map(Sound::place),
            finding,
            ..self.read
        }
    }
}

/// Whether the rest of a file has the line of that number.
fn stands_in(rest: &mut Lines, sequence: u64) -> io::Result<bool> {
    while let Some(text) = rest.next_whole()? {
        if Line::read(text).is_ok_and(|line| line.link.sequence == sequence) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A line's place, as it is told.
pub(crate) fn place(link: Link, at: Option<Timestamp>, file: FileName) -> AuditPlace {
    let Link { sequence, hash } = link;
    AuditPlace { seq: sequence, hash: hash.to_string(), at, file: file.to_string() }
}

fn finding(
    kind: AuditFault,
    file: FileName,
    line: u64,
    seq: Option<u64>,
    detail: String,
) -> AuditFinding {
    AuditFinding { kind, file: file.to_string(), line, seq, detail }
}
