//! The cursor.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{BorrowDecode, Encode};
use jiff::Timestamp;
use uuid::Uuid;

use super::line::{self, Line, Range};
use super::time::Time;
use super::{Ext, ascending, each, fact};
use crate::wire::WireError;
use crate::{Host, LineId, NumberRange, Region, SiteName};

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Cursor<'a> {
    life: u64,
    region: &'a str,
    sites: Vec<&'a str>,
    parts: Vec<&'a str>,
    lines: Vec<LineCursor<'a>>,
    hints: Vec<ResumeHint>,
    ext: Ext<'a>,
}

/// The facts of a cursor's `ext`: a flush that lacks its last pass, closed lines, orders carried out, that the cache
/// behind was flushed alone, the hosts of sites, and how numbers ended that were not purged for themselves.
const FLUSHED: u16 = 1;
const CLOSED: u16 = 2;
const OBEYED: u16 = 3;
const BEHIND: u16 = 4;
const HOSTS: u16 = 5;
const EXCEPTIONS: u16 = 6;

#[derive(Debug, Encode, BorrowDecode)]
struct Flushed<'a> {
    sites: Vec<&'a str>,
    bases: bool,
    numbers: Vec<(Line, Range)>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct Closed(Vec<(Line, u64, Time)>);

#[derive(Debug, Encode, BorrowDecode)]
struct Obeyed(Vec<([u8; 16], Time)>);

#[derive(Debug, Encode, BorrowDecode)]
struct Hosts<'a>(Vec<(&'a str, Vec<&'a str>)>);

/// Of each line that has any.
#[derive(Debug, Encode, BorrowDecode)]
struct Exceptions(Vec<(Line, line::Exceptions)>);

#[derive(Debug, Encode, BorrowDecode)]
struct LineCursor<'a> {
    line: Line,
    base: u64,
    floor: u64,
    settled: Vec<Range>,
    refused: Vec<(u64, &'a str)>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct ResumeHint {
    partition: u32,
    position: u64,
    time: Time,
}

impl<'a> From<&'a crate::Cursor> for Cursor<'a> {
    fn from(cursor: &'a crate::Cursor) -> Self {
        let crate::Cursor { life, region, sites, parts, lines, hints, .. } = cursor;
        let crate::Cursor { flushed, closed, obeyed, behind, hosts, .. } = cursor;
        let exceptions = Exceptions::from(&lines[..]);
        Self {
            life: *life,
            region: region.as_str(),
            sites: sites.iter().map(SiteName::as_str).collect(),
            parts: parts.iter().map(String::as_str).collect(),
            lines: lines.iter().map(LineCursor::from).collect(),
            hints: hints.iter().map(ResumeHint::from).collect(),
            ext: flushed
                .iter()
                .map(|flushed| fact::one(FLUSHED, &Flushed::from(flushed)))
                .chain((!closed.is_empty()).then(|| fact::one(CLOSED, &Closed::from(&closed[..]))))
                .chain((!obeyed.is_empty()).then(|| fact::one(OBEYED, &Obeyed::from(&obeyed[..]))))
                .chain(behind.then(|| fact::one(BEHIND, &())))
                .chain((!hosts.is_empty()).then(|| fact::one(HOSTS, &Hosts::from(hosts))))
                .chain((!exceptions.0.is_empty()).then(|| fact::one(EXCEPTIONS, &exceptions)))
                .collect(),
        }
    }
}

