//! What the cache did, told in a `Cache-Status` header (RFC 9211).

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a request was answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum CacheStatus {
    /// From the cache.
    Hit {
        /// How long it stays fresh.
        ttl: Duration,
    },
    /// By asking the origin.
    Forwarded(Forwarded),
    /// Not at all: nothing fresh is stored, and the client wanted nothing else.
    NotCached,
}

/// A request that went to the origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forwarded {
    /// Why.
    pub(super) reason: Reason,
    /// What the origin said, if it said anything.
    pub(super) status: Option<StatusCode>,
    /// Whether its answer is stored now.
    pub(super) stored: bool,
}

/// Why a request went to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// No site owns its host, or its address has no canonical form: it could never be purged.
    Bypass,
    /// Its method is not one of a cache.
    Method,
    /// Nothing is stored for its URL.
    UriMiss,
    /// Only other variants are stored.
    VaryMiss,
    /// What is stored is stale.
    Stale,
    /// What is stored is fresh, but the client asks for the origin's word.
    Request,
}

impl CacheStatus {
    /// Adds it to those of the caches behind.
    pub(super) fn append_to(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.to_string()) {
            headers.append(CACHE_STATUS, value);
        }
    }
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("purgebus-edge")?;
        match self {
            Self::Hit { ttl } => write!(f, "; hit; ttl={}", ttl.as_secs()),
            Self::NotCached => f.write_str("; detail=not-cached"),
            Self::Forwarded(Forwarded { reason, status, stored }) => {
                write!(f, "; fwd={}", reason.as_str())?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={}", status.as_u16())?;
                }
                if *stored { f.write_str("; stored") } else { Ok(()) }
            }
        }
    }
}
