//! What of an invalidation decides who owes it, and what a cache can do about it.

use schemas::{
    Abilities, Ability, AgentName, Audience, CacheName, Invalidation, Priority, Recipients, Region,
    Selector, SelectorKind, SiteName, Sites,
};

const KINDS: [SelectorKind; 6] = [
    SelectorKind::Url,
    SelectorKind::UrlAnyQuery,
    SelectorKind::Prefix,
    SelectorKind::Tag,
    SelectorKind::Key,
    SelectorKind::Everything,
];

/// What of an invalidation decides who owes it; equal for many of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// Whose content.
    pub(super) site: SiteName,
    /// On which path.
    pub(super) priority: Priority,
    audience: Audience,
    recipients: Recipients,
    kinds: Kinds,
}

impl Scope {
    /// That of `invalidation`.
    pub(super) fn of(invalidation: &Invalidation) -> Self {
        Self {
            site: invalidation.site.clone(),
            priority: invalidation.priority,
            audience: invalidation.audience.clone(),
            recipients: invalidation.recipients.clone(),
            kinds: Kinds::of(&invalidation.selectors),
        }
    }

    /// Of what was written down of an invalidation.
    pub(super) fn from_parts(
        site: SiteName,
        priority: Priority,
        audience: Audience,
        recipients: Recipients,
        kinds: impl IntoIterator<Item = SelectorKind>,
    ) -> Self {
        let kinds = Kinds(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8));
        Self { site, priority, audience, recipients, kinds }
    }

    /// Whether caches in `region` are meant: it is in the audience and holds the site.
    pub(super) fn concerns(&self, region: &Region, sites: &Sites) -> bool {
        self.audience.includes(region) && sites.held_in(&self.site, region)
    }

    /// Whether this cache of this agent is meant, in regions that are.
    pub(super) fn is_for(&self, agent: &AgentName, cache: &CacheName) -> bool {
        self.recipients.includes(agent, cache)
    }

    /// The regions it names, by its audience or else by its site; `None` where it means all there are.
    pub(super) fn named_regions(&self, sites: &Sites) -> Option<Vec<Region>> {
        let site = sites.get(&self.site).map(|site| &site.regions);
        match (&self.audience, site) {
            (Audience::Regions(named), _) | (Audience::All, Some(Audience::Regions(named))) => {
                Some(named.iter().cloned().collect())
            }
            (Audience::All, _) => None,
        }
    }

    /// What a cache of these abilities has to do.
    pub(super) fn duty(&self, abilities: KindAbilities) -> Duty {
        self.kinds
            .iter()
            .map(|kind| match abilities.of(kind) {
                Ability::NotHeld => Duty::NotOurs,
                Ability::Supported => Duty::Purge,
                Ability::Unsupported => Duty::Unsupported,
            })
            .max()
            .unwrap_or(Duty::NotOurs)
    }

    /// The words of its kinds that a cache of these abilities cannot purge.
    pub(super) fn unsupported(&self, abilities: KindAbilities) -> Vec<&'static str> {
        let unsupported = |kind: &SelectorKind| abilities.of(*kind) == Ability::Unsupported;
        self.kinds.iter().filter(unsupported).map(word).collect()
    }
}

/// What a cache has to do for an invalidation, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Duty {
    /// It never holds such objects.
    NotOurs,
    /// It purges.
    Purge,
    /// It may hold such objects and cannot purge them all.
    Unsupported,
}

/// Which kinds of selector occur: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kinds(u8);

impl Kinds {
    fn of(selectors: &[Selector]) -> Self {
        Self(selectors.iter().fold(0, |bits, selector| bits | 1 << selector.kind() as u8))
    }

    fn iter(self) -> impl Iterator<Item = SelectorKind> {
        KINDS.into_iter().filter(move |kind| self.0 & (1 << *kind as u8) != 0)
    }
}

/// What a cache can do with each kind of selector: two bits a kind, the worse the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KindAbilities(u16);

impl KindAbilities {
    const NOT_HELD: u16 = 0;
    const SUPPORTED: u16 = 1;
    const UNSUPPORTED: u16 = 2;

    /// Those announced.
    pub(super) fn announced(abilities: &Abilities) -> Self {
        Self(KINDS.into_iter().fold(0, |bits, kind| {
            let ability = match abilities.of(kind) {
                Ability::NotHeld => Self::NOT_HELD,
                Ability::Supported => Self::SUPPORTED,
                Ability::Unsupported => Self::UNSUPPORTED,
            };
            bits | ability << shift(kind)
        }))
    }

    /// As told by [`KindAbilities::bits`].
    pub(super) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// For a store.
    pub(super) fn bits(self) -> u16 {
        self.0
    }

    fn of(self, kind: SelectorKind) -> Ability {
        match self.0 >> shift(kind) & 0b11 {
            Self::NOT_HELD => Ability::NotHeld,
            Self::SUPPORTED => Ability::Supported,
            _ => Ability::Unsupported,
        }
    }

    /// Of each kind the worse of both.
    pub(super) fn worse(self, other: Self) -> Self {
        Self(KINDS.into_iter().fold(0, |bits, kind| {
            let mask = 0b11 << shift(kind);
            bits | (self.0 & mask).max(other.0 & mask)
        }))
    }
}

fn shift(kind: SelectorKind) -> u16 {
    2 * kind as u16
}

fn word(kind: SelectorKind) -> &'static str {
    match kind {
        SelectorKind::Url => "url",
        SelectorKind::UrlAnyQuery => "url with any query",
        SelectorKind::Prefix => "prefix",
        SelectorKind::Tag => "tag",
        SelectorKind::Key => "key",
        SelectorKind::Everything => "everything",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::all_supported;

    fn abilities(url: Ability, tag: Ability) -> KindAbilities {
        KindAbilities::announced(&Abilities {
            url,
            prefix: Ability::Unsupported,
            tag,
            key: Ability::NotHeld,
            ..all_supported()
        })
    }

    #[test]
    fn packing_keeps_every_ability() {
        for url in [Ability::Supported, Ability::Unsupported, Ability::NotHeld] {
            let packed = KindAbilities::from_bits(abilities(url, Ability::NotHeld).bits());
            assert_eq!(packed.of(SelectorKind::Url), url);
            assert_eq!(packed.of(SelectorKind::Prefix), Ability::Unsupported);
            assert_eq!(packed.of(SelectorKind::Key), Ability::NotHeld);
            assert_eq!(packed.of(SelectorKind::Everything), Ability::Supported);
        }
    }

    #[test]
    fn of_two_abilities_the_worse_stays() {
        let worse = abilities(Ability::Unsupported, Ability::NotHeld)
            .worse(abilities(Ability::Supported, Ability::Supported));
        assert_eq!(worse, abilities(Ability::Unsupported, Ability::Supported));
    }
}
