//! `[[agent.cache]]`: one table for what all caches have in common and for what only its driver knows.

use std::ops::Range;

use agent::driver::DriverConfig;
use agent::driver::edge::EdgeConfig;
use agent::driver::redis::RedisConfig;
use agent::driver::varnish::VarnishConfig;
use agent::{CacheConfig, LaneConfig};
use schemas::CacheName;
use serde::Deserialize;
use toml::de::DeTable;

use super::keys::keys_of;
use super::mistake::Field;
use super::reader::Reader;

/// What names a cache and says how to read the rest of its table. Both are required; they are optional here
/// so that the lack of one does not hide the lack of the other.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Head {
    /// Its name on this agent.
    name: Option<CacheName>,
    /// Its kind.
    driver: Option<DriverKind>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DriverKind {
    Varnish,
    Redis,
    Edge,
}

/// Keys of every cache, whatever its driver.
fn common_keys() -> Vec<&'static str> {
    [keys_of::<Head>(), keys_of::<LaneConfig>()].concat()
}

/// Reads one cache; `None` if something is missing without which it is none.
pub(super) fn read<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    table: &DeTable<'i>,
    span: &Range<usize>,
) -> Option<CacheConfig> {
    let part = |keys: &[&str]| pick(table, |key| keys.contains(&key));
    let common = common_keys();
    let own = pick(table, |key| !common.contains(&key));

    let head = reader.read::<Head>(field, &part(keys_of::<Head>()), span, &[]);
    let lane = reader.read::<LaneConfig>(field, &part(keys_of::<LaneConfig>()), span, &[]);
    let head = head.unwrap_or_default();
    if head.name.is_none() {
        reader.object(&field.key("name"), "is missing; write name = \"varnish\"");
    }
    if head.driver.is_none() {
        reader.object(&field.key("driver"), "is missing; write driver = \"varnish\"");
    }
    let driver = match head.driver? {
        DriverKind::Varnish => {
            DriverConfig::Varnish(reader.read::<VarnishConfig>(field, &own, span, &common)?)
        }
        DriverKind::Redis => {
            DriverConfig::Redis(reader.read::<RedisConfig>(field, &own, span, &common)?)
        }
        DriverKind::Edge => {
            DriverConfig::Edge(reader.read::<EdgeConfig>(field, &own, span, &common)?)
        }
    };
    Some(CacheConfig { name: head.name?, lane: lane?, driver })
}

fn pick<'i>(table: &DeTable<'i>, wanted: impl Fn(&str) -> bool) -> DeTable<'i> {
    let entries = table.iter().filter(|(key, _)| wanted(key.get_ref()));
    entries.map(|(key, value)| (key.clone(), value.clone())).collect()
}
