//! Varnish by PURGE over HTTP/1.1: packed keys where our VCL is loaded, one URL a request where it is not.
//!
//! Which of the two is found by a probe object, never by configuration: a VCL that does not know PURGE passes it to
//! the origin, whose 200 or 404 means nothing. So only answers of Varnish itself count, and only after it was seen to
//! store an object, purge it and fetch it again.
//!
//! Requests are written all at once and answered in order (`connection`): hyper's client sends the next request only
//! after the last answer, which costs a plain batch a round trip for each URL.

mod answer;
mod answering;
mod config;
mod connection;
#[doc(hidden)]
pub mod cores;
mod fence;
#[doc(hidden)]
pub mod fuzzing;
mod instance;
mod keys;
mod manner;
mod probe;
mod trouble;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use schemas::{Abilities, Ability, Host, Sites};
use tokio::time::Instant;

use self::answer::Answer;
pub use self::config::VarnishConfig;
use self::fence::Fences;
use self::instance::Instance;
use self::trouble::Trouble;
use super::{Batch, Driver, Fetches, Purge, PurgeError, Surroundings};

/// The driver: one Varnish, or several that are purged together.
#[derive(Debug)]
pub struct Varnish {
    instances: Vec<Instance>,
    sites: Arc<Sites>,
    fences: Fences,
}

impl Varnish {
    /// Does not connect yet.
    pub fn new(config: &VarnishConfig, surroundings: &Surroundings) -> Self {
        let instance = |endpoint| Instance::new(endpoint, config, surroundings);
        Self {
            instances: config.instances.iter().map(instance).collect(),
            sites: surroundings.sites.clone(),
            fences: Fences::new(config.fence_fetches),
        }
    }

    /// Purges what of `batch` is to be purged in this instance. Gives its answers to the fences of these hosts.
    async fn purge_at(
        &self,
        instance: &Instance,
        batch: &Batch,
        hosts: &[Host],
    ) -> Result<Option<Vec<Answer>>, PurgeError> {
        let due = self.due_at(instance, batch);
        if due.purges.is_empty() {
            return Ok(None);
        }
        instance.purge(&due, hosts).await.map(Some)
    }

    /// All but what lies in another instance alone.
    fn due_at<'batch>(&self, instance: &Instance, batch: &'batch Batch) -> Cow<'batch, Batch> {
        if batch.purges.iter().all(|purge| purge.part.is_none()) {
            return Cow::Borrowed(batch);
        }
        let elsewhere = |purge: &&Purge| {
            let named = |other: &Instance| purge.part.as_deref() == Some(other.part());
            !named(instance) && self.instances.iter().any(named)
        };
        let purges = batch.purges.iter().filter(|purge| !elsewhere(purge)).cloned().collect();
        Cow::Owned(Batch { purges })
    }

    /// What each instance has done, if all of them have. Of several failures one that passes by itself comes first: the
    /// batch is not split for it.
    async fn of_all<'driver, T>(
        &'driver self,
        act: impl Fn(&'driver Instance) -> BoxFuture<'driver, Result<T, PurgeError>>,
    ) -> Result<Vec<T>, PurgeError> {
        let (mut done, mut refusal) = (Vec::with_capacity(self.instances.len()), None);
        for (instance, outcome) in
            self.instances.iter().zip(join_all(self.instances.iter().map(act)).await)
        {
            let alone = self.instances.len() == 1;
            let named = |error| if alone { error } else { trouble::at(instance.endpoint(), error) };
            match outcome.map_err(named) {
                Ok(outcome) => done.push(outcome),
                Err(refused @ PurgeError::Refused(_)) => refusal = Some(refused),
                Err(unavailable) => return Err(unavailable),
            }
        }
        refusal.map_or(Ok(done), Err)
    }
}

#[async_trait]
impl Driver for Varnish {
    async fn abilities(&self) -> Result<Abilities, PurgeError> {
        let all = self.of_all(|instance| instance.abilities().boxed()).await?;
        together(all).ok_or_else(|| trouble::unavailable(Trouble::NotVarnish))
    }

    async fn purge(&self, batch: &Batch) -> Result<Fetches, PurgeError> {
        let now = Instant::now();
        let fenced = self.fences.plan(batch, &self.sites, now);
        let purge = |instance| self.purge_at(instance, batch, &fenced.due).boxed();
        let raised: Vec<_> = self.of_all(purge).await?.into_iter().flatten().collect();
        let all = self.fences.purged(&fenced, &raised, now);
        Ok(if all { Fetches::Fenced } else { Fetches::Unfenced })
    }

    async fn probe(&self) -> Result<(), PurgeError> {
        self.of_all(|instance| instance.negotiate().boxed()).await.map(|_| ())
    }
}

/// What all of them can do.
fn together(all: Vec<Abilities>) -> Option<Abilities> {
    let count = all.len();
    let both = |one, other| if one == Ability::Supported { other } else { one };
    let all = all.into_iter().reduce(|one, other| Abilities {
        url: both(one.url, other.url),
        url_any_query: both(one.url_any_query, other.url_any_query),
        prefix: both(one.prefix, other.prefix),
        tag: both(one.tag, other.tag),
        key: both(one.key, other.key),
        everything: both(one.everything, other.everything),
        soft: one.soft && other.soft,
        batch_selectors_max: one.batch_selectors_max.min(other.batch_selectors_max),
        // The weaker says what to do about it.
        manner: if one.tag == Ability::Supported { other.manner } else { one.manner },
    })?;
    let manner = match count {
        1 => all.manner,
        _ => format!("{} ({count} instances)", all.manner),
    };
    Some(Abilities { manner, ..all })
}

#[cfg(test)]
mod tests;
