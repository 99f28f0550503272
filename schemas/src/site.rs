//! Sites: who owns which hosts, and the regions that hold them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Audience, Host, Region, SiteName};

/// The unit of tenancy: a name, its hosts, its residency. Its key namespace is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The name.
    pub name: SiteName,
    /// The hosts that belong to it; no other site has any of them.
    pub hosts: BTreeSet<Host>,
    /// The regions that hold it.
    pub regions: Audience,
}

/// All sites of an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sites {
    by_name: BTreeMap<SiteName, Site>,
}

impl Sites {
    /// Of these; the last of two with one name wins, so check names before.
    pub fn new(sites: impl IntoIterator<Item = Site>) -> Self {
        Self { by_name: sites.into_iter().map(|site| (site.name.clone(), site)).collect() }
    }

    /// The site of that name.
    pub fn get(&self, name: &SiteName) -> Option<&Site> {
        self.by_name.get(name)
    }

    /// The site that owns `host`.
    pub fn of_host(&self, host: &Host) -> Option<&Site> {
        self.by_name.values().find(|site| site.hosts.contains(host))
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        self.by_name.values()
    }

    /// Whether `region` holds the site at all.
    pub fn held_in(&self, name: &SiteName, region: &Region) -> bool {
        self.get(name).is_some_and(|site| site.regions.includes(region))
    }
}
