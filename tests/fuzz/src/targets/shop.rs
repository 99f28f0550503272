//! The installation that all targets parse for.

use std::collections::BTreeSet;

use schemas::{Audience, Host, Region, Site, SiteName, Sites};

pub(super) fn region() -> Region {
    "eu-west".parse().expect("a region")
}

/// A site whose one host begins as the other does.
pub(super) fn site() -> Site {
    let hosts = ["a.com", "a.com.au"].map(|host| host.parse::<Host>().expect("a host"));
    Site { name: name("shop"), hosts: hosts.into(), regions: Audience::All }
}

/// Two of them.
pub(super) fn sites() -> Sites {
    let host = "b.com".parse().expect("a host");
    let regions = Audience::Regions([region()].into());
    Sites::new([site(), Site { name: name("blog"), hosts: BTreeSet::from([host]), regions }])
}

fn name(name: &str) -> SiteName {
    name.parse().expect("a name")
}
