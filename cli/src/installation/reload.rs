//! Reads the configuration again on SIGHUP and puts in force what can change while the process runs: tokens, caches,
//! trusted keys, certificates, the log's level. One with a mistake changes nothing.

use std::path::PathBuf;

use agent::{Cache, CacheConfig, CacheSwitch, TrustBook};
use daemon::telemetry::Volume;
use daemon::{BoxError, Hangups, Stop, TlsBook, TlsConfig};
use publisher::{TokenBook, Tokens};
use tracing::{error, info, warn};

use super::ports::{API_TLS, PUBLISHER_ADMIN_TLS};
use crate::config::{Config, Role, Written};

/// The keys of what can change, and of what caches depend on.
const CACHES: &str = "agent.cache";
const LEVEL: &str = "log.level";
const TOKENS: &str = "publisher.tokens_file";
const TRUST: [&str; 2] = ["agent.trusted_keys_file", "agent.accept_unsigned"];
const SITES: &str = "site";
const TLS_KEYS: [&str; 4] =
    ["certificate_file", "key_file", "client_ca_file", "client_certificates"];

/// What can change while an installation runs.
#[derive(Debug)]
pub(crate) struct Changeable {
    pub(super) tokens: Option<TokenBook>,
    pub(super) caches: Option<CacheSwitch>,
    pub(super) trust: Option<TrustBook>,
    /// By their tables.
    pub(super) tls: Vec<(&'static str, TlsBook)>,
}

/// Puts in force what was changed in a file.
#[derive(Debug)]
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) role: Role,
    pub(crate) in_force: Written,
    pub(crate) changeable: Changeable,
    pub(crate) volume: Volume,
    pub(crate) hangups: Hangups,
}

/// A file without mistakes, and the tokens that it names.
struct Read {
    config: Config,
    tokens: Option<Tokens>,
}

impl Reloader {
    /// Reads again as often as it is told to, until stopped.
    pub(crate) async fn run(mut self, stop: Stop) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = self.hangups.next() => {}
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = self.reload() => {}
            }
        }
    }

    async fn reload(&mut self) {
        let Read { config, tokens } = match self.read() {
            Ok(read) => read,
            Err(mistakes) => {
                for mistake in mistakes {
                    error!(mistake, "configuration not reloaded; nothing has changed");
                }
                return;
            }
        };
        let changes: Vec<String> =
            self.in_force.changes(&config.written).into_iter().map(str::to_owned).collect();
        let has_changed = |key: &str| changes.iter().any(|changed| changed == key);
        let caches_bound = has_changed(CACHES) && has_changed(SITES);
        let certificates = self.adopt_certificates(&config);
        let mut adopted = Vec::new();
        if let (Some(book), Some(tokens)) = (&self.changeable.tokens, tokens) {
            book.replace(tokens);
            adopted.push(TOKENS);
        }
        if let Some(book) = &self.changeable.trust {
            book.replace(config.signatures.trust);
            adopted.extend(TRUST);
        }
        match self.volume.set(&config.log.level) {
            Ok(()) => adopted.push(LEVEL),
            Err(error) => error!(%error, "the log's level stays as it is"),
        }
        let caches = config.agent.map(|agent| agent.caches).unwrap_or_default();
        if has_changed(CACHES) && !caches_bound && self.change(caches).await {
            adopted.push(CACHES);
        }
        let keys = adopted.into_iter().map(str::to_owned).chain(certificates);
        for key in keys {
            self.in_force.adopt(&key, &config.written);
        }
        let left = self.in_force.changes(&config.written);
        if !left.is_empty() {
            let keys = left.into_iter().collect::<Vec<_>>().join(", ");
            warn!(keys, "changes that need a restart are not in force");
        }
        info!(file = %self.file.display(), "configuration reloaded");
    }

    /// Reads certificates and their keys, whether their files have other names or not. Answers the keys of what is in
    /// force then: TLS itself comes and goes with a restart only.
    fn adopt_certificates(&self, config: &Config) -> Vec<String> {
        let mut adopted = Vec::new();
        for (table, book) in &self.changeable.tls {
            let Some(tls) = tls_of(config, table) else { continue };
            match book.replace(tls.clone()) {
                Ok(()) => adopted.extend(TLS_KEYS.map(|key| format!("{table}.{key}"))),
                Err(mistakes) => error!(table, %mistakes, "the certificate stays as it is"),
            }
        }
        adopted
    }

    /// Every mistake, if there is one.
    fn read(&self) -> Result<Read, Vec<String>> {
        let config = Config::load(&self.file, &Config::environment(), Some(self.role))
            .map_err(|mistakes| mistakes.lines())?;
        let file = config.publisher.as_ref().and_then(|part| part.config.tokens_file.as_ref());
        let file = file.filter(|_| self.changeable.tokens.is_some());
        let tokens = file.map(|file| Tokens::read(file)).transpose();
        let tokens =
            tokens.map_err(|mistake| vec![format!("{:#}", anyhow::Error::new(mistake))])?;
        Ok(Read { config, tokens })
    }

    async fn change(&self, caches: Vec<CacheConfig>) -> bool {
        let Some(switch) = &self.changeable.caches else { return false };
        match switch.change(caches.into_iter().map(Cache::from).collect()).await {
            Ok(()) => true,
            Err(error) => {
                error!(%error, "the caches stay as they are");
                false
            }
        }
    }
}

/// What a configuration says in a table of TLS.
fn tls_of<'a>(config: &'a Config, table: &str) -> Option<&'a TlsConfig> {
    let publisher = config.publisher.as_ref().map(|part| &part.config);
    let agent = config.agent.as_ref().map(|part| &part.config);
    match table {
        API_TLS => publisher?.tls.as_ref(),
        PUBLISHER_ADMIN_TLS => publisher?.admin_tls.as_ref(),
        _ => agent?.admin_tls.as_ref(),
    }
}
