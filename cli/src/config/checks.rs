//! Mistakes that take more than one value to see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use agent::{AgentConfig, CacheConfig, LaneConfig};
use publisher::PublisherConfig;
use schemas::{CacheName, Host, SiteName};

use super::broker::BrokerConfig;
use super::document::Document;
use super::draft::Draft;
use super::explain::known_instead;
use super::mistake::Field;
use super::reader::Reader;
use super::site::SiteConfig;

/// Notes all of them.
pub(super) fn check(reader: &mut Reader<'_, '_>, document: &Document<'_>, draft: &Draft) {
    sites(reader, &draft.sites);
    if let Some(agent) = &draft.agent {
        caches(reader, &agent.caches, &draft.sites);
        order(reader, &agent.caches);
        folder_can_be_had(reader, &Field::top("agent").key("state"), &agent.config.state);
    }
    if let Some(config) = &draft.publisher {
        publisher(reader, config, &draft.sites);
        journal(reader, document, config, draft.broker.as_ref());
    }
    ports(reader, draft.publisher.as_ref(), draft.agent.as_ref().map(|agent| &agent.config));
}

fn sites(reader: &mut Reader<'_, '_>, sites: &[(Field, Option<SiteConfig>)]) {
    if sites.is_empty() {
        reader.object(
            &Field::top("site"),
            "there is none; add [[site]] with hosts = [\"www.example.com\"]",
        );
    }
    let mut names = BTreeMap::<&SiteName, &Field>::new();
    let mut owners = BTreeMap::<&Host, &SiteName>::new();
    for (field, site) in sites {
        let Some(site) = site else { continue };
        if let Some(first) = names.insert(&site.name, field) {
            let problem = format!("{first} has the name \"{}\" too; give each its own", site.name);
            reader.object(&field.key("name"), problem);
        }
        if site.hosts.is_empty() {
            let problem = "there is none; write hosts = [\"www.example.com\"]";
            reader.object(&field.key("hosts"), problem);
        }
        if site.regions.as_ref().is_some_and(Vec::is_empty) {
            reader.object(&field.key("regions"), "names none; leave it out for every region");
        }
        for host in &site.hosts {
            if let Some(owner) = owners.insert(host, &site.name) {
                let problem = if *owner == site.name {
                    format!("names {host} twice")
                } else {
                    format!("{host} belongs to the site \"{owner}\" already; a host has one site")
                };
                reader.object(&field.key("hosts"), problem);
            }
        }
    }
}

fn caches(
    reader: &mut Reader<'_, '_>,
    caches: &[(Field, Option<CacheConfig>)],
    sites: &[(Field, Option<SiteConfig>)],
) {
    if caches.is_empty() {
        let problem = "there is none; add [[agent.cache]] with name, driver and url";
        reader.object(&Field::top("agent").key("cache"), problem);
    }
    let mut names = BTreeMap::<&CacheName, &Field>::new();
    for (field, cache) in caches {
        let Some(cache) = cache else { continue };
        if let Some(first) = names.insert(&cache.name, field) {
            let problem = format!("{first} has the name \"{}\" too; give each its own", cache.name);
            reader.object(&field.key("name"), problem);
        }
        limits(reader, field, &cache.lane);
        known(reader, &field.key("sites"), cache.lane.sites.iter().flatten(), sites);
    }
}

/// Each of `named` is a site.
fn known<'a>(
    reader: &mut Reader<'_, '_>,
    field: &Field,
    named: impl Iterator<Item = &'a SiteName>,
    sites: &[(Field, Option<SiteConfig>)],
) {
    let known: Vec<_> =
        sites.iter().filter_map(|(_, site)| Some(site.as_ref()?.name.as_str())).collect();
    // A site that could not be read may be the one.
    if known.len() < sites.len() {
        return;
    }
    for site in named.filter(|site| !known.contains(&site.as_str())) {
        let instead = known_instead(site.as_str(), &known);
        reader.object(field, format!("there is no site \"{site}\"; {instead}"));
    }
}

fn limits(reader: &mut Reader<'_, '_>, field: &Field, lane: &LaneConfig) {
    let counts = [
        (field.key("window"), lane.window),
        (field.key("rebound_selectors"), lane.rebound_selectors),
        (field.key("batch").key("selectors"), lane.batch.selectors),
    ];
    for (field, count) in counts {
        if count == 0 {
            reader.object(&field, "is 0; give at least 1");
        }
    }
    if lane.hole_grace > lane.hole_deadline {
        let problem = "is longer than hole_deadline; a hole is reported before it is given up";
        reader.object(&field.key("hole_grace"), problem);
    }
}

