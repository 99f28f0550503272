//! Which invalidations a list is about.

use std::collections::HashSet;
use std::ops::Range;

use jiff::Timestamp;
use schemas::api::ProgressState;
use schemas::{
    Invalidation, QueryMatch, Region, Scheme, Selector, Site, SiteName, Sites, Tag, Url,
};
use uuid::Uuid;

/// Below the time, an id has so many random bits and marks.
const BITS_BELOW_TIME: u32 = 80;

/// Which invalidations a list is about: those that fit all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Accepted then or later.
    pub(crate) since: Option<Timestamp>,
    /// Accepted then or earlier.
    pub(crate) until: Option<Timestamp>,
    /// Of this site.
    pub(crate) site: Option<SiteName>,
    /// For caches of this region, and maybe others.
    pub(crate) region: Option<Region>,
    /// That have come just this far.
    pub(crate) state: Option<ProgressState>,
    /// That purge each of these.
    pub(crate) purging: Vec<Purging>,
}

/// Something to be purged.
#[derive(Debug, Clone)]
pub(crate) struct Purging {
    /// By any of these.
    selectors: HashSet<Selector>,
    /// Whose, where that is known.
    site: Option<SiteName>,
}

impl Filter {
    /// Only what purges this tag.
    pub(crate) fn purging_tag(&mut self, tag: Tag) {
        self.purge([Selector::Tag(tag)], None);
    }

    /// Only what purges this URL, by whatever scheme.
    pub(crate) fn purging_url(&mut self, url: &Url, sites: &Sites) {
        let selector = |scheme| Selector::Url {
            scheme,
            host: url.host.clone(),
            path: url.path.clone(),
            query: QueryMatch::Exact(url.query.clone()),
        };
        let site = sites.of_host(&url.host).map(|site: &Site| site.name.clone());
        self.purge([Scheme::Http, Scheme::Https].map(selector), site);
    }

    fn purge<const N: usize>(&mut self, narrow: [Selector; N], site: Option<SiteName>) {
        let wider: Vec<Selector> = narrow.iter().flat_map(Selector::wider).collect();
        self.purging.push(Purging { selectors: narrow.into_iter().chain(wider).collect(), site });
    }

    /// The ids that may fit, below `before` where that is given.
    pub(crate) fn ids(&self, before: Option<Uuid>) -> Range<u128> {
        let end = self.until.map_or(u128::MAX, |until| first_id(until.as_millisecond() + 1));
        let start = self.since.map_or(0, |since| first_id(since.as_millisecond()));
        start..before.map_or(end, |before| before.as_u128().min(end))
    }

    /// Whether an invalidation fits, its state aside.
    pub(crate) fn fits(&self, invalidation: &Invalidation, sites: &Sites) -> bool {
        let Invalidation { site, accepted_at, audience, selectors, .. } = invalidation;
        self.since.is_none_or(|since| *accepted_at >= since)
            && self.until.is_none_or(|until| *accepted_at <= until)
            && self.site.as_ref().is_none_or(|wanted| wanted == site)
            && self
                .region
                .as_ref()
                .is_none_or(|region| audience.includes(region) && sites.held_in(site, region))
            && self.purging.iter().all(|purging| {
                purging.site.as_ref().is_none_or(|of| of == site)
                    && selectors.iter().any(|selector| purging.selectors.contains(selector))
            })
    }
}

/// The lowest id given in that millisecond.
pub(super) fn first_id(millisecond: i64) -> u128 {
    u128::from(u64::try_from(millisecond).unwrap_or(0)) << BITS_BELOW_TIME
}
