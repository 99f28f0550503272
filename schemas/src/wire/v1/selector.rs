//! Selectors; their texts are canonical or refused.

use bincode::{BorrowDecode, Encode};

use super::word::Scheme;
use crate::wire::WireError;
use crate::wire::known::Known;
use crate::{Host, Key, Path, Query, Tag, Url};

#[derive(Debug, Encode, BorrowDecode)]
pub(super) enum Selector<'a> {
    Url { scheme: Scheme, host: &'a str, path: &'a str, query: QueryMatch<'a> },
    Prefix { host: &'a str, path: &'a str },
    Tag(&'a str),
    Key(&'a str),
    Everything,
}

#[derive(Debug, Encode, BorrowDecode)]
pub(super) enum QueryMatch<'a> {
    Exact(Option<&'a str>),
    Any,
}

impl<'a> From<&'a crate::Selector> for Selector<'a> {
    fn from(selector: &'a crate::Selector) -> Self {
        match selector {
            crate::Selector::Url { scheme, host, path, query } => Self::Url {
                scheme: (*scheme).into(),
                host: host.as_str(),
                path: path.as_str(),
                query: match query {
                    crate::QueryMatch::Exact(query) => {
                        QueryMatch::Exact(query.as_ref().map(Query::as_str))
                    }
                    crate::QueryMatch::Any => QueryMatch::Any,
                },
            },
            crate::Selector::Prefix { host, path } => {
                Self::Prefix { host: host.as_str(), path: path.as_str() }
            }
            crate::Selector::Tag(tag) => Self::Tag(tag.as_str()),
            crate::Selector::Key(key) => Self::Key(key.as_str()),
            crate::Selector::Everything => Self::Everything,
        }
    }
}

impl Selector<'_> {
    pub(super) fn read(self, known: &mut Known) -> Result<crate::Selector, WireError> {
        Ok(match self {
            Selector::Url { scheme, host, path, query } => {
                url(scheme, known.host(host)?, path, &query)?
            }
            Selector::Prefix { host, path } => crate::Selector::Prefix {
                host: known.host(host)?,
                path: Path::from_canonical(path)?,
            },
            Selector::Tag(tag) => crate::Selector::Tag(Tag::from_canonical(tag)?),
            Selector::Key(key) => crate::Selector::Key(Key::from_canonical(key)?),
            Selector::Everything => crate::Selector::Everything,
        })
    }
}

fn url(
    scheme: Scheme,
    host: Host,
    path: &str,
    query: &QueryMatch<'_>,
) -> Result<crate::Selector, WireError> {
    let exact = match query {
        QueryMatch::Exact(query) => query.map(Query::from_canonical).transpose()?,
        QueryMatch::Any => None,
    };
    let Url { scheme, host, path, query: exact } =
        Url::from_canonical_parts(scheme.into(), host, Path::from_canonical(path)?, exact)?;
    let query = match query {
        QueryMatch::Exact(_) => crate::QueryMatch::Exact(exact),
        QueryMatch::Any => crate::QueryMatch::Any,
    };
    Ok(crate::Selector::Url { scheme, host, path, query })
}
