//! Every cache: whether it is one that purges, and purges for us.

use std::sync::Arc;
use std::time::Duration;

use agent::CacheConfig;
use agent::driver::{self, Driver, PurgeError, Surroundings};
use futures::future::join_all;
use schemas::{Abilities, Ability, Priority, Sites};
use tokio::time::timeout;
use uuid::Uuid;

use super::{Done, Found, Trial, causes};
use crate::config::Config;

/// Longest time for one cache, beyond the timeouts of its driver.
const TRY_WITHIN: Duration = Duration::from_secs(15);

/// How many trials there will be.
pub(super) fn count(config: &Config) -> usize {
    config.agent.as_ref().map_or(0, |agent| agent.caches.len())
}

/// Tries all of them at once.
pub(super) async fn run(config: &Config, done: Done<'_>) -> Vec<Trial> {
    let Some(agent) = &config.agent else { return Vec::new() };
    let trials = agent.caches.iter().map(|cache| async {
        let what = format!("cache {} ({})", cache.name, cache.driver.kind());
        let surroundings = Surroundings {
            sites: Arc::new(held(config, cache)),
            region: agent.config.region.clone(),
            agent: agent.name.clone(),
            cache: cache.name.clone(),
            priority: Priority::Normal,
            instance: Uuid::new_v4(),
        };
        let driver = driver::open(&cache.driver, &surroundings);
        let found = match timeout(TRY_WITHIN, try_driver(driver.as_ref())).await {
            Ok(Ok(abilities)) => Found::Fine(told(&abilities)),
            Ok(Err(error)) => wrong(&error),
            Err(_) => Found::Wrong {
                cause: format!("no end within {TRY_WITHIN:?}"),
                fix: Some(address()),
            },
        };
        done();
        Trial { what, found }
    });
    join_all(trials).await
}

fn held(config: &Config, cache: &CacheConfig) -> Sites {
    let sites = config.sites.iter();
    let named = |name| cache.lane.sites.as_ref().is_none_or(|sites| sites.contains(name));
    Sites::new(sites.filter(|site| named(&site.name)).cloned())
}

/// What it can do, and that it does it: the probe purges an object of the driver's own.
async fn try_driver(driver: &dyn Driver) -> Result<Abilities, PurgeError> {
    let abilities = driver.abilities().await?;
    driver.probe().await?;
    Ok(abilities)
}

fn told(abilities: &Abilities) -> String {
    let kinds = [
        (abilities.url, "URLs"),
        (abilities.url_any_query, "URLs with any query"),
        (abilities.prefix, "prefixes"),
        (abilities.tag, "tags"),
        (abilities.key, "keys"),
        (abilities.everything, "everything"),
    ];
    let can = kinds.into_iter().filter(|(ability, _)| *ability == Ability::Supported);
    let can: Vec<_> = can.map(|(_, kind)| kind).collect();
    format!("{}; purges {}", abilities.manner, can.join(", "))
}

fn wrong(error: &PurgeError) -> Found {
    let cause = causes(error);
    let fix = match error {
        PurgeError::Refused(_) => Some("let this machine purge there".to_owned()),
        PurgeError::Unavailable { .. } if is_out_of_reach(&cause) => Some(address()),
        // Drivers say themselves what to do where a cache is none.
        PurgeError::Unavailable { .. } => None,
    };
    Found::Wrong { cause, fix }
}

fn address() -> String {
    "start it, or correct `url` of this cache".to_owned()
}

fn is_out_of_reach(cause: &str) -> bool {
    ["cannot connect", "refused", "did not", "lookup", "resolve", "unreachable"]
        .iter()
        .any(|word| cause.to_ascii_lowercase().contains(word))
}
