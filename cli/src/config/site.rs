//! `[[site]]`: who owns which hosts, and the regions that hold them.

use schemas::{Audience, Host, Region, Site, SiteName};
use serde::Deserialize;

/// One `[[site]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SiteConfig {
    /// Its name; `main` if left out.
    pub(crate) name: SiteName,
    /// The hosts that belong to it.
    pub(crate) hosts: Vec<Host>,
    /// The regions that hold it; every region if left out.
    pub(crate) regions: Option<Vec<Region>>,
}

impl Default for SiteConfig {
    fn default() -> Self {
        let name = "main".parse().expect("a valid name");
        Self { name, hosts: Vec::new(), regions: None }
    }
}

impl SiteConfig {
    /// The site as the bus knows it.
    pub(crate) fn into_site(self) -> Site {
        let regions = self
            .regions
            .map_or(Audience::All, |regions| Audience::Regions(regions.into_iter().collect()));
        Site { name: self.name, hosts: self.hosts.into_iter().collect(), regions }
    }
}
