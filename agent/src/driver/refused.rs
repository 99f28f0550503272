//! A refusal: why nothing was purged, and what the cache answered.

use std::error::Error;
use std::fmt;

use schemas::Exchange;

use super::{BoxError, PurgeError};

/// Why a cache will not purge, with its answer if it gave one: a dead letter shows both.
#[derive(Debug)]
pub struct Refused {
    why: BoxError,
    exchange: Option<Box<Exchange>>,
}

impl Refused {
    /// Without an answer of the cache.
    pub fn new(why: impl Into<BoxError>) -> Self {
        Self { why: why.into(), exchange: None }
    }

    /// By this answer.
    pub fn by(exchange: Option<Exchange>, why: impl Into<BoxError>) -> Self {
        Self { why: why.into(), exchange: exchange.map(Box::new) }
    }

    /// What the cache answered.
    pub fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_deref()
    }

    /// Why, and what the cache answered.
    pub(crate) fn into_parts(self) -> (BoxError, Option<Box<Exchange>>) {
        (self.why, self.exchange)
    }

    /// The same, said more exactly.
    pub(super) fn map(self, why: impl FnOnce(BoxError) -> BoxError) -> Self {
        Self { why: why(self.why), exchange: self.exchange }
    }

    /// No selector is to blame: whatever is refused is refused to all.
    pub(super) fn of_all(self) -> PurgeError {
        PurgeError::Unavailable { after: None, source: self.why }
    }
}

impl From<&str> for Refused {
    fn from(why: &str) -> Self {
        Self::new(why)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.source()
    }
}
