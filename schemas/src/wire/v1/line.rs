//! Lines, ranges of their numbers, and what publishers say about them.

use bincode::{BorrowDecode, Encode};

use super::time::Time;
use super::word::Outcome;
use super::{Ext, each_by, fact};
use crate::wire::WireError;
use crate::{LineId, NumberRange, PublisherName};

/// The 128 bits of a line.
#[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
pub(super) struct Line([u8; 16]);

impl From<LineId> for Line {
    fn from(line: LineId) -> Self {
        Self(line.to_bytes())
    }
}

impl From<Line> for LineId {
    fn from(line: Line) -> Self {
        Self::from_bytes(line.0)
    }
}

/// First and last number, both included.
#[derive(Debug, Clone, Copy, Encode, BorrowDecode)]
pub(super) struct Range(u64, u64);

impl From<&NumberRange> for Range {
    fn from(range: &NumberRange) -> Self {
        Self(range.first, range.last)
    }
}

impl TryFrom<Range> for NumberRange {
    type Error = WireError;

    fn try_from(Range(first, last): Range) -> Result<Self, WireError> {
        if (1..=last).contains(&first) {
            Ok(Self { first, last })
        } else {
            Err(WireError::Invalid(format!("{first} to {last} is no range of numbers")))
        }
    }
}

/// How numbers ended.
pub(super) type Exceptions = Vec<(Range, Outcome)>;

pub(super) fn exceptions(told: &[(NumberRange, crate::Outcome)]) -> Exceptions {
    told.iter().map(|(range, outcome)| (range.into(), (*outcome).into())).collect()
}

pub(super) fn domain_exceptions(
    told: Exceptions,
) -> Result<Vec<(NumberRange, crate::Outcome)>, WireError> {
    each_by(told, |(range, outcome)| Ok((range.try_into()?, outcome.into())))
}

/// Lines with their last numbers.
type LastNumbers = Vec<(Line, u64)>;

fn last_numbers(lines: &[(LineId, u64)]) -> LastNumbers {
    lines.iter().map(|(line, number)| ((*line).into(), *number)).collect()
}

fn domain_numbers(lines: LastNumbers) -> Vec<(LineId, u64)> {
    lines.into_iter().map(|(line, number)| (line.into(), number)).collect()
}

/// The fact of a heartbeat's `ext` that says how many agents report.
const AGENTS: u16 = 1;

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Heartbeat<'a> {
    publisher: &'a str,
    at: Time,
    lines: LastNumbers,
    ext: Ext<'a>,
}

impl<'a> From<&'a crate::Heartbeat> for Heartbeat<'a> {
    fn from(heartbeat: &'a crate::Heartbeat) -> Self {
        let crate::Heartbeat { publisher, at, lines, agents } = heartbeat;
        Self {
            publisher: publisher.as_str(),
            at: (*at).into(),
            lines: last_numbers(lines),
            ext: agents.map_or_else(Ext::new, |agents| fact::of(AGENTS, &agents)),
        }
    }
}

impl TryFrom<Heartbeat<'_>> for crate::Heartbeat {
    type Error = WireError;

    fn try_from(heartbeat: Heartbeat<'_>) -> Result<Self, WireError> {
        Ok(Self {
            publisher: PublisherName::from_canonical(heartbeat.publisher)?,
            at: heartbeat.at.try_into()?,
            agents: fact::find(&heartbeat.ext, AGENTS)?,
            lines: domain_numbers(heartbeat.lines),
        })
    }
}

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Lost<'a> {
    publisher: &'a str,
    line: Line,
    numbers: Range,
    ext: Ext<'a>,
}

impl<'a> From<&'a crate::Lost> for Lost<'a> {
    fn from(lost: &'a crate::Lost) -> Self {
        let crate::Lost { publisher, line, numbers } = lost;
        Self {
            publisher: publisher.as_str(),
            line: (*line).into(),
            numbers: numbers.into(),
            ext: Ext::new(),
        }
    }
}

impl TryFrom<Lost<'_>> for crate::Lost {
    type Error = WireError;

    fn try_from(lost: Lost<'_>) -> Result<Self, WireError> {
        Ok(Self {
            publisher: PublisherName::from_canonical(lost.publisher)?,
            line: lost.line.into(),
            numbers: lost.numbers.try_into()?,
        })
    }
}

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Incarnation<'a> {
    publisher: &'a str,
    since: Time,
    lines: Vec<Line>,
    closes: LastNumbers,
    ext: Ext<'a>,
}

impl<'a> From<&'a crate::Incarnation> for Incarnation<'a> {
    fn from(incarnation: &'a crate::Incarnation) -> Self {
        let crate::Incarnation { publisher, since, lines, closes } = incarnation;
        Self {
            publisher: publisher.as_str(),
            since: (*since).into(),
            lines: lines.iter().map(|line| (*line).into()).collect(),
            closes: last_numbers(closes),
            ext: Ext::new(),
        }
    }
}

impl TryFrom<Incarnation<'_>> for crate::Incarnation {
    type Error = WireError;

    fn try_from(incarnation: Incarnation<'_>) -> Result<Self, WireError> {
        Ok(Self {
            publisher: PublisherName::from_canonical(incarnation.publisher)?,
            since: incarnation.since.try_into()?,
            lines: incarnation.lines.into_iter().map(LineId::from).collect(),
            closes: domain_numbers(incarnation.closes),
        })
    }
}
