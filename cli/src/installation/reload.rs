//! Reads the configuration again on SIGHUP and puts in force what can change while the process runs: tokens, caches,
//! trusted keys, the log's level. One with a mistake changes nothing.

use std::path::PathBuf;

use agent::{Cache, CacheConfig, CacheSwitch, TrustBook};
use daemon::telemetry::Volume;
use daemon::{BoxError, Hangups, Stop};
use publisher::{TokenBook, Tokens};
use tracing::{error, info, warn};

use crate::config::{Config, Role, Written};

/// The keys of what can change, and of what caches depend on.
const CACHES: &str = "agent.cache";
const LEVEL: &str = "log.level";
const TOKENS: &str = "publisher.tokens_file";
const TRUST: [&str; 2] = ["agent.trusted_keys_file", "agent.accept_unsigned"];
const SITES: &str = "site";

/// What can change while an installation runs.
#[derive(Debug)]
pub(crate) struct Changeable {
    pub(super) tokens: Option<TokenBook>,
    pub(super) caches: Option<CacheSwitch>,
    pub(super) trust: Option<TrustBook>,
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
        for key in &adopted {
            self.in_force.adopt(key, &config.written);
        }
        let left = self.in_force.changes(&config.written);
        if !left.is_empty() {
            let keys = left.into_iter().collect::<Vec<_>>().join(", ");
            warn!(keys, "changes that need a restart are not in force");
        }
        info!(file = %self.file.display(), "configuration reloaded");
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
