//! The parsers of what comes from outside, for `tests/fuzz`; no part of what this crate offers.

use std::collections::BTreeSet;

use axum::http::Uri;
use jiff::Timestamp;
use schemas::api::Mistake;
use schemas::{Invalidation, Region, SiteName, Sites};
use uuid::Uuid;

use crate::intake::{self, Terms};

pub use crate::journal::fuzzing as journal;

/// What a body says that is to be published, or all that is wrong with it; `None` where it is no JSON.
pub fn request(
    body: &[u8],
    only_site: Option<&SiteName>,
    sites: &Sites,
    regions: &BTreeSet<Region>,
) -> Option<Result<Invalidation, Vec<Mistake>>> {
    let (request, misread) = intake::read(serde_json::from_slice(body).ok()?);
    let terms = Terms { only_site, ..Terms::default() };
    let checked = intake::check(&request, terms, sites, regions);
    Some(if misread.is_empty() {
        checked.map(|wanted| wanted.into_invalidation(Uuid::nil(), Timestamp::UNIX_EPOCH))
    } else {
        Err(intake::together(misread, checked.err().unwrap_or_default()))
    })
}

/// Whether a query is taken by the one route and by the other, and its cursor; `None` where it is none.
pub fn query(target: &str) -> Option<(bool, bool, Option<String>)> {
    let uri = target.parse::<Uri>().ok()?;
    Some(crate::routes::fuzzing::query(&uri, Timestamp::UNIX_EPOCH))
}