impl TryFrom<Cursor<'_>> for crate::Cursor {
    type Error = WireError;

    fn try_from(cursor: Cursor<'_>) -> Result<Self, WireError> {
        let Cursor { life, region, sites, parts, lines, hints, ext } = cursor;
        ascending("sites", &sites, |site| *site)?;
        ascending("parts", &parts, |part| *part)?;
        let sites: Result<_, _> = sites.into_iter().map(SiteName::from_canonical).collect();
        let mut lines: Vec<crate::LineCursor> = each(lines)?;
        if let Some(exceptions) = fact::find::<Exceptions>(&ext, EXCEPTIONS)? {
            exceptions.add_to(&mut lines)?;
        }
        Ok(Self {
            life,
            region: Region::from_canonical(region)?,
            sites: sites?,
            parts: parts.into_iter().map(ToOwned::to_owned).collect(),
            lines,
            hints: each(hints)?,
            flushed: fact::find::<Flushed>(&ext, FLUSHED)?.map(TryInto::try_into).transpose()?,
            closed: fact::find::<Closed>(&ext, CLOSED)?
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
            obeyed: fact::find::<Obeyed>(&ext, OBEYED)?
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
            behind: fact::find::<()>(&ext, BEHIND)?.is_some(),
            hosts: fact::find::<Hosts<'_>>(&ext, HOSTS)?
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

impl<'a> From<&'a crate::Flushed> for Flushed<'a> {
    fn from(flushed: &'a crate::Flushed) -> Self {
        let crate::Flushed { sites, bases, numbers } = flushed;
        Self {
            sites: sites.iter().map(SiteName::as_str).collect(),
            bases: *bases,
            numbers: numbers.iter().map(|(line, range)| ((*line).into(), range.into())).collect(),
        }
    }
}

impl TryFrom<Flushed<'_>> for crate::Flushed {
    type Error = WireError;

    fn try_from(Flushed { sites, bases, numbers }: Flushed<'_>) -> Result<Self, WireError> {
        ascending("flushed sites", &sites, |site| *site)?;
        let sites: Result<_, _> = sites.into_iter().map(SiteName::from_canonical).collect();
        let numbers: Result<_, WireError> = numbers
            .into_iter()
            .map(|(line, range)| Ok((line.into(), NumberRange::try_from(range)?)))
            .collect();
        Ok(Self { sites: sites?, bases, numbers: numbers? })
    }
}

impl From<&[crate::ClosedLine]> for Closed {
    fn from(closed: &[crate::ClosedLine]) -> Self {
        let rows = closed.iter().map(|line| (line.line.into(), line.last, line.since.into()));
        Self(rows.collect())
    }
}

impl TryFrom<Closed> for Vec<crate::ClosedLine> {
    type Error = WireError;

    fn try_from(Closed(rows): Closed) -> Result<Self, WireError> {
        let closed: Result<Self, WireError> = rows
            .into_iter()
            .map(|(line, last, since)| {
                Ok(crate::ClosedLine { line: line.into(), last, since: since.try_into()? })
            })
            .collect();
        let closed = closed?;
        ascending("closed lines", &closed, |closed| closed.line)?;
        Ok(closed)
    }
}

impl From<&[(Uuid, Timestamp)]> for Obeyed {
    fn from(obeyed: &[(Uuid, Timestamp)]) -> Self {
        Self(obeyed.iter().map(|(id, until)| (id.into_bytes(), (*until).into())).collect())
    }
}

impl TryFrom<Obeyed> for Vec<(Uuid, Timestamp)> {
    type Error = WireError;

    fn try_from(Obeyed(rows): Obeyed) -> Result<Self, WireError> {
        ascending("orders carried out", &rows, |(id, _)| *id)?;
        let obeyed = rows.into_iter();
        obeyed.map(|(id, until)| Ok((Uuid::from_bytes(id), until.try_into()?))).collect()
    }
}

impl<'a> From<&'a BTreeMap<SiteName, BTreeSet<Host>>> for Hosts<'a> {
    fn from(hosts: &'a BTreeMap<SiteName, BTreeSet<Host>>) -> Self {
        let rows = hosts.iter();
        Self(
            rows.map(|(site, of)| (site.as_str(), of.iter().map(Host::as_str).collect())).collect(),
        )
    }
}

impl TryFrom<Hosts<'_>> for BTreeMap<SiteName, BTreeSet<Host>> {
    type Error = WireError;

    fn try_from(Hosts(rows): Hosts<'_>) -> Result<Self, WireError> {
        ascending("sites with hosts", &rows, |(site, _)| *site)?;
        let rows = rows.into_iter().map(|(site, hosts)| {
            ascending("hosts", &hosts, |host| *host)?;
            let hosts: Result<_, _> = hosts.into_iter().map(Host::from_canonical).collect();
            Ok((SiteName::from_canonical(site)?, hosts?))
        });
        rows.collect()
    }
}

impl From<&[crate::LineCursor]> for Exceptions {
    fn from(lines: &[crate::LineCursor]) -> Self {
        let mut with: Vec<_> = lines.iter().filter(|line| !line.exceptions.is_empty()).collect();
        with.sort_unstable_by_key(|line| line.line);
        let rows = with.into_iter();
        Self(rows.map(|of| (of.line.into(), line::exceptions(&of.exceptions))).collect())
    }
}

impl Exceptions {
    fn add_to(self, lines: &mut [crate::LineCursor]) -> Result<(), WireError> {
        let told = self.0.into_iter().map(|(line, told)| (LineId::from(line), told));
        let told: Vec<_> = told.collect();
        ascending("lines with exceptions", &told, |(line, _)| *line)?;
        let mut told: BTreeMap<LineId, line::Exceptions> = told.into_iter().collect();
        for line in lines {
            if let Some(told) = told.remove(&line.line) {
                line.exceptions = line::domain_exceptions(told)?;
            }
        }
        match told.first_key_value() {
            Some((line, _)) => {
                Err(WireError::Invalid(format!("line {line} has exceptions and is not there")))
            }
            None => Ok(()),
        }
    }
}

impl<'a> From<&'a crate::LineCursor> for LineCursor<'a> {
    fn from(cursor: &'a crate::LineCursor) -> Self {
        let crate::LineCursor { line, base, floor, settled, refused, exceptions: _ } = cursor;
        Self {
            line: (*line).into(),
            base: *base,
            floor: *floor,
            settled: settled.iter().map(Range::from).collect(),
            refused: refused.iter().map(|(number, reason)| (*number, reason.as_str())).collect(),
        }
    }
}

impl TryFrom<LineCursor<'_>> for crate::LineCursor {
    type Error = WireError;

    fn try_from(cursor: LineCursor<'_>) -> Result<Self, WireError> {
        let LineCursor { line, base, floor, settled, refused } = cursor;
        Ok(Self {
            line: line.into(),
            base,
            floor,
            settled: each(settled)?,
            refused: refused
                .into_iter()
                .map(|(number, reason)| (number, reason.to_owned()))
                .collect(),
            exceptions: Vec::new(),
        })
    }
}

impl From<&crate::ResumeHint> for ResumeHint {
    fn from(hint: &crate::ResumeHint) -> Self {
        let crate::ResumeHint { partition, position, time } = *hint;
        Self { partition, position, time: time.into() }
    }
}

impl TryFrom<ResumeHint> for crate::ResumeHint {
    type Error = WireError;

    fn try_from(hint: ResumeHint) -> Result<Self, WireError> {
        let ResumeHint { partition, position, time } = hint;
        Ok(Self { partition, position, time: time.try_into()? })
    }
}
