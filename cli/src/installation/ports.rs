//! The ports of a process: their addresses, their TLS, their metrics.

use std::net::SocketAddr;

use daemon::{Admin, Certificates, PortsMetrics, TlsBook, TlsConfig};
use publisher::Publisher;

use super::parts::Surroundings;
use crate::config::Config;
use crate::exit::{Exit, Failure};

/// The keys of the ports, as the metrics call them.
const API: &str = "publisher.listen";
const PUBLISHER_ADMIN: &str = "publisher.admin";
const AGENT_ADMIN: &str = "agent.admin";

/// The tables of TLS.
pub(super) const API_TLS: &str = "publisher.tls";
pub(super) const PUBLISHER_ADMIN_TLS: &str = "publisher.admin_tls";
const AGENT_ADMIN_TLS: &str = "agent.admin_tls";

/// An admin port, not bound yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AdminPort {
    port: &'static str,
    address: SocketAddr,
    table: &'static str,
    tls: Option<TlsConfig>,
}

/// All ports that are bound.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) api: Option<(SocketAddr, bool)>,
    pub(super) admins: Vec<(Admin, bool)>,
    /// The TLS of those that have it, by its table.
    pub(super) secured: Vec<(&'static str, TlsBook)>,
}

impl AdminPort {
    /// One where both parts name the same port, else two that show the same.
    pub(super) fn of(config: &Config) -> Vec<Self> {
        let publisher = config.publisher.as_ref().map(|part| Self {
            port: PUBLISHER_ADMIN,
            address: part.config.admin,
            table: PUBLISHER_ADMIN_TLS,
            tls: part.config.admin_tls.clone(),
        });
        let agent = config.agent.as_ref().map(|part| Self {
            port: AGENT_ADMIN,
            address: part.config.admin,
            table: AGENT_ADMIN_TLS,
            tls: part.config.admin_tls.clone(),
        });
        let mut ports: Vec<_> = publisher.into_iter().chain(agent).collect();
        ports.dedup_by_key(|port| port.address);
        ports
    }
}

impl Ports {
    /// Binds all of them, admin ports first.
    pub(super) async fn bind(
        admins: Vec<AdminPort>,
        publisher: Option<&mut Publisher>,
        surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        let metrics = PortsMetrics::register(&mut surroundings.metrics.lock());
        let mut ports = Self { api: None, admins: Vec::new(), secured: Vec::new() };
        let mut certificates = Vec::new();
        for AdminPort { port, address, table, tls } in admins {
            let (health, shown) = (surroundings.health.clone(), surroundings.metrics.clone());
            let admin = Admin::bind(address, health, shown).await.map_err(Failure::failed)?;
            let admin = admin.counted(metrics.port(port));
            let Some(tls) = tls else {
                ports.admins.push((admin, false));
                continue;
            };
            let book = TlsBook::open(tls, surroundings.clock);
            let book = book.map_err(|mistakes| Failure::new(Exit::WrongUsage, mistakes))?;
            ports.admins.push((admin.over_tls(book.clone()), true));
            ports.secured.push((table, book.clone()));
            certificates.push((port, book));
        }
        if let Some(publisher) = publisher {
            let address = publisher.bind().await.map_err(Failure::failed)?;
            publisher.count(metrics.port(API));
            let tls = publisher.tls();
            ports.api = Some((address, tls.is_some()));
            if let Some(book) = tls {
                ports.secured.push((API_TLS, book.clone()));
                certificates.push((API, book));
            }
        }
        Certificates::register(certificates, &mut surroundings.metrics.lock());
        Ok(ports)
    }
}
