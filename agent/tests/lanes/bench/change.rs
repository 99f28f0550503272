//! Other caches for an agent that runs.

use agent::AgentError;
use daemon::Stop;

use super::Bench;
use super::cache::CacheSettings;

impl Bench {
    /// What is configured of a cache, for the next start or change.
    pub(crate) fn configure(&mut self, name: &str) -> &mut CacheSettings {
        let cache = self.caches.iter_mut().find(|(cache, _)| cache == name);
        &mut cache.expect("a cache of that name").1
    }

    /// From its next start or change on the agent has one cache less.
    pub(crate) fn remove(&mut self, name: &str) {
        self.caches.retain(|(cache, _)| cache != name);
    }

    /// The agent that runs gets the caches that are configured by now.
    pub(crate) async fn change(&self) -> Result<(), AgentError> {
        let switch = self.switch.as_ref().expect("it was started");
        switch.change(self.models()).await
    }

    /// The caches whose lanes have begun since this was last asked.
    pub(crate) fn begun(&self) -> Vec<String> {
        std::mem::take(&mut *self.begun.lock()).into_iter().collect()
    }

    /// Stops the agent when asked to.
    pub(crate) fn stopping(&self) -> Stop {
        self.stop.clone()
    }

    /// The caches that the agent reports of.
    pub(crate) async fn caches(&self) -> Vec<String> {
        let caches = self.latest_report().await.caches.into_iter();
        caches.map(|cache| cache.cache.to_string()).collect()
    }
}
