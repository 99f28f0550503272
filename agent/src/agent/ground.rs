//! What all lanes of an agent stand on, whatever its caches are, and how one of them is set up.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Broker;
use daemon::{Clock, Health};
use schemas::{AgentName, Priority, Sites};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::cache::{Cache, Caches};
use crate::board::PublishersBoard;
use crate::clocks::Clocks;
use crate::config::AgentConfig;
use crate::driver::Surroundings;
use crate::lane::{Budget, LaneSetup};
use crate::letter_folder::LetterFolder;
use crate::machine::Purpose;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::rebound::FENCED_REBOUND;
use crate::reporter::Fleet;
use crate::roster::{Registration, ReportedCache};
use crate::shelf::Shelf;
use crate::standing_orders::Addressee;
use crate::trust::TrustBook;

/// What all lanes have in common.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) config: AgentConfig,
    pub(super) name: AgentName,
    pub(super) instance: Uuid,
    pub(super) sites: Arc<Sites>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) retention: Duration,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) news: Arc<Notify>,
    pub(super) clocks: Arc<Clocks>,
    pub(super) board: PublishersBoard,
    pub(super) trust: TrustBook,
    pub(super) fleet: Arc<Fleet>,
}

impl Ground {
    /// What is told of a cache whose lanes have not begun.
    pub(super) fn reported(&self, cache: &Cache) -> ReportedCache {
        let shown = |priority| (priority, Arc::new(Progress::new(priority, self.news.clone())));
        let (registered, _) = watch::channel(Registration::Waiting(None));
        ReportedCache {
            cache: cache.name.clone(),
            driver: cache.kind.clone(),
            sites: cache.lane.sites.clone().map(|sites| sites.into_iter().collect()),
            lanes: Priority::ALL.map(shown).into(),
            registered: Arc::new(registered),
        }
    }

    /// The lane of that priority of one of the `caches`. It shows its progress, and comes after `inner`.
    pub(super) fn lane(
        &self,
        caches: &Caches,
        cache: &Cache,
        priority: Priority,
        progress: Arc<Progress>,
        inner: Option<Arc<Progress>>,
    ) -> LaneSetup {
        let name = format!("{}.{priority}", cache.name);
        LaneSetup {
            purpose: self.purpose(caches, cache, priority),
            driver: cache.drivers.open(&self.surroundings(cache, priority)),
            broker: self.broker.clone(),
            shelf: Shelf::new(&self.config.state, &cache.name, priority),
            letters: LetterFolder::new(&self.config.state, &cache.name, priority),
            progress,
            inner,
            clock: self.clock,
            condition: self.health.condition(format!("lane {name}")),
            budget: Budget::new(self.config.stale_budget, self.config.ready_backlog_max),
            metrics: self.metrics.of_lane(&cache.name, priority),
            clocks: self.clocks.clone(),
            board: self.board.clone(),
            trust: self.trust.clone(),
            addressee: self.addressee(caches, cache),
            fleet: self.fleet.clone(),
            jitter: fastrand::Rng::new(),
            name,
        }
    }

    fn purpose(&self, caches: &Caches, cache: &Cache, priority: Priority) -> Purpose {
        let mut config = cache.lane.clone();
        if priority == Priority::Critical {
            config.batch.wait = Duration::ZERO;
        }
        Purpose {
            region: self.config.region.clone(),
            agent: self.name.clone(),
            cache: cache.name.clone(),
            sites: self.sites.clone(),
            priority,
            rebounds: caches.rebounds(cache),
            fenced_rebound: config.rebounds.is_none().then_some(FENCED_REBOUND),
            config,
            parts: cache.parts.clone(),
            ready_fail_open_after: self.config.ready_fail_open_after,
            retention: self.retention,
        }
    }

    fn surroundings(&self, cache: &Cache, priority: Priority) -> Surroundings {
        let held = self.sites.iter().filter(|site| {
            let configured = cache.lane.sites.as_ref();
            configured.is_none_or(|sites| sites.contains(&site.name))
                && site.regions.includes(&self.config.region)
        });
        Surroundings {
            sites: Arc::new(Sites::new(held.cloned())),
            region: self.config.region.clone(),
            agent: self.name.clone(),
            cache: cache.name.clone(),
            priority,
            instance: self.instance,
        }
    }

    /// Whom an order names that concerns the lanes of `cache`.
    fn addressee(&self, caches: &Caches, cache: &Cache) -> Addressee {
        Addressee {
            region: self.config.region.clone(),
            agent: self.name.clone(),
            cache: cache.name.clone(),
            behind: caches.behind(cache),
        }
    }
}
