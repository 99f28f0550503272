//! The report: an agent, its caches, their lanes, and their progress per line.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::letter::DeadLetters;
use super::line::{Exceptions, Line, Range, domain_exceptions, exceptions};
use super::pause::LanePause;
use super::time::Time;
use super::word::{Ability, CircuitState, Priority};
use super::{Ext, ascending, each, fact};
use crate::wire::WireError;
use crate::{
    AgentName, CacheName, ClockReading, LANE_PAUSES_MAX, NumberRange, OutcomeCounts, PublisherName,
    Region, SiteName,
};

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Report<'a> {
    agent: &'a str,
    instance: [u8; 16],
    sequence: u64,
    region: &'a str,
    at: Time,
    caches: Vec<CacheReport<'a>>,
    ext: Ext<'a>,
}

/// The fact of a report's `ext` that holds its clocks.
const CLOCKS: u16 = 1;

/// The facts of a lane's `ext`: which orders in force it has carried out, what its cache refused, and which pauses it
/// obeys.
const OBEYED: u16 = 1;
const DEAD_LETTERS: u16 = 2;
const PAUSED: u16 = 3;

#[derive(Debug, Encode, BorrowDecode)]
struct Clocks<'a>(Vec<(&'a str, i64)>);

#[derive(Debug, Encode, BorrowDecode)]
struct CacheReport<'a> {
    cache: &'a str,
    driver: &'a str,
    /// `None`: every site.
    sites: Option<Vec<&'a str>>,
    abilities: Option<Abilities<'a>>,
    lanes: Vec<LaneReport<'a>>,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct Abilities<'a> {
    url: Ability,
    url_any_query: Ability,
    prefix: Ability,
    tag: Ability,
    key: Ability,
    everything: Ability,
    soft: bool,
    batch_selectors_max: u32,
    manner: &'a str,
}

#[derive(Debug, Encode, BorrowDecode)]
struct LaneReport<'a> {
    priority: Priority,
    life: u64,
    ready: bool,
    circuit: CircuitState,
    last_error: Option<&'a str>,
    lag: u64,
    oldest_unsettled_us: Option<u64>,
    /// In the order of [`crate::Outcome`].
    outcomes: [u64; 9],
    lines: Vec<LineReport>,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct LineReport {
    line: Line,
    base: u64,
    applied: u64,
    applied_above: Vec<Range>,
    finished: u64,
    finished_above: Vec<Range>,
    exceptions: Exceptions,
    holes: Vec<Range>,
}

impl<'a> From<&'a crate::Report> for Report<'a> {
    fn from(report: &'a crate::Report) -> Self {
        let crate::Report { agent, instance, sequence, region, at, caches, clocks } = report;
        let clocks: Vec<_> =
            clocks.iter().map(|clock| (clock.publisher.as_str(), clock.heard_after_us)).collect();
        Self {
            agent: agent.as_str(),
            instance: instance.into_bytes(),
            sequence: *sequence,
            region: region.as_str(),
            at: (*at).into(),
            caches: caches.iter().map(CacheReport::from).collect(),
            ext: if clocks.is_empty() { Ext::new() } else { fact::of(CLOCKS, &Clocks(clocks)) },
        }
    }
}

impl TryFrom<Report<'_>> for crate::Report {
    type Error = WireError;

    fn try_from(report: Report<'_>) -> Result<Self, WireError> {
        let Report { agent, instance, sequence, region, at, caches, ext } = report;
        let clocks = fact::find::<Clocks>(&ext, CLOCKS)?.map(|clocks| clocks.0).unwrap_or_default();
        ascending("clocks", &clocks, |(publisher, _)| *publisher)?;
        Ok(Self {
            agent: AgentName::from_canonical(agent)?,
            instance: Uuid::from_bytes(instance),
            sequence,
            region: Region::from_canonical(region)?,
            at: at.try_into()?,
            caches: each(caches)?,
            clocks: each(clocks)?,
        })
    }
}

impl TryFrom<(&str, i64)> for ClockReading {
    type Error = WireError;

    fn try_from((publisher, heard_after_us): (&str, i64)) -> Result<Self, WireError> {
        Ok(Self { publisher: PublisherName::from_canonical(publisher)?, heard_after_us })
    }
}

impl<'a> From<&'a crate::CacheReport> for CacheReport<'a> {
    fn from(report: &'a crate::CacheReport) -> Self {
        let crate::CacheReport { cache, driver, sites, abilities, lanes } = report;
        Self {
            cache: cache.as_str(),
            driver,
            sites: sites.as_ref().map(|sites| sites.iter().map(SiteName::as_str).collect()),
            abilities: abilities.as_ref().map(Abilities::from),
            lanes: lanes.iter().map(LaneReport::from).collect(),
            ext: Ext::new(),
        }
    }
}

impl TryFrom<CacheReport<'_>> for crate::CacheReport {
    type Error = WireError;

    fn try_from(report: CacheReport<'_>) -> Result<Self, WireError> {
        let CacheReport { cache, driver, sites, abilities, lanes, ext: _ } = report;
        if let Some(sites) = &sites {
            ascending("sites", sites, |site| *site)?;
        }
        let sites = sites.map(|sites| sites.into_iter().map(SiteName::from_canonical).collect());
        Ok(Self {
            cache: CacheName::from_canonical(cache)?,
            driver: driver.to_owned(),
            sites: sites.transpose()?,
            abilities: abilities.map(crate::Abilities::from),
            lanes: each(lanes)?,
        })
    }
}

