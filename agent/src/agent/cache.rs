//! The caches of an agent: how each is purged, in which order, and which are the same as before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use schemas::CacheName;

use super::AgentError;
use crate::config::{CacheConfig, LaneConfig};
use crate::driver::{self, Driver, DriverConfig, Surroundings};
use crate::order::delays_after;

/// Makes a driver with connections of its own; called once per lane.
pub type OpenDriver = Arc<dyn Fn(&Surroundings) -> Arc<dyn Driver> + Send + Sync>;

/// Where the drivers of a cache come from.
#[derive(Clone)]
pub enum Drivers {
    /// They are configured.
    Configured(Box<DriverConfig>),
    /// They are made by the caller.
    Made(OpenDriver),
}

impl Drivers {
    /// One with connections of its own, that does not talk to the cache yet.
    pub(super) fn open(&self, surroundings: &Surroundings) -> Arc<dyn Driver> {
        match self {
            Self::Configured(config) => driver::open(config, surroundings),
            Self::Made(open) => open(surroundings),
        }
    }
}

impl PartialEq for Drivers {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Configured(one), Self::Configured(other)) => one == other,
            (Self::Made(one), Self::Made(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Drivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configured(config) => config.fmt(f),
            Self::Made(_) => f.write_str("made by the caller"),
        }
    }
}

/// A cache and how it is purged.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Its name on this agent.
    pub name: CacheName,
    /// How its lanes behave.
    pub lane: LaneConfig,
    /// The kind of driver, for people.
    pub kind: String,
    /// Delays of the later passes where the configuration names none.
    pub rebounds: Vec<Duration>,
    /// What it consists of, as [`DriverConfig::parts`] names it: what is added later is flushed.
    pub parts: BTreeSet<String>,
    /// Its drivers.
    pub drivers: Drivers,
}

impl From<CacheConfig> for Cache {
    fn from(config: CacheConfig) -> Self {
        let CacheConfig { name, lane, driver } = config;
        Self {
            name,
            lane,
            kind: driver.kind().to_owned(),
            rebounds: driver.rebounds(),
            parts: driver.parts(),
            drivers: Drivers::Configured(Box::new(driver)),
        }
    }
}

/// All caches of an agent.
#[derive(Debug, Default)]
pub(super) struct Caches(Vec<Cache>);

impl Caches {
    /// Every inner cache must be there.
    pub(super) fn new(caches: Vec<Cache>) -> Result<Self, AgentError> {
        let caches = Self(caches);
        for cache in &caches.0 {
            if let Some(inner) = cache.lane.after.clone()
                && caches.get(&inner).is_none()
            {
                return Err(AgentError::UnknownInner { cache: cache.name.clone(), inner });
            }
        }
        Ok(caches)
    }

