//! The stop buttons: pauses, their ends, and cancels among the orders; the pauses that a lane tells of.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::line::Line;
use super::time::Time;
use super::word::Priority;
use crate::wire::WireError;
use crate::{AgentName, CacheName, Ordered, Paused, Place, Region, SiteName};

/// What can be paused; numbers once given are never used again.
const SITE: u16 = 1;
const AGENT: u16 = 2;
const CACHE: u16 = 3;
const TOKEN: u16 = 4;

#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct Pause<'a> {
    what: u16,
    name: &'a str,
    /// Of caches only.
    region: Option<&'a str>,
    reason: Option<&'a str>,
    by: &'a str,
}

#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct Resume<'a> {
    pause: [u8; 16],
    by: &'a str,
}

#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct Cancel<'a> {
    invalidation: [u8; 16],
    place: (Line, u64),
    priority: Priority,
    by: &'a str,
}

/// A pause that a lane obeys.
#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct LanePause<'a> {
    id: [u8; 16],
    site: Option<&'a str>,
    until: Time,
}

impl<'a> Pause<'a> {
    pub(super) fn new(what: &'a Paused, reason: Option<&'a str>, by: &'a str) -> Self {
        let (what, name, region) = match what {
            Paused::Site(site) => (SITE, site.as_str(), None),
            Paused::Agent(agent) => (AGENT, agent.as_str(), None),
            Paused::Cache { cache, region } => {
                (CACHE, cache.as_str(), region.as_ref().map(Region::as_str))
            }
            Paused::Token(token) => (TOKEN, token.as_str(), None),
        };
        Self { what, name, region, reason, by }
    }

    /// `None` where what is paused is not known.
    pub(super) fn what(self) -> Result<Option<Ordered>, WireError> {
        let Self { what, name, region, reason, by } = self;
        let what = match what {
            SITE => Paused::Site(SiteName::from_canonical(name)?),
            AGENT => Paused::Agent(AgentName::from_canonical(name)?),
            CACHE => Paused::Cache {
                cache: CacheName::from_canonical(name)?,
                region: region.map(Region::from_canonical).transpose()?,
            },
            TOKEN => Paused::Token(name.to_owned()),
            _ => return Ok(None),
        };
        let (reason, by) = (reason.map(ToOwned::to_owned), by.to_owned());
        Ok(Some(Ordered::Pause { what, reason, by }))
    }
}

impl<'a> Resume<'a> {
    pub(super) fn new(pause: Uuid, by: &'a str) -> Self {
        Self { pause: pause.into_bytes(), by }
    }
}

impl From<Resume<'_>> for Ordered {
    fn from(Resume { pause, by }: Resume<'_>) -> Self {
        Self::Resume { pause: Uuid::from_bytes(pause), by: by.to_owned() }
    }
}

impl<'a> Cancel<'a> {
    pub(super) fn new(
        invalidation: Uuid,
        place: Place,
        priority: crate::Priority,
        by: &'a str,
    ) -> Self {
        Self {
            invalidation: invalidation.into_bytes(),
            place: (place.line.into(), place.number),
            priority: priority.into(),
            by,
        }
    }
}

impl From<Cancel<'_>> for Ordered {
    fn from(cancel: Cancel<'_>) -> Self {
        let Cancel { invalidation, place: (line, number), priority, by } = cancel;
        Self::Cancel {
            invalidation: Uuid::from_bytes(invalidation),
            place: Place { line: line.into(), number },
            priority: priority.into(),
            by: by.to_owned(),
        }
    }
}

impl LanePause<'_> {
    pub(super) fn id(&self) -> [u8; 16] {
        self.id
    }
}

impl<'a> From<&'a crate::LanePause> for LanePause<'a> {
    fn from(pause: &'a crate::LanePause) -> Self {
        let crate::LanePause { id, site, until } = pause;
        let site = site.as_ref().map(SiteName::as_str);
        Self { id: id.into_bytes(), site, until: (*until).into() }
    }
}

impl TryFrom<LanePause<'_>> for crate::LanePause {
    type Error = WireError;

    fn try_from(LanePause { id, site, until }: LanePause<'_>) -> Result<Self, WireError> {
        let site = site.map(SiteName::from_canonical).transpose()?;
        Ok(Self { id: Uuid::from_bytes(id), site, until: until.try_into()? })
    }
}
