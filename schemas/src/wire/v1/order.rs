//! Orders: each kind has a number, so that a reader passes over those it does not know.

use std::borrow::Cow;

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::pause::{Cancel, Pause, Resume};
use super::time::Time;
use super::word::Mode;
use super::{Ext, ascending, fact};
use crate::wire::WireError;
use crate::{
    AgentName, CHOSEN_LETTERS_MAX, CacheName, ChosenLetters, ORDERS_MAX, Ordered, PublisherName,
    Region, SiteName,
};

/// The kinds of order; numbers once given are never used again.
const FLUSH: u16 = 1;
const RETRY: u16 = 2;
const DROP: u16 = 3;
const PAUSE: u16 = 4;
const RESUME: u16 = 5;
const CANCEL: u16 = 6;

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct Orders<'a> {
    by: &'a str,
    in_force: Vec<Order<'a>>,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct Order<'a> {
    id: [u8; 16],
    at: Time,
    expires_at: Time,
    /// The kind, and its frozen struct.
    what: (u16, Cow<'a, [u8]>),
}

#[derive(Debug, Encode, BorrowDecode)]
struct Flush<'a> {
    region: &'a str,
    cache: Option<&'a str>,
    mode: Mode,
}

#[derive(Debug, Encode, BorrowDecode)]
struct Retry<'a> {
    letters: Letters<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
struct Drop<'a> {
    letters: Letters<'a>,
    reason: &'a str,
    by: &'a str,
}

/// Which dead letters.
#[derive(Debug, Encode, BorrowDecode)]
struct Letters<'a> {
    ids: Vec<[u8; 16]>,
    region: Option<&'a str>,
    agent: Option<&'a str>,
    cache: Option<&'a str>,
    site: Option<&'a str>,
    text: Option<&'a str>,
}

impl<'a> From<&'a crate::Orders> for Orders<'a> {
    fn from(orders: &'a crate::Orders) -> Self {
        let crate::Orders { by, orders } = orders;
        let in_force = orders.iter().map(Order::from).collect();
        Self { by: by.as_str(), in_force, ext: Ext::new() }
    }
}

impl<'a> From<&'a crate::Order> for Order<'a> {
    fn from(order: &'a crate::Order) -> Self {
        let crate::Order { id, at, expires_at, what } = order;
        let what = match what {
            Ordered::Flush { region, cache, mode } => {
                let cache = cache.as_ref().map(CacheName::as_str);
                let (region, mode) = (region.as_str(), (*mode).into());
                fact::one(FLUSH, &Flush { region, cache, mode })
            }
            Ordered::Retry { letters } => fact::one(RETRY, &Retry { letters: letters.into() }),
            Ordered::Drop { letters, reason, by } => {
                fact::one(DROP, &Drop { letters: letters.into(), reason, by })
            }
            Ordered::Pause { what, reason, by } => {
                fact::one(PAUSE, &Pause::new(what, reason.as_deref(), by))
            }
            Ordered::Resume { pause, by } => fact::one(RESUME, &Resume::new(*pause, by)),
            Ordered::Cancel { invalidation, place, priority, by } => {
                fact::one(CANCEL, &Cancel::new(*invalidation, *place, *priority, by))
            }
        };
        Self { id: id.into_bytes(), at: (*at).into(), expires_at: (*expires_at).into(), what }
    }
}

impl TryFrom<Orders<'_>> for crate::Orders {
    type Error = WireError;

    fn try_from(orders: Orders<'_>) -> Result<Self, WireError> {
        let Orders { by, in_force, ext: _ } = orders;
        ascending("orders", &in_force, |order| order.id)?;
        if in_force.len() > ORDERS_MAX {
            return Err(WireError::Invalid(format!("{} orders are too many", in_force.len())));
        }
        let known = in_force.iter().filter_map(|order| order.read().transpose());
        let orders = known.collect::<Result<_, _>>()?;
        Ok(Self { by: PublisherName::from_canonical(by)?, orders })
    }
}

impl Order<'_> {
    /// `None` where its kind is not known.
    fn read(&self) -> Result<Option<crate::Order>, WireError> {
        let (kind, body) = &self.what;
        let what = match *kind {
            FLUSH => fact::read::<Flush>(body)?.try_into()?,
            RETRY => {
                let Retry { letters } = fact::read(body)?;
                Ordered::Retry { letters: letters.try_into()? }
            }
            DROP => {
                let Drop { letters, reason, by } = fact::read(body)?;
                let (reason, by) = (reason.to_owned(), by.to_owned());
                Ordered::Drop { letters: letters.try_into()?, reason, by }
            }
            PAUSE => match fact::read::<Pause>(body)?.what()? {
                Some(pause) => pause,
                None => return Ok(None),
            },
            RESUME => fact::read::<Resume>(body)?.into(),
            CANCEL => fact::read::<Cancel>(body)?.into(),
            _ => return Ok(None),
        };
        Ok(Some(crate::Order {
            id: Uuid::from_bytes(self.id),
            at: self.at.try_into()?,
            expires_at: self.expires_at.try_into()?,
            what,
        }))
    }
}

impl TryFrom<Flush<'_>> for Ordered {
    type Error = WireError;

    fn try_from(Flush { region, cache, mode }: Flush<'_>) -> Result<Self, WireError> {
        Ok(Self::Flush {
            region: Region::from_canonical(region)?,
            cache: cache.map(CacheName::from_canonical).transpose()?,
            mode: mode.into(),
        })
    }
}

impl<'a> From<&'a ChosenLetters> for Letters<'a> {
    fn from(chosen: &'a ChosenLetters) -> Self {
        let ChosenLetters { ids, region, agent, cache, site, text } = chosen;
        Self {
            ids: ids.iter().map(|id| id.into_bytes()).collect(),
            region: region.as_ref().map(Region::as_str),
            agent: agent.as_ref().map(AgentName::as_str),
            cache: cache.as_ref().map(CacheName::as_str),
            site: site.as_ref().map(SiteName::as_str),
            text: text.as_deref(),
        }
    }
}

impl TryFrom<Letters<'_>> for ChosenLetters {
    type Error = WireError;

    fn try_from(letters: Letters<'_>) -> Result<Self, WireError> {
        let Letters { ids, region, agent, cache, site, text } = letters;
        ascending("dead letters", &ids, |id| *id)?;
        if ids.len() > CHOSEN_LETTERS_MAX {
            return Err(WireError::Invalid(format!("{} dead letters are too many", ids.len())));
        }
        Ok(Self {
            ids: ids.into_iter().map(Uuid::from_bytes).collect(),
            region: region.map(Region::from_canonical).transpose()?,
            agent: agent.map(AgentName::from_canonical).transpose()?,
            cache: cache.map(CacheName::from_canonical).transpose()?,
            site: site.map(SiteName::from_canonical).transpose()?,
            text: text.map(ToOwned::to_owned),
        })
    }
}