    /// Each, as configured.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cache> {
        self.0.iter()
    }

    /// The one of that name.
    fn get(&self, name: &CacheName) -> Option<&Cache> {
        self.0.iter().find(|cache| cache.name == *name)
    }

    fn inner(&self, cache: &Cache) -> Option<&Cache> {
        self.get(cache.lane.after.as_ref()?)
    }

    /// A cache and those that it comes after, directly or not. A circle is no order; it ends where it began.
    fn chain<'a>(&'a self, cache: &'a Cache) -> impl Iterator<Item = &'a Cache> {
        std::iter::successors(Some(cache), |cache| self.inner(cache)).take(self.0.len())
    }

    /// Those that `cache` comes after, directly or not.
    pub(super) fn behind(&self, cache: &Cache) -> BTreeSet<CacheName> {
        self.chain(cache).skip(1).map(|cache| cache.name.clone()).collect()
    }

    /// The delays of a cache's later passes: those of an outer one end after those of the inner one.
    pub(super) fn rebounds(&self, cache: &Cache) -> Vec<Duration> {
        let own =
            |cache: &Cache| cache.lane.rebounds.clone().unwrap_or_else(|| cache.rebounds.clone());
        let chain: Vec<_> = self.chain(cache).map(own).collect();
        let mut outwards = chain.into_iter().rev();
        let innermost = outwards.next().unwrap_or_default();
        outwards.fold(innermost, |inner, outer| delays_after(&inner, outer))
    }

    /// Those that are as they were among these `before`, and come after none that is not: their lanes need not begin
    /// anew.
    pub(super) fn unchanged_since(&self, before: &Self) -> BTreeSet<CacheName> {
        let same = |cache: &Cache| before.get(&cache.name) == Some(cache);
        let unchanged = self.iter().filter(|cache| self.chain(cache).all(same));
        unchanged.map(|cache| cache.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(text: &str) -> Cache {
        let (name, after) = text.split_once(" after ").map_or((text, None), |(n, a)| (n, Some(a)));
        let url = format!("url = 'http://{name}'");
        CacheConfig {
            name: name.parse().expect("a name"),
            lane: LaneConfig {
                after: after.map(|after| after.parse().expect("a name")),
                ..LaneConfig::default()
            },
            driver: DriverConfig::Edge(toml::from_str(&url).expect("an edge")),
        }
        .into()
    }

    fn caches<const N: usize>(texts: [&str; N]) -> Caches {
        Caches::new(texts.map(cache).into()).expect("an order")
    }

    fn unchanged(now: &Caches, before: &Caches) -> Vec<String> {
        now.unchanged_since(before).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_written_the_same_again_is_unchanged_in_any_order() {
        let before = caches(["a", "b", "c after b"]);
        assert_eq!(unchanged(&caches(["c after b", "b", "a"]), &before), ["a", "b", "c"]);
        assert_eq!(unchanged(&before, &Caches::default()), Vec::<String>::new());
    }

    #[test]
    fn what_has_come_or_gone_leaves_the_others_alone() {
        let before = caches(["a", "b", "c after b"]);
        assert_eq!(unchanged(&caches(["a", "d"]), &before), ["a"]);
        assert_eq!(
            unchanged(&caches(["a", "b", "c after b", "d after c"]), &before),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn an_outer_cache_begins_anew_with_any_that_it_comes_after_and_not_the_other_way_round() {
        let before = caches(["a", "b after a", "c after b", "d"]);
        for (changed, left) in [
            ("a", vec!["d"]),
            ("b", vec!["a", "d"]),
            ("c", vec!["a", "b", "d"]),
            ("d", vec!["a", "b", "c"]),
        ] {
            let mut now = caches(["a", "b after a", "c after b", "d"]);
            let cache = now.0.iter_mut().find(|cache| cache.name.as_str() == changed);
            cache.expect("a cache").lane.window += 1;
            assert_eq!(unchanged(&now, &before), left, "{changed} has changed");
        }
    }

    #[test]
    fn whatever_is_configured_of_a_cache_changes_it() {
        let of = |driver: DriverConfig| {
            let (name, lane) = ("a".parse().expect("a name"), LaneConfig::default());
            Caches::new(vec![CacheConfig { name, lane, driver }.into()]).expect("an order")
        };
        let redis = |text: &str| of(DriverConfig::Redis(toml::from_str(text).expect(text)));
        let varnish = |text: &str| of(DriverConfig::Varnish(toml::from_str(text).expect(text)));
        let least = "url = 'redis://:one@h'\nkeys.key = '{site}:{key}'";
        let all = [
            redis(least),
            redis("url = 'redis://:other@h'\nkeys.key = '{site}:{key}'"),
            redis("url = 'redis://:one@h/1'\nkeys.key = '{site}:{key}'"),
            redis("url = 'redis://:one@h'\nkeys.key = '{site}:k:{key}'"),
            redis("url = 'redis://:one@h'\nkeys.key = '{site}:{key}'\ntimeout = '1s'"),
            varnish("url = 'http://h'"),
            varnish("url = 'http://g'"),
            varnish("url = 'http://h'\nfence = false"),
            of(DriverConfig::Edge(toml::from_str("url = 'http://h'").expect("an edge"))),
        ];
        for (at, one) in all.iter().enumerate() {
            for (before, other) in all.iter().enumerate() {
                assert_eq!(unchanged(one, other).len(), usize::from(at == before), "{at} {before}");
            }
        }
        assert_eq!(unchanged(&redis(least), &redis(least)), ["a"]);
    }

    #[test]
    fn an_inner_cache_must_be_there() {
        let alone = Caches::new(vec![cache("a after b")]);
        assert!(matches!(alone, Err(AgentError::UnknownInner { .. })));
    }
}
