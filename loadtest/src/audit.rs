//! Reads a log from its beginning to its end and compares it with what was acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use broker_adapter::{Broker, Start, Topic};
use schemas::{LineId, LogMessage, Number, Priority, wire};
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

/// Longest wait for the next messages.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// Most messages read at once.
const READ_MAX: usize = 1_000;

/// What the log holds of what was acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Acknowledged, and not on the log.
    pub(crate) lost: usize,
    /// Invalidations on the log.
    pub(crate) on_log: usize,
    /// Frames on the log.
    pub(crate) frames: usize,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Books {
    ids: HashMap<Uuid, usize>,
    lines: BTreeMap<LineId, Number>,
    frames: usize,
}

/// Reads the log of normal priority and looks for every acknowledged id.
///
/// # Errors
/// When the log cannot be read, or its numbers have a gap or an id comes twice.
pub(crate) async fn audit(broker: &dyn Broker, acknowledged: &[Uuid]) -> anyhow::Result<Verdict> {
    let topic = Topic::log(Priority::Normal.as_str());
    let bounds = broker.bounds(topic).await?;
    let mut left: BTreeMap<_, _> = bounds
        .into_iter()
        .filter(|(_, kept)| kept.first < kept.end)
        .map(|(partition, kept)| (partition, kept.end))
        .collect();
    let mut subscription = broker.subscribe(topic, Start::Oldest).await?;
    let mut books = Books::default();
    while !left.is_empty() {
        let read = timeout(READ_WITHIN, subscription.read(READ_MAX)).await;
        for delivery in read.context("the log ends before its end")?? {
            books.hear(wire::decode_log(&delivery.body)?)?;
            let ends = left.get(&delivery.partition);
            if ends.is_some_and(|end| delivery.position.0 + 1 >= end.0) {
                left.remove(&delivery.partition);
            }
        }
    }
    Ok(books.compare(acknowledged))
}

impl Books {
    fn hear(&mut self, message: LogMessage) -> anyhow::Result<()> {
        let LogMessage::Frame(frame) = message else { return Ok(()) };
        let head = self.lines.entry(frame.line).or_default();
        ensure!(
            *head > 0 || frame.first == 1,
            "the log begins with {}: its oldest have left; let the run be shorter",
            frame.first
        );
        ensure!(frame.first == *head + 1, "{} comes after {head}", frame.first);
        *head = frame.numbers().last;
        self.frames += 1;
        for invalidation in frame.invalidations {
            *self.ids.entry(invalidation.id).or_default() += 1;
        }
        Ok(())
    }

    fn compare(&self, acknowledged: &[Uuid]) -> Verdict {
        let lost = acknowledged.iter().filter(|id| self.ids.get(*id) != Some(&1)).count();
        Verdict { lost, on_log: self.ids.len(), frames: self.frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::record;

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let frame = record::frame(LineId::from_bytes([1; 16]), 1, 2);
        let here = frame.invalidations[0].id;
        let mut books = Books::default();
        books.hear(LogMessage::Frame(frame)).expect("it follows");
        let verdict = books.compare(&[here, Uuid::nil()]);
        assert_eq!(verdict, Verdict { lost: 1, on_log: 2, frames: 1 });
    }

    #[test]
    fn a_gap_in_the_numbers_is_an_error() {
        let line = LineId::from_bytes([1; 16]);
        let mut books = Books::default();
        books.hear(LogMessage::Frame(record::frame(line, 1, 2))).expect("it follows");
        assert!(books.hear(LogMessage::Frame(record::frame(line, 4, 1))).is_err());
    }

    #[test]
    fn a_log_without_its_beginning_is_told_from_a_gap() {
        let late = record::frame(LineId::from_bytes([1; 16]), 64_183, 1);
        let error = Books::default().hear(LogMessage::Frame(late)).expect_err("no beginning");
        assert!(error.to_string().starts_with("the log begins with 64183"), "{error}");
    }

    #[test]
    fn what_comes_twice_counts_as_lost() {
        let frame = record::frame(LineId::from_bytes([1; 16]), 1, 1);
        let again = schemas::Frame { first: 2, ..frame.clone() };
        let id = frame.invalidations[0].id;
        let mut books = Books::default();
        books.hear(LogMessage::Frame(frame)).expect("it follows");
        books.hear(LogMessage::Frame(again)).expect("it follows");
        assert_eq!(books.compare(&[id]).lost, 1);
    }
}
