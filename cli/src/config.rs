//! The configuration of a process: one TOML file, overlaid by the environment, checked as a whole before
//! anything starts.

mod blame;
mod broker;
mod cache;
mod checks;
mod document;
mod environment;
mod explain;
mod host_name;
mod keys;
mod log;
mod mistake;
mod reader;
mod sieve;
mod site;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use agent::{AgentConfig, CacheConfig};
use publisher::PublisherConfig;
use schemas::{AgentName, Host, PublisherName, Sites};
use serde::Deserialize;
use toml::de::DeTable;

use self::broker::NOT_YET;
use self::document::Document;
use self::environment::PREFIX;
use self::mistake::{Field, Mistake, Place};
use self::reader::Reader;
use self::site::SiteConfig;

pub(crate) use self::broker::BrokerConfig;
pub(crate) use self::log::LogConfig;
pub(crate) use self::mistake::Mistakes;

/// The tables of the file.
const TABLES: [&str; 5] = ["log", "broker", "publisher", "site", "agent"];

/// A configuration without mistakes.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) process: ProcessConfig,
    pub(crate) log: LogConfig,
    pub(crate) broker: BrokerConfig,
    pub(crate) publisher: PublisherConfig,
    pub(crate) publisher_name: PublisherName,
    pub(crate) sites: Sites,
    pub(crate) agent: AgentConfig,
    pub(crate) agent_name: AgentName,
    pub(crate) caches: Vec<CacheConfig>,
}

/// The keys that stand above all tables.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProcessConfig {
    /// From the signal to stop until whatever still runs is cut off.
    #[serde(with = "humantime_serde")]
    pub(crate) grace: Duration,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self { grace: Duration::from_secs(15) }
    }
}

/// What could be read, in spite of mistakes.
struct Draft {
    process: ProcessConfig,
    log: LogConfig,
    broker: BrokerConfig,
    publisher: PublisherConfig,
    sites: Vec<(Field, Option<SiteConfig>)>,
    agent: AgentConfig,
    caches: Vec<(Field, Option<CacheConfig>)>,
}

impl Config {
    /// Reads `file` under `environment`; every mistake of both is told at once.
    pub(crate) fn load(file: &Path, environment: &[(String, String)]) -> Result<Self, Mistakes> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let problem = format!("cannot read it: {error}");
            let mistake = Mistake { place: Place::File, field: Field::default(), problem };
            Mistakes { file: file.to_owned(), mistakes: vec![mistake] }
        })?;
        Self::parse(&text, environment)
            .map_err(|mistakes| Mistakes { file: file.to_owned(), mistakes })
    }

    /// The variables that concern a configuration; those that are no text cannot.
    pub(crate) fn environment() -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect()
    }

    /// What it would run, a line each.
    pub(crate) fn summary(&self) -> Vec<String> {
        let Self { publisher, agent, .. } = self;
        let ports = format!("API on {}, admin on {}", publisher.listen, publisher.admin);
        let mut lines = vec![
            format!(
                "publisher  {}: {ports}, journal and log in {}",
                self.publisher_name,
                publisher.journal.display()
            ),
            format!("agent      {} in {}: admin on {}", self.agent_name, agent.region, agent.admin),
        ];
        lines.extend(self.sites.iter().map(|site| {
            let hosts: Vec<_> = site.hosts.iter().map(Host::as_str).collect();
            format!("site       {}: {}", site.name, hosts.join(", "))
        }));
        lines.extend(self.caches.iter().map(|cache| {
            let after = cache.lane.after.as_ref();
            let after = after.map(|inner| format!(", after {inner}")).unwrap_or_default();
            format!("cache      {} ({}){after}", cache.name, cache.driver.kind())
        }));
        lines
    }

    fn parse(text: &str, environment: &[(String, String)]) -> Result<Self, Vec<Mistake>> {
        let (mut document, syntax_errors) = Document::parse(text);
        let misplaced = environment::overlay(&mut document, environment);
        let mut reader = Reader::new(&document);
        for error in syntax_errors {
            reader.note(error.place, Field::default(), error.problem);
        }
        for variable in misplaced {
            reader.note(Place::Variable(variable.name), Field::default(), variable.problem);
        }
        let draft = Draft::read(&mut reader, document.table());
        checks::check(&mut reader, &document, &draft);
        let publisher_name = name(&mut reader, "publisher", draft.publisher.name.clone());
        let agent_name = name(&mut reader, "agent", draft.agent.name.clone());
        match (publisher_name, agent_name, reader.into_mistakes()) {
            (Some(publisher), Some(agent), none) if none.is_empty() => {
                Ok(draft.finish(publisher, agent))
            }
            (_, _, mistakes) => Err(mistakes),
        }
    }
}