impl<'a> From<&'a crate::Abilities> for Abilities<'a> {
    fn from(abilities: &'a crate::Abilities) -> Self {
        Self {
            url: abilities.url.into(),
            url_any_query: abilities.url_any_query.into(),
            prefix: abilities.prefix.into(),
            tag: abilities.tag.into(),
            key: abilities.key.into(),
            everything: abilities.everything.into(),
            soft: abilities.soft,
            batch_selectors_max: abilities.batch_selectors_max,
            manner: &abilities.manner,
        }
    }
}

impl From<Abilities<'_>> for crate::Abilities {
    fn from(abilities: Abilities<'_>) -> Self {
        Self {
            url: abilities.url.into(),
            url_any_query: abilities.url_any_query.into(),
            prefix: abilities.prefix.into(),
            tag: abilities.tag.into(),
            key: abilities.key.into(),
            everything: abilities.everything.into(),
            soft: abilities.soft,
            batch_selectors_max: abilities.batch_selectors_max,
            manner: abilities.manner.to_owned(),
        }
    }
}

impl<'a> From<&'a crate::LaneReport> for LaneReport<'a> {
    fn from(report: &'a crate::LaneReport) -> Self {
        Self {
            priority: report.priority.into(),
            life: report.life,
            ready: report.ready,
            circuit: report.circuit.into(),
            last_error: report.last_error.as_deref(),
            lag: report.lag,
            oldest_unsettled_us: report.oldest_unsettled_us,
            outcomes: report.outcomes.to_array(),
            lines: report.lines.iter().map(LineReport::from).collect(),
            ext: facts_of(report),
        }
    }
}

impl TryFrom<LaneReport<'_>> for crate::LaneReport {
    type Error = WireError;

    fn try_from(report: LaneReport<'_>) -> Result<Self, WireError> {
        Ok(Self {
            priority: report.priority.into(),
            life: report.life,
            ready: report.ready,
            circuit: report.circuit.into(),
            last_error: report.last_error.map(ToOwned::to_owned),
            lag: report.lag,
            oldest_unsettled_us: report.oldest_unsettled_us,
            outcomes: OutcomeCounts::from_array(report.outcomes),
            lines: each(report.lines)?,
            obeyed: obeyed(&report.ext)?,
            dead_letters: fact::find::<DeadLetters>(&report.ext, DEAD_LETTERS)?
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
            paused: paused(&report.ext)?,
        })
    }
}

fn facts_of(report: &crate::LaneReport) -> Ext<'_> {
    let crate::LaneReport { obeyed, dead_letters, paused, .. } = report;
    let ids: Vec<[u8; 16]> = obeyed.iter().map(|id| id.into_bytes()).collect();
    let obeyed = (!ids.is_empty()).then(|| fact::one(OBEYED, &ids));
    let letters =
        (dead_letters.count > 0).then(|| fact::one(DEAD_LETTERS, &DeadLetters::from(dead_letters)));
    let obeys: Vec<LanePause<'_>> = paused.iter().map(LanePause::from).collect();
    let paused = (!obeys.is_empty()).then(|| fact::one(PAUSED, &obeys));
    obeyed.into_iter().chain(letters).chain(paused).collect()
}

fn obeyed(ext: &Ext<'_>) -> Result<Vec<Uuid>, WireError> {
    let ids = fact::find::<Vec<[u8; 16]>>(ext, OBEYED)?.unwrap_or_default();
    ascending("orders carried out", &ids, |id| *id)?;
    Ok(ids.into_iter().map(Uuid::from_bytes).collect())
}

fn paused(ext: &Ext<'_>) -> Result<Vec<crate::LanePause>, WireError> {
    let pauses = fact::find::<Vec<LanePause<'_>>>(ext, PAUSED)?.unwrap_or_default();
    ascending("pauses", &pauses, LanePause::id)?;
    if pauses.len() > LANE_PAUSES_MAX {
        return Err(WireError::Invalid(format!("{} pauses are too many", pauses.len())));
    }
    each(pauses)
}

impl From<&crate::LineReport> for LineReport {
    fn from(report: &crate::LineReport) -> Self {
        let ranges = |ranges: &[NumberRange]| ranges.iter().map(Range::from).collect();
        Self {
            line: report.line.into(),
            base: report.base,
            applied: report.applied,
            applied_above: ranges(&report.applied_above),
            finished: report.finished,
            finished_above: ranges(&report.finished_above),
            exceptions: exceptions(&report.exceptions),
            holes: ranges(&report.holes),
        }
    }
}

impl TryFrom<LineReport> for crate::LineReport {
    type Error = WireError;

    fn try_from(report: LineReport) -> Result<Self, WireError> {
        Ok(Self {
            line: report.line.into(),
            base: report.base,
            applied: report.applied,
            applied_above: each(report.applied_above)?,
            finished: report.finished,
            finished_above: each(report.finished_above)?,
            exceptions: domain_exceptions(report.exceptions)?,
            holes: each(report.holes)?,
        })
    }
}
