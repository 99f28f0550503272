//! What is to be flushed, how, and why.

use schemas::{Abilities, Ability, Host, Mode, Selector, SiteName};

/// Why a lane flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// It has no cursor: whatever the cache holds may be stale.
    NoCursor,
    /// Numbers are lost, or were missing for too long.
    Hole,
    /// The configuration has more sites, other templates or another region than the cursor.
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

/// What is flushed: whole sites, and single hosts of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// All of these.
    pub(crate) sites: Vec<SiteName>,
    /// Of other sites no more than this.
    pub(crate) hosts: Vec<(SiteName, Host)>,
}

impl Extent {
    /// Whether it is of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.hosts.is_empty()
    }

    /// How many selectors it comes down to.
    pub(super) fn len(&self) -> usize {
        self.sites.len() + self.hosts.len()
    }

    /// What is to be purged.
    pub(crate) fn selectors(self) -> impl Iterator<Item = (SiteName, Selector)> {
        let sites = self.sites.into_iter().map(|site| (site, Selector::Everything));
        let hosts = self.hosts.into_iter().map(|(site, host)| {
            let path = "/".parse().expect("a path");
            (site, Selector::Prefix { host, path })
        });
        sites.chain(hosts)
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_flushed_alone_where_the_cache_can_with_its_site_where_it_cannot() {
        let main: SiteName = "main".parse().expect("a name");
        let hosts = || vec![(main.clone(), "a.example.com".parse().expect("a host"))];
        let settled = |url, prefix| {
            let mut extent = Extent { sites: Vec::new(), hosts: hosts() };
            extent.settle_hosts(&Abilities {
                url,
                url_any_query: url,
                prefix,
                tag: Ability::Supported,
                key: Ability::NotHeld,
                everything: Ability::Supported,
                soft: false,
                batch_selectors_max: 100,
                manner: "a model".to_owned(),
            });
            extent
        };
        let (yes, no, never) = (Ability::Supported, Ability::Unsupported, Ability::NotHeld);
        assert_eq!(settled(yes, yes), Extent { sites: Vec::new(), hosts: hosts() });
        assert_eq!(settled(yes, no), Extent { sites: vec![main.clone()], hosts: Vec::new() });
        assert!(settled(never, never).is_empty());
    }
}
