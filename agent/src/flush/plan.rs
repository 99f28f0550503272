//! What is to be flushed, how, and why.

use std::sync::Arc;

use schemas::{Abilities, Ability, Host, Mode, Selector, SiteName};

use crate::driver::Purge;

/// Why a lane flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// It has no cursor: whatever the cache holds may be stale.
    NoCursor,
    /// Numbers are lost, or were missing for too long.
    Hole,
    /// The configuration has more sites, other parts of the cache or another region than the cursor.
    Configuration,
    /// It was away for longer than closed lines are told.
    Away,
    /// The cache that it comes after was flushed.
    Inner,
    /// A human has ordered it.
    Ordered,
}

impl Cause {
    /// The word for it in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoCursor => "no_cursor",
            Self::Hole => "hole",
            Self::Configuration => "configuration",
            Self::Away => "away",
            Self::Inner => "inner",
            Self::Ordered => "ordered",
        }
    }

    /// The same in words for people.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NoCursor => "there is no cursor",
            Self::Hole => "invalidations were lost on their way",
            Self::Configuration => "the configuration has changed",
            Self::Away => "the agent was away for longer than what was lost meanwhile is told",
            Self::Inner => "the cache behind it was flushed",
            Self::Ordered => "a human has ordered it",
        }
    }

    /// Whether what the cache holds is in doubt as a whole. Else the floors tell what it has seen: they stay below
    /// what the flush is to make up for.
    pub(super) fn doubts_all(self) -> bool {
        matches!(self, Self::NoCursor | Self::Configuration | Self::Away)
    }
}

/// What is to be flushed, how, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Why.
    pub(crate) cause: Cause,
    /// Of what.
    pub(crate) extent: Extent,
    /// Whether objects are removed, or marked stale: that makes up for nothing, for what was lost may have been hard.
    pub(crate) mode: Mode,
}

impl Plan {
    /// Whether who does this need not do `other`.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut both = self.extent.clone();
        both.add(other.extent.clone());
        self.mode >= other.mode && both == self.extent
    }

    /// Does `other` too.
    pub(super) fn add(&mut self, other: Self) {
        self.extent.add(other.extent);
        self.mode = self.mode.max(other.mode);
        if other.cause.doubts_all() {
            self.cause = other.cause;
        }
    }
}

/// What is flushed: whole sites, and parts of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// All of these.
    pub(crate) sites: Vec<SiteName>,
    /// Of other sites no more than these hosts,
    pub(crate) hosts: Vec<(SiteName, Host)>,
    /// and what these parts of the cache hold.
    pub(crate) parts: Vec<(SiteName, Arc<str>)>,
}

impl Extent {
    /// All of these.
    pub(crate) fn of(sites: Vec<SiteName>) -> Self {
        Self { sites, ..Self::default() }
    }

    /// Whether nothing of it is a part of a site.
    pub(super) fn is_of_whole_sites(&self) -> bool {
        self.hosts.is_empty() && self.parts.is_empty()
    }

    fn add(&mut self, other: Self) {
        fn add<T: PartialEq>(to: &mut Vec<T>, more: Vec<T>) {
            for one in more {
                if !to.contains(&one) {
                    to.push(one);
                }
            }
        }
        add(&mut self.sites, other.sites);
        add(&mut self.hosts, other.hosts);
        add(&mut self.parts, other.parts);
        self.forget_parts_of_whole_sites();
    }

    fn forget_parts_of_whole_sites(&mut self) {
        let sites = &self.sites;
        self.hosts.retain(|(site, _)| !sites.contains(site));
        self.parts.retain(|(site, _)| !sites.contains(site));
    }

    /// Whether it is of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.is_of_whole_sites()
    }

    /// How many selectors it comes down to.
    pub(super) fn len(&self) -> usize {
        self.sites.len() + self.hosts.len() + self.parts.len()
    }

    /// What is to be purged.
    pub(crate) fn purges(self, mode: Mode) -> impl Iterator<Item = Purge> {
        let all = move |site| Purge::new(site, Selector::Everything, mode);
        let sites = self.sites.into_iter().map(all);
        let hosts = self.hosts.into_iter().map(move |(site, host)| {
            let path = "/".parse().expect("a path");
            Purge::new(site, Selector::Prefix { host, path }, mode)
        });
        let parts = self.parts.into_iter();
        let parts = parts.map(move |(site, part)| Purge { part: Some(part), ..all(site) });
        sites.chain(hosts).chain(parts)
    }

    /// What becomes of single hosts in a cache of these abilities: one that cannot remove them alone flushes their
    /// sites, and one that holds no pages holds nothing of them.
    pub(super) fn settle_hosts(&mut self, known: &Abilities) {
        if known.prefix == Ability::Supported {
            return;
        }
        let hosts = std::mem::take(&mut self.hosts);
        if known.url != Ability::NotHeld {
            for (site, _) in hosts {
                if !self.sites.contains(&site) {
                    self.sites.push(site);
                }
            }
        }
        self.forget_parts_of_whole_sites();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_flushed_alone_where_the_cache_can_with_its_site_where_it_cannot() {
        let main: SiteName = "main".parse().expect("a name");
        let hosts = || vec![(main.clone(), "a.example.com".parse().expect("a host"))];
        let parts = || vec![(main.clone(), "keys.key={key}".into())];
        let settled = |url, prefix| {
            let mut extent = Extent { hosts: hosts(), parts: parts(), ..Extent::default() };
            extent.settle_hosts(&Abilities {
                url,
                url_any_query: url,
                prefix,
                ..Abilities::of_pages(100, "a model")
            });
            extent
        };
        let (yes, no, never) = (Ability::Supported, Ability::Unsupported, Ability::NotHeld);
        let alone = Extent { sites: Vec::new(), hosts: hosts(), parts: parts() };
        assert_eq!(settled(yes, yes), alone);
        assert_eq!(settled(yes, no), Extent::of(vec![main.clone()]));
        assert_eq!(settled(never, never), Extent { hosts: Vec::new(), ..alone });
    }

    #[test]
    fn two_plans_together_do_what_both_do_and_nothing_twice() {
        let site = |name: &str| -> SiteName { name.parse().expect("a name") };
        let (main, other) = (site("main"), site("other"));
        let narrow = Plan {
            cause: Cause::Hole,
            extent: Extent {
                parts: vec![(main.clone(), "a".into()), (other.clone(), "a".into())],
                ..Extent::default()
            },
            mode: Mode::Soft,
        };
        let wide =
            Plan { cause: Cause::Away, extent: Extent::of(vec![main.clone()]), mode: Mode::Hard };
        let mut both = narrow.clone();
        both.add(wide.clone());
        let extent = Extent { parts: vec![(other, "a".into())], ..Extent::of(vec![main]) };
        assert_eq!(both, Plan { cause: Cause::Away, extent, mode: Mode::Hard });
        assert_eq!(both.extent.len(), both.extent.clone().purges(Mode::Hard).count());
        assert!(both.covers(&narrow) && both.covers(&wide) && both.covers(&both));
        assert!(!wide.covers(&narrow) && !narrow.covers(&wide) && !narrow.covers(&both));
        assert!(!Plan { mode: Mode::Soft, ..both }.covers(&wide), "it only marks stale");
    }
}
