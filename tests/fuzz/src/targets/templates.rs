//! How keys of a Redis are named, and what a Redis says of itself.

use schemas::{QueryMatch, Selector, Url};

use super::shop;
use crate::memory;

const MEMORY_MAX: usize = 1024 * 1024;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (Some(slot), Some((template, name))) = (bytes.first(), text.split_once('\n')) else {
        return;
    };
    let (site, region) = (shop::site(), shop::region());
    for selector in selectors(name) {
        let keys = memory::within(MEMORY_MAX, || {
            agent::fuzzing::redis::key(*slot, template, &site, &region, &selector)
        });
        let Some((Some(key), heads)) = keys else { continue };
        let own = selector.host().is_none_or(|host| site.hosts.contains(host));
        let headed = heads.iter().any(|head| key.starts_with(head.as_str()));
        assert!(!own || headed, "{key:?} of the site begins with none of {heads:?}");
    }
    let (_, identity) = agent::fuzzing::redis::server(name);
    assert!(identity.is_none_or(|identity| identity.len() < 200));
}

/// All that a text may name.
fn selectors(text: &str) -> Vec<Selector> {
    let url = text.parse::<Url>().ok().map(|url| {
        let Url { scheme, host, path, query } = url;
        Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) }
    });
    let tag = text.parse().ok().map(Selector::Tag);
    let key = text.parse().ok().map(Selector::Key);
    url.into_iter().chain(tag).chain(key).collect()
}
