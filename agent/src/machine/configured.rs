//! What a configuration has more than the cursor knows: it was never purged, so that is flushed, and nothing else.

use std::sync::Arc;

use schemas::{Cursor, Host, SiteName};

use super::Machine;
use crate::Moment;
use crate::driver::is_instance;
use crate::flush::{Cause, Extent};

impl Machine {
    /// A configuration that holds more than the cursor knows is flushed for what is new.
    pub(super) fn flush_what_is_new(&mut self, cursor: &Cursor, now: Moment) {
        let extent = self.new_since(cursor);
        self.must_flush_of(now, Cause::Configuration, extent);
    }

    /// In another region all is new; a site is new as a whole, and of one that is known its hosts may be, and parts of
    /// the cache. Where the cache starts empty, so does another instance of it.
    fn new_since(&self, cursor: &Cursor) -> Extent {
        let all_new = cursor.region != self.purpose.region;
        let is_new = |site: &SiteName| all_new || !cursor.sites.contains(site);
        let (sites, known): (Vec<_>, Vec<_>) = self.sites().into_iter().partition(is_new);
        let empty = |part: &str| self.purpose.config.starts_empty && is_instance(part);
        let parts = self.purpose.parts.difference(&cursor.parts).map(String::as_str);
        let parts: Vec<Arc<str>> = parts.filter(|part| !empty(part)).map(Arc::from).collect();
        let of = |site: &SiteName| {
            let site = site.clone();
            parts.iter().map(move |part| (site.clone(), part.clone()))
        };
        Extent {
            sites,
            hosts: known.iter().flat_map(|site| self.new_hosts(site, cursor)).collect(),
            parts: known.iter().flat_map(of).collect(),
        }
    }

    /// The hosts of a site that a cursor, which knows the hosts of that site, does not know.
    fn new_hosts(&self, site: &SiteName, cursor: &Cursor) -> Vec<(SiteName, Host)> {
        let (Some(now), Some(then)) = (self.purpose.sites.get(site), cursor.hosts.get(site)) else {
            return Vec::new();
        };
        now.hosts.difference(then).map(|host| (site.clone(), host.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
