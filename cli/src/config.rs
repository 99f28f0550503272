//! The configuration of a process: one TOML file, overlaid by the environment, checked as a whole before
//! anything starts. Of the file, a role reads what concerns it.

mod audit;
mod blame;
mod broker;
mod cache;
mod checks;
mod document;
mod draft;
mod environment;
mod explain;
mod host_name;
mod keys;
mod log;
mod mistake;
mod reader;
mod role;
mod sieve;
mod signatures;
mod site;
mod tls;
mod written;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use agent::{AgentConfig, CacheConfig};
use publisher::PublisherConfig;
use schemas::{AgentName, Host, PublisherName, Sites};
use serde::Deserialize;

use self::document::Document;
use self::draft::{AgentDraft, Draft};
use self::environment::PREFIX;
use self::mistake::{Field, Mistake, Place};
use self::reader::Reader;
use self::signatures::Signatures;
use self::site::SiteConfig;

pub(crate) use self::broker::BrokerConfig;
pub(crate) use self::log::LogConfig;
pub(crate) use self::mistake::Mistakes;
pub(crate) use self::role::Role;
pub(crate) use self::written::Written;

/// The tables of the file.
const TABLES: [&str; 5] = ["log", "broker", "publisher", "site", "agent"];

/// A configuration without mistakes.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) role: Role,
    /// What it was made from.
    pub(crate) written: Written,
    pub(crate) process: ProcessConfig,
    pub(crate) log: LogConfig,
    pub(crate) broker: BrokerConfig,
    pub(crate) signatures: Signatures,
    /// What is not wrong but should not stay so, a line each.
    pub(crate) warnings: Vec<String>,
    pub(crate) sites: Sites,
    /// Where the role has one.
    pub(crate) publisher: Option<PublisherPart>,
    /// Where the role has one.
    pub(crate) agent: Option<AgentPart>,
}

/// What a publisher is configured with.
#[derive(Debug)]
pub(crate) struct PublisherPart {
    pub(crate) config: PublisherConfig,
    pub(crate) name: PublisherName,
}