impl Draft {
    fn read<'i>(reader: &mut Reader<'_, 'i>, top: &DeTable<'i>) -> Self {
        let loose = |key: &str| !TABLES.contains(&key);
        let process = top.iter().filter(|(key, _)| loose(key.get_ref()));
        let process = process.map(|(key, value)| (key.clone(), value.clone())).collect();
        let (mut agent, agent_span) = reader.table("agent");
        let caches = agent.remove("cache");
        Self {
            process: reader.read(&Field::default(), &process, &(0..0), &TABLES).unwrap_or_default(),
            log: section(reader, "log"),
            broker: read_broker(reader),
            publisher: section(reader, "publisher"),
            sites: reader
                .tables(&Field::top("site"), top.get("site"))
                .into_iter()
                .map(|(field, table, span)| {
                    let site = reader.read(&field, &table, &span, &[]);
                    (field, site)
                })
                .collect(),
            agent: reader
                .read(&Field::top("agent"), &agent, &agent_span, &["cache"])
                .unwrap_or_default(),
            caches: reader
                .tables(&Field::top("agent").key("cache"), caches.as_ref())
                .into_iter()
                .map(|(field, table, span)| {
                    let cache = cache::read(reader, &field, &table, &span);
                    (field, cache)
                })
                .collect(),
        }
    }

    fn finish(self, publisher_name: PublisherName, agent_name: AgentName) -> Config {
        let sites = self.sites.into_iter().filter_map(|(_, site)| site).map(SiteConfig::into_site);
        let mut publisher = self.publisher;
        if let Some(dir) = &self.broker.dir {
            publisher.journal.clone_from(dir);
        }
        Config {
            process: self.process,
            log: self.log,
            broker: self.broker,
            publisher,
            publisher_name,
            sites: Sites::new(sites),
            agent: self.agent,
            agent_name,
            caches: self.caches.into_iter().filter_map(|(_, cache)| cache).collect(),
        }
    }
}

/// The name of a part on the bus: the host's where none is written.
fn name<T: FromStr>(reader: &mut Reader<'_, '_>, part: &str, written: Option<T>) -> Option<T> {
    written.or_else(|| {
        let named = host_name::host_name();
        named.map_err(|problem| reader.object(&Field::top(part).key("name"), problem)).ok()
    })
}

fn section<'i, T: Deserialize<'i> + Default>(reader: &mut Reader<'_, 'i>, key: &str) -> T {
    let (table, span) = reader.table(key);
    reader.read(&Field::top(key), &table, &span, &[]).unwrap_or_default()
}

/// The keys of a broker that is not built in mean nothing here, so they are no mistakes of their own.
fn read_broker(reader: &mut Reader<'_, '_>) -> BrokerConfig {
    let (table, _) = reader.table("broker");
    let kind = table.get("kind").and_then(|kind| kind.get_ref().as_str());
    if let Some(kind) = kind.filter(|kind| NOT_YET.contains(kind)) {
        let problem = format!("\"{kind}\" is not in this build yet; use \"embedded\"");
        reader.object(&Field::top("broker").key("kind"), problem);
        return BrokerConfig::default();
    }
    section(reader, "broker")
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
