//! The invalidation.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::selector::Selector;
use super::time::{Duration, Time};
use super::word::{Mode, Priority};
use super::{Ext, ascending, each_by, fact};
use crate::api::SELECTORS_MAX;
use crate::wire::WireError;
use crate::wire::known::Known;
use crate::{AgentName, Audience, CacheName, Region};

/// The fact that it is published again: the id of the first.
const ORIGIN: u16 = 1;
/// The fact that not every agent and cache of its regions is meant.
const RECIPIENTS: u16 = 2;

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

/// Of a kind of which none is named, all are meant.
#[derive(Debug, Encode, BorrowDecode)]
struct Recipients<'a> {
    agents: Vec<&'a str>,
    caches: Vec<&'a str>,
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
            recipients,
            accepted_at,
            expires_in,
            after,
            reason,
            labels,
            origin,
        } = invalidation;
        let origin = origin.map(|origin| fact::one(ORIGIN, &origin.into_bytes()));
        let some = !recipients.is_everyone();
        let recipients = some.then(|| fact::one(RECIPIENTS, &Recipients::from(recipients)));
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
            ext: origin.into_iter().chain(recipients).collect(),
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
        let recipients = fact::find::<Recipients<'_>>(&self.ext, RECIPIENTS)?;
        let origin = fact::find::<[u8; 16]>(&self.ext, ORIGIN)?;
        Ok(crate::Invalidation {
            id: Uuid::from_bytes(self.id),
            site: known.site(self.site)?,
            selectors: each_by(selectors, |selector| selector.read(known))?,
            mode: self.mode.into(),
            priority: self.priority.into(),
            audience: audience(self.regions)?,
            recipients: recipients.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            accepted_at: self.accepted_at.try_into()?,
            expires_in: self.expires_in.map(TryInto::try_into).transpose()?,
            after: self.after.map(crate::Gate::from),
            reason: self.reason.map(ToOwned::to_owned),
            labels: self
                .labels
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            origin: origin.map(Uuid::from_bytes),
        })
    }
}

impl<'a> From<&'a crate::Recipients> for Recipients<'a> {
    fn from(crate::Recipients { agents, caches }: &'a crate::Recipients) -> Self {
        Self {
            agents: agents.iter().map(AgentName::as_str).collect(),
            caches: caches.iter().map(CacheName::as_str).collect(),
        }
    }
}

impl TryFrom<Recipients<'_>> for crate::Recipients {
    type Error = WireError;

    fn try_from(Recipients { agents, caches }: Recipients<'_>) -> Result<Self, WireError> {
        ascending("agents", &agents, |agent| *agent)?;
        ascending("caches", &caches, |cache| *cache)?;
        if agents.is_empty() && caches.is_empty() {
            return Err(WireError::Invalid("recipients that name nobody".to_owned()));
        }
        let agents: Result<_, _> = agents.into_iter().map(AgentName::from_canonical).collect();
        let caches: Result<_, _> = caches.into_iter().map(CacheName::from_canonical).collect();
        Ok(Self { agents: agents?, caches: caches? })
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