/// What an agent is configured with.
#[derive(Debug)]
pub(crate) struct AgentPart {
    pub(crate) config: AgentConfig,
    pub(crate) name: AgentName,
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

impl Config {
    /// Reads `file` under `environment` for a role, or for the one that it is written for; every mistake of
    /// both is told at once.
    pub(crate) fn load(
        file: &Path,
        environment: &[(String, String)],
        role: Option<Role>,
    ) -> Result<Self, Mistakes> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let problem = format!("cannot read it: {error}");
            let mistake = Mistake { place: Place::File, field: Field::default(), problem };
            Mistakes { file: file.to_owned(), mistakes: vec![mistake] }
        })?;
        Self::parse(&text, environment, role)
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
        let mut lines = Vec::new();
        if let Some(PublisherPart { config, name }) = &self.publisher {
            let embedded = matches!(self.broker, BrokerConfig::Embedded(_));
            let kept = if embedded { "journal and log" } else { "journal" };
            lines.push(format!(
                "publisher  {name}: API on {}{}, admin on {}{}, {kept} in {}",
                config.listen,
                over(config.tls.is_some()),
                config.admin,
                over(config.admin_tls.is_some()),
                config.journal.display()
            ));
            lines.push(match &config.audit_dir {
                Some(folder) => format!("audit      trail in {}", folder.display()),
                None => "audit      none: unaudited = true".to_owned(),
            });
        }
        if let Some(AgentPart { config, name, .. }) = &self.agent {
            lines.push(format!(
                "agent      {name} in {}: admin on {}{}",
                config.region,
                config.admin,
                over(config.admin_tls.is_some())
            ));
        }
        if !matches!(self.broker, BrokerConfig::Embedded(_)) {
            let (kind, servers) = (self.broker.kind(), self.broker.servers());
            lines.push(format!("log        {kind}: {servers}"));
        }
        lines.extend(self.sites.iter().map(|site| {
            let hosts: Vec<_> = site.hosts.iter().map(Host::as_str).collect();
            format!("site       {}: {}", site.name, hosts.join(", "))
        }));
        let caches = self.agent.iter().flat_map(|agent| &agent.caches);
        lines.extend(caches.map(|cache| {
            let after = cache.lane.after.as_ref();
            let after = after.map(|inner| format!(", after {inner}")).unwrap_or_default();
            format!("cache      {} ({}){after}", cache.name, cache.driver.kind())
        }));
        lines
    }

    /// What `text` says under `environment`, or all that is wrong with it.
    pub(crate) fn parse(
        text: &str,
        environment: &[(String, String)],
        role: Option<Role>,
    ) -> Result<Self, Vec<Mistake>> {
        let (mut document, syntax_errors) = Document::parse(text);
        let written = ["publisher", "agent"].map(|table| document.has(&Field::top(table)));
        let misplaced = environment::overlay(&mut document, environment);
        let role = role.unwrap_or_else(|| Role::of(&document, written));
        let mut reader = Reader::new(&document);
        for error in syntax_errors {
            reader.note(error.place, Field::default(), error.problem);
        }
        for variable in misplaced {
            reader.note(Place::Variable(variable.name), Field::default(), variable.problem);
        }
        let draft = Draft::read(&mut reader, document.table(), role);
        checks::check(&mut reader, &document, &draft);
        let signatures = Signatures::read(&mut reader, &document, &draft, role);
        let mut warnings = tls::check(&mut reader, &draft);
        warnings.extend(audit::check(&mut reader, &document, &draft));
        let parts = Parts::name(&mut reader, &draft);
        let journal = draft.journal().map(Path::to_owned);
        match (draft.broker, reader.into_mistakes()) {
            (Some(broker), none) if none.is_empty() => {
                let sites = draft.sites.into_iter().filter_map(|(_, site)| site);
                Ok(Self {
                    role,
                    written: Written::of(document.table(), role),
                    process: draft.process,
                    log: draft.log,
                    sites: Sites::new(sites.map(SiteConfig::into_site)),
                    publisher: parts.publisher(draft.publisher, journal),
                    agent: parts.agent(draft.agent),
                    broker,
                    signatures,
                    warnings,
                })
            }
            (_, mistakes) => Err(mistakes),
        }
    }
}

/// What is said behind the address of a port.
fn over(tls: bool) -> &'static str {
    if tls { " (TLS)" } else { "" }
}

/// The names of the parts on the bus, where they have one.
struct Parts {
    publisher: Option<PublisherName>,
    agent: Option<AgentName>,
}

impl Parts {
    fn name(reader: &mut Reader<'_, '_>, draft: &Draft) -> Self {
        let publisher = draft.publisher.as_ref();
        let agent = draft.agent.as_ref();
        Self {
            publisher: publisher
                .and_then(|publisher| name(reader, "publisher", publisher.name.clone())),
            agent: agent.and_then(|agent| name(reader, "agent", agent.config.name.clone())),
        }
    }

    fn publisher(
        &self,
        config: Option<PublisherConfig>,
        journal: Option<PathBuf>,
    ) -> Option<PublisherPart> {
        let mut config = config?;
        config.journal = journal?;
        config.audit_dir = audit::folder(&config, &config.journal);
        Some(PublisherPart { config, name: self.publisher.clone()? })
    }

    fn agent(&self, draft: Option<AgentDraft>) -> Option<AgentPart> {
        let AgentDraft { config, caches } = draft?;
        let caches = caches.into_iter().filter_map(|(_, cache)| cache).collect();
        Some(AgentPart { config, name: self.agent.clone()?, caches })
    }
}

/// The name of a part on the bus: the host's where none is written.
fn name<T: FromStr>(reader: &mut Reader<'_, '_>, part: &str, written: Option<T>) -> Option<T> {
    written.or_else(|| {
        let named = host_name::host_name();
        named.map_err(|problem| reader.object(&Field::top(part).key("name"), problem)).ok()
    })
}

#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
