//! What could be read of a configuration, in spite of mistakes.

use std::path::Path;

use agent::{AgentConfig, CacheConfig};
use publisher::PublisherConfig;
use serde::Deserialize;
use toml::de::DeTable;

use super::broker::{self, BrokerConfig};
use super::cache;
use super::log::LogConfig;
use super::mistake::Field;
use super::reader::Reader;
use super::role::Role;
use super::site::SiteConfig;
use super::{ProcessConfig, TABLES};

/// What could be read; of a part that its role does not have, nothing is.
pub(super) struct Draft {
    pub(super) process: ProcessConfig,
    pub(super) log: LogConfig,
    /// Nothing if it is not even known which broker.
    pub(super) broker: Option<BrokerConfig>,
    pub(super) sites: Vec<(Field, Option<SiteConfig>)>,
    pub(super) publisher: Option<PublisherConfig>,
    pub(super) agent: Option<AgentDraft>,
}

/// `[agent]` with its caches.
pub(super) struct AgentDraft {
    pub(super) config: AgentConfig,
    pub(super) caches: Vec<(Field, Option<CacheConfig>)>,
}

impl Draft {
    pub(super) fn read<'i>(reader: &mut Reader<'_, 'i>, top: &DeTable<'i>, role: Role) -> Self {
        let loose = |key: &str| !TABLES.contains(&key);
        let process = top.iter().filter(|(key, _)| loose(key.get_ref()));
        let process = process.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self {
            process: reader.read(&Field::default(), &process, &(0..0), &TABLES).unwrap_or_default(),
            log: section(reader, "log"),
            broker: broker::read(reader, role),
            sites: reader
                .tables(&Field::top("site"), top.get("site"))
                .into_iter()
                .map(|(field, table, span)| {
                    let site = reader.read(&field, &table, &span, &[]);
                    (field, site)
                })
                .collect(),
            publisher: role.publishes().then(|| section(reader, "publisher")),
            agent: role.purges().then(|| AgentDraft::read(reader)),
        }
    }

    /// The publisher's journal: in the folder of the embedded log, where that one names one.
    pub(super) fn journal(&self) -> Option<&Path> {
        let journal = &self.publisher.as_ref()?.journal;
        Some(self.broker.as_ref().and_then(BrokerConfig::dir).unwrap_or(journal))
    }
}

impl AgentDraft {
    fn read(reader: &mut Reader<'_, '_>) -> Self {
        let field = Field::top("agent");
        let (mut table, span) = reader.table("agent");
        let caches = table.remove("cache");
        Self {
            config: reader.read(&field, &table, &span, &["cache"]).unwrap_or_default(),
            caches: reader
                .tables(&field.key("cache"), caches.as_ref())
                .into_iter()
                .map(|(field, table, span)| {
                    let cache = cache::read(reader, &field, &table, &span);
                    (field, cache)
                })
                .collect(),
        }
    }
}

fn section<'i, T: Deserialize<'i> + Default>(reader: &mut Reader<'_, 'i>, key: &str) -> T {
    let (table, span) = reader.table(key);
    reader.read(&Field::top(key), &table, &span, &[]).unwrap_or_default()
}