fn order(reader: &mut Reader<'_, '_>, caches: &[(Field, Option<CacheConfig>)]) {
    let read: Vec<_> =
        caches.iter().filter_map(|(field, cache)| Some((field, cache.as_ref()?))).collect();
    let names: Vec<_> = read.iter().map(|(_, cache)| cache.name.as_str()).collect();
    let after: BTreeMap<&CacheName, &CacheName> = read
        .iter()
        .filter_map(|(_, cache)| Some((&cache.name, cache.lane.after.as_ref()?)))
        .collect();
    for (field, cache) in &read {
        let Some(inner) = &cache.lane.after else { continue };
        let field = field.key("after");
        if *inner == cache.name {
            reader.object(&field, "a cache cannot come after itself; name the one it fills from");
        } else if !names.contains(&inner.as_str()) {
            // A cache that could not be read may bear the name.
            if read.len() == caches.len() {
                let instead = known_instead(inner.as_str(), &names);
                reader.object(&field, format!("there is no cache \"{inner}\"; {instead}"));
            }
        } else if let Some(cycle) = cycle(&cache.name, &after) {
            let names: Vec<_> = cycle.iter().map(|name| name.as_str()).collect();
            // Told once, by the cache that is named first in the alphabet.
            if cycle.iter().all(|other| **other >= cache.name) {
                let names = names.join(" after ");
                reader.object(&field, format!("goes in a circle: {names} after {}", cache.name));
            }
        }
    }
}

/// The caches from `start` along `after` back to `start`, if they lead there.
fn cycle<'a>(
    start: &'a CacheName,
    after: &BTreeMap<&'a CacheName, &'a CacheName>,
) -> Option<Vec<&'a CacheName>> {
    let way = std::iter::successors(Some(start), |name| after.get(name).copied());
    let way: Vec<_> = way.take(after.len() + 1).collect();
    let back = way.iter().skip(1).position(|name| *name == start)?;
    Some(way[..=back].to_vec())
}

fn publisher(
    reader: &mut Reader<'_, '_>,
    publisher: &PublisherConfig,
    sites: &[(Field, Option<SiteConfig>)],
) {
    let field = Field::top("publisher");
    known(reader, &field.key("site_budgets"), publisher.site_budgets.keys(), sites);
    for (key, count) in [
        ("connections", publisher.connections),
        ("connections_per_address", publisher.connections_per_address),
    ] {
        if count == 0 {
            reader.object(&field.key(key), "is 0; give at least 1");
        }
    }
    match &publisher.tokens_file {
        None if !publisher.listen.ip().is_loopback() => {
            let problem = "anyone who reaches this address could purge; \
                           set tokens_file, or listen on 127.0.0.1";
            reader.object(&field.key("listen"), problem);
        }
        Some(file) => {
            if let Err(error) = std::fs::File::open(file) {
                let problem = format!("cannot read {}: {error}", file.display());
                reader.object(&field.key("tokens_file"), problem);
            }
        }
        None => {}
    }
}

fn ports(
    reader: &mut Reader<'_, '_>,
    publisher: Option<&PublisherConfig>,
    agent: Option<&AgentConfig>,
) {
    let Some(PublisherConfig { listen, admin, .. }) = publisher else { return };
    let publisher_field = Field::top("publisher").key("admin");
    if overlap(*listen, *admin) {
        reader.object(&publisher_field, "is the port of publisher.listen; give another");
    }
    let Some(agent) = agent else { return };
    let agent_field = Field::top("agent").key("admin");
    if overlap(*listen, agent.admin) {
        reader.object(&agent_field, "is the port of publisher.listen; give another");
    }
    if *admin != agent.admin && overlap(*admin, agent.admin) {
        let problem = "is the port of publisher.admin at another address; \
                       make them equal to share one, or give another port";
        reader.object(&agent_field, problem);
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}

/// Whether the folder of the journal can be had, which is that of the embedded log too.
fn journal(
    reader: &mut Reader<'_, '_>,
    document: &Document<'_>,
    publisher: &PublisherConfig,
    broker: Option<&BrokerConfig>,
) {
    let journal = Field::top("publisher").key("journal");
    let dir = Field::top("broker").key("dir");
    match broker.and_then(BrokerConfig::dir) {
        Some(folder) => {
            if document.has(&journal) && *folder != publisher.journal {
                let problem = "the embedded log and the journal share one database: \
                               leave it out, or make it equal to publisher.journal";
                reader.object(&dir, problem);
            }
            folder_can_be_had(reader, &dir, folder);
        }
        None => folder_can_be_had(reader, &journal, &publisher.journal),
    }
}

/// Tries it on the nearest folder that exists, and leaves nothing behind.
pub(super) fn folder_can_be_had(reader: &mut Reader<'_, '_>, field: &Field, folder: &Path) {
    let existing = nearest(folder);
    let tried = if existing.is_dir() {
        tempfile::tempfile_in(existing).map(drop)
    } else {
        Err(std::io::ErrorKind::NotADirectory.into())
    };
    if let Err(error) = tried {
        let problem = format!(
            "cannot write to {}: {error}; name a folder that can be written, or make this one so",
            existing.display()
        );
        reader.object(field, problem);
    }
}

/// A folder, or the nearest around it that exists.
pub(super) fn nearest(folder: &Path) -> &Path {
    match folder.ancestors().find(|ancestor| ancestor.exists()) {
        Some(existing) if !existing.as_os_str().is_empty() => existing,
        _ => Path::new("."),
    }
}
