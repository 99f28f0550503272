//! The invalidation.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::selector::Selector;
use super::time::{Duration, Time};
use super::word::{Mode, Priority};
use super::{Ext, ascending, each_by};
use crate::api::SELECTORS_MAX;
use crate::wire::WireError;
use crate::wire::known::Known;
use crate::{Audience, Region};

#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct Invalidation<'a> {
    id: [u8; 16],
    site: &'a str,
    selectors: Vec<Selector<'a>>,
    mode: Mode,
    priority: Priority,
    /// `None`: every region.
    regions: Option<Vec<&'a str>>,
    accepted_at: Time,
    expires_in: Option<Duration>,
    after: Option<Gate<'a>>,
    reason: Option<&'a str>,
    labels: Vec<(&'a str, &'a str)>,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
enum Gate<'a> {
    PostgresLsn(&'a str),
    MysqlGtid(&'a str),
}

impl<'a> From<&'a crate::Invalidation> for Invalidation<'a> {
    fn from(invalidation: &'a crate::Invalidation) -> Self {
        let crate::Invalidation {
            id,
            site,
            selectors,
            mode,
            priority,
            audience,
            accepted_at,
            expires_in,
            after,
            reason,
            labels,
        } = invalidation;
        Self {
            id: id.into_bytes(),
            site: site.as_str(),
            selectors: selectors.iter().map(Selector::from).collect(),
            mode: (*mode).into(),
            priority: (*priority).into(),
            regions: match audience {
                Audience::All => None,
                Audience::Regions(regions) => Some(regions.iter().map(Region::as_str).collect()),
            },
            accepted_at: (*accepted_at).into(),
            expires_in: expires_in.map(Duration::from),
            after: after.as_ref().map(Gate::from),
            reason: reason.as_deref(),
            labels: labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            ext: Ext::new(),
        }
    }
}

impl Invalidation<'_> {
    pub(super) fn read(self, known: &mut Known) -> Result<crate::Invalidation, WireError> {
        let selectors = self.selectors;
        if !(1..=SELECTORS_MAX).contains(&selectors.len()) {
            return Err(WireError::Invalid(format!(
                "{} selectors; there are 1 to {SELECTORS_MAX}",
                selectors.len()
            )));
        }
        ascending("labels", &self.labels, |(name, _)| *name)?;
        Ok(crate::Invalidation {
            id: Uuid::from_bytes(self.id),
            site: known.site(self.site)?,
            selectors: each_by(selectors, |selector| selector.read(known))?,
            mode: self.mode.into(),
            priority: self.priority.into(),
            audience: audience(self.regions)?,
            accepted_at: self.accepted_at.try_into()?,
            expires_in: self.expires_in.map(TryInto::try_into).transpose()?,
            after: self.after.map(crate::Gate::from),
            reason: self.reason.map(ToOwned::to_owned),
            labels: self
                .labels
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }
}

fn audience(regions: Option<Vec<&str>>) -> Result<Audience, WireError> {
    let Some(regions) = regions else { return Ok(Audience::All) };
    ascending("regions", &regions, |region| *region)?;
    let regions: Result<_, _> = regions.into_iter().map(Region::from_canonical).collect();
    Ok(Audience::Regions(regions?))
}

impl<'a> From<&'a crate::Gate> for Gate<'a> {
    fn from(gate: &'a crate::Gate) -> Self {
        match gate {
            crate::Gate::PostgresLsn(position) => Self::PostgresLsn(position),
            crate::Gate::MysqlGtid(set) => Self::MysqlGtid(set),
        }
    }
}

impl From<Gate<'_>> for crate::Gate {
    fn from(gate: Gate<'_>) -> Self {
        match gate {
            Gate::PostgresLsn(position) => Self::PostgresLsn(position.to_owned()),
            Gate::MysqlGtid(set) => Self::MysqlGtid(set.to_owned()),
        }
    }
}
