//! Model caches, which behave as they are told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use agent::driver::{Batch, CursorShelf, Driver, Fetches, Purge, PurgeError};
use agent::{LaneConfig, OnGap};
use async_trait::async_trait;
use parking_lot::Mutex;
use schemas::{Abilities, Ability, Mode, Priority};
use tokio::time::sleep;

use super::vault::Vault;

/// How a model cache answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Behaviour {
    Works,
    Slow(Duration),
    /// It works, and keeps nothing that was being fetched.
    Fences,
    Down,
    /// Tags that begin so.
    Refuses(String),
    RefusesAll,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) cache: String,
    pub(super) priority: Priority,
    pub(super) softens: bool,
    pub(super) keeps_cursors: bool,
    pub(super) behaviours: Arc<Mutex<HashMap<String, Behaviour>>>,
    pub(super) purges: Arc<Mutex<Vec<(String, String)>>>,
    pub(super) vaults: Arc<Mutex<HashMap<String, Vault>>>,
}

#[async_trait]
impl Driver for Model {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        Ok(Abilities {
            key: Ability::Supported,
            soft: self.softens,
            ..Abilities::of_pages(100, "a model")
        })
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let behaviour = self.behaviours.lock().get(&self.cache).cloned();
        let fences = behaviour == Some(Behaviour::Fences);
        let bad =
            |text: &str| batch.purges.iter().any(|p| p.selector.to_string().starts_with(text));
        match behaviour.unwrap_or(Behaviour::Works) {
            Behaviour::Down => {
                return Err(PurgeError::Unavailable { after: None, source: "down".into() });
            }
            Behaviour::RefusesAll => return Err(PurgeError::Refused("403".into())),
            Behaviour::Refuses(name) if bad(&format!("tag {name}")) => {
                return Err(PurgeError::Refused("bad selector".into()));
            }
            Behaviour::Slow(time) => sleep(time).await,
            Behaviour::Works | Behaviour::Fences | Behaviour::Refuses(_) => {}
        }
        let said = |purge: &Purge| match purge.mode {
            Mode::Hard => purge.selector.to_string(),
            Mode::Soft => format!("soft {}", purge.selector),
        };
        let purges = batch.purges.iter().map(|purge| (self.cache.clone(), said(purge)));
        self.purges.lock().extend(purges);
        Ok(if fences { Fetches::Fenced } else { Fetches::Unfenced })
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        match self.behaviours.lock().get(&self.cache) {
            Some(Behaviour::RefusesAll) => Err(PurgeError::Refused("403 for the probe".into())),
            _ => Ok(()),
        }
    }

    fn shelf(&self) -> Option<&dyn CursorShelf> {
        self.keeps_cursors.then_some(self)
    }
}

/// Settings of one model cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheSettings {
    pub(super) lane: LaneConfig,
    pub(crate) rebounds: Vec<Duration>,
    pub(crate) starts_empty: bool,
    /// It can mark stale.
    pub(crate) softens: bool,
    pub(crate) flush_spread: Duration,
    /// What it consists of.
    pub(crate) parts: BTreeSet<String>,
    /// It keeps the cursors of its lanes, and not the agent's folder.
    pub(crate) keeps_cursors: bool,
}

impl CacheSettings {
    pub(crate) fn after(&mut self, inner: &str) {
        self.lane.after = Some(inner.parse().expect("a name"));
    }

    /// What its configuration says of later passes.
    pub(crate) fn configured_rebounds(&mut self, rebounds: &[Duration]) {
        self.lane.rebounds = Some(rebounds.to_vec());
    }

    pub(crate) fn window(&mut self, window: usize) {
        self.lane.window = window;
    }

    /// So many selectors are held in memory for later passes.
    pub(crate) fn rebound_selectors(&mut self, selectors: usize) {
        self.lane.rebound_selectors = selectors;
    }

    pub(crate) fn on_gap(&mut self, on_gap: OnGap) {
        self.lane.on_gap = on_gap;
    }

    pub(crate) fn shared(&mut self) {
        self.lane.shared = true;
        self.starts_empty = false;
    }
}
