//! The publisher: composes journal, forwarders, heartbeats, repairs, tracker and API.
//!
//! ```text
//! stop --> server drains --> journal commits what is queued, the rest leaves
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Embedded;
use daemon::{
    BindError, BoxError, Clock, Condition, Crew, CrewError, Health, HttpServer, Peer, PortMetrics,
    Stop, TlsBook, TlsMistakes,
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use schemas::{PublisherName, Sites, Trust};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::audit::{AuditError, AuditMetrics, AuditWriter, Keep, Trail, TrailSetup};
use crate::budget::Budgets;
use crate::config::PublisherConfig;
use crate::error_chain;
use crate::forwarder::{Announcer, Forwarder, Troubles};
use crate::handle::{HandleParts, PublisherHandle};
use crate::heartbeat::Pulse;
use crate::journal::{Journal, JournalError, JournalSetup, JournalStore, Limits, Writer};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::repair::Repairer;
use crate::replays::{Replayer, ReplaysSetup};
use crate::routes::Api;
use crate::search::Searcher;
use crate::tokens::{TokenBook, Tokens, TokensError};
use crate::tracker::{Tracking, TrackingSetup};

/// On a stop, requests in flight have this long, and then everything behind them.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How often the embedded log lets go of what is too old.
const RETAIN_EVERY: Duration = Duration::from_mins(1);

/// What a publisher needs.
#[derive(Debug)]
pub struct PublisherSetup {
    /// Its configuration.
    pub config: PublisherConfig,
    /// Its name on the bus.
    pub name: PublisherName,
    /// All sites of the installation.
    pub sites: Arc<Sites>,
    /// Where the journal and the tracker lie, and the log too if the outlet is shared.
    pub store: JournalStore,
    /// Where the journal's frames go.
    pub outlet: Outlet,
    /// Whose invalidations it may publish again, and so sign.
    pub trust: Trust,
    /// How many partitions every topic of the log has; the embedded log has one.
    pub partitions: u32,
    /// How long the broker keeps a message; the journal keeps it as long for repairs.
    pub retention: Duration,
    /// The wall clock.
    pub clock: Clock,
    /// Where it has the condition `publisher`.
    pub health: Health,
    /// Where its metrics are registered.
    pub metrics: Arc<Mutex<Registry>>,
}

/// Why a publisher could not begin.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The journal.
    #[error("the journal is not usable")]
    Journal(#[from] JournalError),
    /// What the tracker keeps.
    #[error("the tracker's books are not usable")]
    Tracker(#[source] BoxError),
    /// The audit trail.
    #[error(
        "the audit trail is not usable; publisher.audit_dir names another folder, unaudited = true does without"
    )]
    Audit(#[from] AuditError),
    /// The tokens file.
    #[error("the tokens file is not usable")]
    Tokens(#[from] TokensError),
    /// What replays keep.
    #[error("the books of replays are not usable")]
    Replays(#[source] BoxError),
    /// Anyone could purge.
    #[error(
        "anyone who reaches {0} could purge; set publisher.tokens_file, or listen on 127.0.0.1"
    )]
    Exposed(SocketAddr),
    /// Its certificate.
    #[error("publisher.tls is not usable")]
    Tls(#[from] TlsMistakes),
    /// The port.
    #[error("the API's port is not free")]
    Bind(#[from] BindError),
}

/// A publisher, ready to run.
#[derive(Debug)]
pub struct Publisher {
    handle: PublisherHandle,
    listen: SocketAddr,
    connections_max: usize,
    per_address_max: usize,
    tls: Option<TlsBook>,
    tokens: Option<TokenBook>,
    server: Option<HttpServer>,
    metrics: Metrics,
    journal: Journal,
    writer: Writer,
    /// None where no trail is kept.
    auditor: Option<AuditWriter>,
    outlet: Outlet,
    tracking: Tracking,
    replayer: Replayer,
    clock: Clock,
    condition: Condition,
    leaving: Stop,
}

impl Publisher {
    /// Reads journal and tokens; binds nothing and publishes nothing yet.
    pub async fn open(setup: PublisherSetup) -> Result<Self, PublisherError> {
        let PublisherSetup { config, name, sites, store, outlet, clock, .. } = setup;
        let tokens = match &config.tokens_file {
            Some(file) => Some(Tokens::read(file)?),
            None if config.listen.ip().is_loopback() => None,
            None => return Err(PublisherError::Exposed(config.listen)),
        };
        let tls = config.tls.clone().map(|tls| TlsBook::open(tls, clock)).transpose()?;
        let database = store.database();
        let audited = Audited { config: &config, name: &name, store: &store, clock };
        let (trail, auditor) = audited.open(&setup.health, &setup.metrics).await?;
        let tokens = tokens.map(|tokens| TokenBook::new(tokens, trail.clone()));
        let tracking = TrackingSetup {
            database: store.database(),
            broker: outlet.broker(),
            name: name.clone(),
            sites: Arc::clone(&sites),
            clock,
            condition: setup.health.condition("tracker"),
            others_publish: matches!(outlet, Outlet::Remote(_)),
            trail: trail.clone(),
        };
        let tracking = Tracking::open(tracking)
            .await
            .map_err(|error| PublisherError::Tracker(error.into()))?;
        let tracker = tracking.handle();
        let told = tracker.clone();
        let journal = JournalSetup {
            store,
            publisher: name,
            outlet: outlet.clone(),
            limits: Limits {
                bytes: config.journal_bytes.as_u64(),
                retention: setup.retention,
                age: config.journal_age,
            },
            partitions: setup.partitions,
            ack_wait: config.ack_wait,
            clock,
            on_accepted: Box::new(move |place, invalidation| told.accepted(place, invalidation)),
        };
        let (journal, writer) = journal.open()?;
        tracking.resume(journal.lines().await?);
        let metrics = {
            let mut registry = setup.metrics.lock();
            tracking.metrics().register(&mut registry);
            Metrics::register(&mut registry)
        };
        let leaving = Stop::new();
        // A log of our own holds nothing that the journal beside it does not.
        let searcher = match &outlet {
            Outlet::Shared(_) => None,
            Outlet::Remote(broker) => Some(Searcher::new(Arc::clone(broker), clock)),
        };
        let replays = ReplaysSetup {
            database,
            broker: outlet.broker(),
            journal: journal.clone(),
            tracker: tracker.clone(),
            sites: Arc::clone(&sites),
            clock,
            metrics: metrics.clone(),
            trail: trail.clone(),
            trust: setup.trust,
        };
        let opened = replays.open().map_err(|error| PublisherError::Replays(error.into()));
        let (replays, replayer) = opened?;
        let handle = PublisherHandle::new(HandleParts {
            sites,
            journal: journal.clone(),
            tracker,
            clock,
            metrics: metrics.clone(),
            searcher,
            replays,
            budgets: Budgets::new(config.site_budgets),
            trail,
            leaving: leaving.clone(),
        });
        let (listen, condition) = (config.listen, setup.health.condition("publisher"));
        Ok(Self {
            handle,
            listen,
            connections_max: config.connections,
            per_address_max: config.connections_per_address,
            tls,
            tokens,
            server: None,
            metrics,
            journal,
            writer,
            auditor,
            outlet,
            tracking,
            replayer,
            clock,
            condition,
            leaving,
        })
    }

    /// For those who publish and ask without HTTP.
    pub fn handle(&self) -> PublisherHandle {
        self.handle.clone()
    }

    /// Who may use the API, to be replaced while it runs; `None` where everyone of this machine may.
    pub fn tokens(&self) -> Option<TokenBook> {
        self.tokens.clone()
    }

    /// The TLS of the API, to be replaced while it runs; `None` where it speaks plain HTTP.
    pub fn tls(&self) -> Option<TlsBook> {
        self.tls.clone()
    }

    /// Takes the API's port, so that a taken one is an error before anything runs. Without it there is no API.
    pub async fn bind(&mut self) -> Result<SocketAddr, PublisherError> {
        let server = HttpServer::bind(self.listen, self.connections_max).await?;
        let server = server.per_address(self.per_address_max);
        let bound = server.local_addr();
        self.server = Some(match &self.tls {
            Some(tls) => server.over_tls(tls.clone()),
            None => server,
        });
        if self.tokens.is_none() {
            info!(%bound, "no tokens_file: the API takes requests of this machine only, from anyone on it");
        }
        Ok(bound)
    }

    /// Counts the connections to the API there.
    pub fn count(&mut self, metrics: PortMetrics) {
        self.server = self.server.take().map(|server| server.counted(metrics));
    }

    /// Publishes until stopped: requests in flight are finished first, then the journal's queue.
    pub async fn run(mut self, stop: Stop) -> Result<(), CrewError> {
        let front = Front {
            api: Api::new(self.handle.clone(), self.tokens.clone(), self.metrics.clone()),
            server: self.server.take(),
            leaving: self.leaving.clone(),
        };
        let quiet = Stop::new();
        let mut crew = Crew::new(quiet.clone());
        self.spawn_behind(&mut crew);
        crew.spawn("api", async move {
            let ended = front.run(&stop, &quiet).await;
            quiet.request();
            ended
        });
        crew.run(STOP_WITHIN).await
    }

    /// Everything that the API stands on.
    fn spawn_behind(self, crew: &mut Crew) {
        let Self { journal, writer, auditor, outlet, tracking, clock, metrics, condition, .. } =
            self;
        crew.spawn("replays", self.replayer.run(crew.stop()));
        let broker = outlet.broker();
        crew.spawn("journal", writer.run(crew.stop()));
        if let Some(auditor) = auditor {
            crew.spawn("audit", auditor.run(crew.stop()));
        }
        let tracker = tracking.handle();
        crew.spawn("tracker", tracking.run(crew.stop()));
        let troubles = Troubles::default();
        let announcer = Announcer::new(journal.clone(), Arc::clone(&broker), troubles.clone());
        for stream in journal.streams() {
            let forwarder = Forwarder {
                journal: journal.clone(),
                broker: Arc::clone(&broker),
                stream,
                announcer: announcer.clone(),
                troubles: troubles.clone(),
                metrics: metrics.clone(),
            };
            crew.spawn(format!("forwarder {stream}"), forwarder.run(crew.stop()));
        }
        crew.spawn("announcer", announcer.run(crew.stop()));
        let asked = tracker.clone();
        let retired = Arc::new(move |line| asked.is_retired(line));
        let repairer =
            Repairer::new(journal.clone(), Arc::clone(&broker), metrics.clone(), retired);
        crew.spawn("repairs", repairer.run(crew.stop()));
        let pulse = Pulse { journal, broker, clock, metrics, tracker, troubles, condition };
        crew.spawn("heartbeat", pulse.run(crew.stop()));
        if let Outlet::Shared(log) = outlet {
            crew.spawn("log retention", retain(log, clock, crew.stop()));
        }
    }
}

/// What decides where and how a publisher's acts are told.
struct Audited<'a> {
    config: &'a PublisherConfig,
    name: &'a PublisherName,
    store: &'a JournalStore,
    clock: Clock,
}

impl Audited<'_> {
    /// Opens the trail; without a folder for it, nothing is told.
    async fn open(
        self,
        health: &Health,
        metrics: &Mutex<Registry>,
    ) -> Result<(Trail, Option<AuditWriter>), AuditError> {
        let Self { config, name, store, clock } = self;
        let Some(folder) = config.audit_dir.clone() else { return Ok((Trail::default(), None)) };
        let setup = TrailSetup {
            folder,
            publisher: name.clone(),
            keep: Keep { age: config.audit_keep, bytes: config.audit_bytes.as_u64() },
            store: store.clone(),
            clock,
            metrics: AuditMetrics::register(&mut metrics.lock()),
            condition: health.condition("audit"),
        };
        let (trail, writer) = Trail::open(setup).await?;
        Ok((trail, Some(writer)))
    }
}

/// What stands before everything else, and leaves first.
struct Front {
    api: Api,
    server: Option<HttpServer>,
    leaving: Stop,
}

impl Front {
    /// Serves until asked to stop, or until what it stands on gives way.
    async fn run(self, stop: &Stop, gives_way: &Stop) -> Result<(), BoxError> {
        let Self { api, server, leaving } = self;
        let asked = async {
            tokio::select! {
                () = stop.requested() => {}
                () = gives_way.requested() => {}
            }
            leaving.request();
        };
        let Some(server) = server else {
            asked.await;
            return Ok(());
        };
        let answer = move |peer: &Peer, request| api.clone().answer(peer.clone(), request);
        tokio::join!(server.serve(answer, leaving.clone()), asked).0
    }
}

/// The embedded log lets go of what is too old only when it is told to.
async fn retain(log: Embedded, clock: Clock, stop: Stop) -> Result<(), BoxError> {
    let mut every = interval(RETAIN_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = every.tick() => {
                if let Err(error) = log.retain(clock.now()).await {
                    warn!(error = error_chain(&error), "the log keeps more than it should");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
