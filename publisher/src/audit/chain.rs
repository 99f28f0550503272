//! Follows a chain of lines, and says where it is not as it was written. Pure: lines come as arguments.

use schemas::api::AuditFault;

use super::line::{Broken, Hash, Line, Link};

/// How a line stands to the ones before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on where they end.
    Good,
    /// It is not what was written there.
    Changed,
    /// Its number and its own hash are right, and it does not go on from the line before: that one was changed, or both
    /// were put in their place.
    Unchained,
    /// A line of a higher number.
    Ahead(u64),
    /// A line of a number that was before.
    Again(u64),
    /// It is sound, and others know another line of its number.
    Rewritten,
}

/// How far a chain is as it was written.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Where it must not be another: what others know of it.
    known: Vec<Link>,
    /// Before its first line; once that is read.
    pub(crate) beginning: Option<Link>,
    /// Its newest line.
    pub(crate) newest: Link,
}

impl Chain {
    /// One of which nothing is read; `known` are places that it must pass.
    pub(crate) fn new(known: Vec<Link>) -> Self {
        Self { known, beginning: None, newest: Link::NONE }
    }

    /// The first line is to have this number.
    pub(crate) fn begin_at(&mut self, first: u64) {
        self.newest.sequence = first.saturating_sub(1);
    }

    /// Takes the next line.
    pub(crate) fn follow(&mut self, text: &[u8]) -> Step {
        let line = match Line::read(text) {
            Ok(line) => line,
            Err(Broken::Form | Broken::Hash) => return Step::Changed,
        };
        let Line { link, previous, .. } = line;
        let expected = self.expected();
        if link.sequence > expected {
            return Step::Ahead(link.sequence);
        }
        if link.sequence < expected {
            return Step::Again(link.sequence);
        }
        if self.beginning.is_none() {
            self.newest.hash = previous;
            self.beginning = Some(self.newest);
        }
        if previous != self.newest.hash {
            return Step::Unchained;
        }
        let is_other = |known: &Link| known.sequence == link.sequence && known.hash != link.hash;
        if self.known.iter().any(is_other) {
            return Step::Rewritten;
        }
        self.newest = link;
        Step::Good
    }

    /// The highest number that others know of and that did not come.
    pub(crate) fn cut_off(&self) -> Option<u64> {
        let known = self.known.iter().map(|known| known.sequence).max()?;
        (known > self.newest.sequence).then_some(known)
    }

    /// The number that comes next.
    pub(crate) fn expected(&self) -> u64 {
        self.newest.sequence + 1
    }

    /// Where lines before it may be missing: the last of them.
    pub(crate) fn missing_before(&self) -> Option<Link> {
        self.beginning.filter(|before| *before != Link::NONE)
    }
}

/// What is wrong, for humans, where it shows with the line that was expected to be number `expected`.
pub(crate) fn told(step: &Step, expected: u64, is_further_down: bool) -> (AuditFault, String) {
    match step {
        Step::Good => (AuditFault::Changed, String::new()),
        Step::Changed => (
            AuditFault::Changed,
            format!("line {expected} was changed: it is not what its hash was made of"),
        ),
        Step::Unchained => (
            AuditFault::Changed,
            format!(
                "line {} was changed together with its hash: line {expected} does not go on from it",
                expected.saturating_sub(1)
            ),
        ),
        Step::Ahead(_) if is_further_down => (
            AuditFault::Reordered,
            format!("line {expected} does not stand in its place, but further down"),
        ),
        Step::Ahead(found) => {
            (AuditFault::Removed, format!("{} gone", lines(expected, found.saturating_sub(1))))
        }
        Step::Again(found) => (
            AuditFault::Reordered,
            format!("line {found} stands where line {expected} should, for the second time"),
        ),
        Step::Rewritten => (
            AuditFault::Changed,
            format!(
                "line {expected} is another than the publisher wrote: the trail was written anew at or before it"
            ),
        ),
    }
}

/// Lines by their numbers, with their verb.
pub(crate) fn lines(first: u64, last: u64) -> String {
    if first == last { format!("line {first} is") } else { format!("lines {first} to {last} are") }
}

/// What a line says of lines that were let go of in order: the last of them.
pub(crate) fn forgotten(text: &[u8]) -> Option<Link> {
    let line = Line::read(text).ok()?;
    let json: serde_json::Value = serde_json::from_slice(line.text).ok()?;
    if json["what"] != super::FORGOTTEN {
        return None;
    }
    let hash = Hash::from_hex(json["last_hash"].as_str()?.as_bytes())?;
    Some(Link { sequence: json["last_seq"].as_u64()?, hash })
}
