//! A whole bus in one process under paused time: an origin, caches that really cache, readers, editors, agents, a
//! publisher, and a broker that misbehaves if asked to.
//!
//! ```text
//! editors --commit--> origin <--fetch-- cache <--read-- readers --what they got--> oracle
//!    +--purge--> publisher --> broker --> agent --purge--^                            ^
//!                    +------------------ final ---------------------------------------+
//! ```

mod agent_process;
mod build;
mod cache;
mod desk;
mod driver;
mod history;
mod origin;
mod page;
mod plan;
mod publisher_process;
mod remote;
mod tally;
mod verdict;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Misbehaving, Misbehaviour};
use daemon::Stop;
use fastrand::Rng;
use publisher::JournalStore;
use schemas::CircuitState;
use schemas::api::{CacheSummary, InvalidationRequest, Progress, ProgressState};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use agent_process::AgentProcess;
use cache::Cache;
use desk::Desk;
use history::History;
use origin::Origin;
use publisher_process::PublisherProcess;
use remote::Remote;
use tally::Tally;

pub use cache::Behaviour;
pub use page::Page;
pub use plan::{AgentPlan, CachePlan, Plan, RegionPlan};
pub use tally::Mishaps;
pub use verdict::Verdict;
pub use wish::{everything, prefix, tag, url};

/// Longest wait for anything, in paused time: longer than every deadline of the bus together.
const PATIENCE: Duration = Duration::from_mins(30);
/// Publishers speak at least so often.
const HEARTBEATS: Duration = Duration::from_secs(2);
/// How often the world looks whether something has come true.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A world that runs.
#[derive(Debug)]
pub struct World {
    origin: Arc<Origin>,
    desk: Arc<Desk>,
    publisher: PublisherProcess,
    agents: Vec<AgentProcess>,
    /// The broker, where it misbehaves.
    broker: Option<Arc<Misbehaving>>,
    /// The broker, where its logs can be changed.
    history: Option<Arc<History>>,
    /// The log below that.
    remote: Option<Arc<Remote>>,
    /// Where the journal lies, if not in memory.
    journal: Option<TempDir>,
    /// The way of each region to the broker.
    links: BTreeMap<String, Arc<Misbehaving>>,
    tally: Arc<Tally>,
    rng: Rng,
    editing: Stop,
    editors: JoinSet<()>,
    reading: Stop,
    readers: JoinSet<()>,
    watch: JoinSet<()>,
}

impl World {
    /// The origin commits what the request names, and the publisher accepts the purge. Answers its id.
    pub async fn change(&self, request: &InvalidationRequest) -> Uuid {
        self.desk.change(request).await
    }

    /// The publisher accepts a purge of what has not changed.
    pub async fn ask(&self, request: &InvalidationRequest) -> Uuid {
        self.desk.ask(request).await
    }

    /// From now on something changes about so often.
    pub fn edit_every(&mut self, every: Duration) {
        let (desk, rng, stop) = (self.desk.clone(), self.rng.fork(), self.editing.clone());
        self.editors.spawn(desk.edit(every, rng, stop));
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Lets some time up to `longest` pass.
    pub async fn pass_up_to(&mut self, longest: Duration) {
        let time = longest.mul_f64(self.rng.f64());
        sleep(time).await;
    }

    /// What the publisher knows of an accepted id.
    ///
    /// # Panics
    /// When there is no publisher.
    pub async fn status(&self, id: Uuid) -> Progress {
        self.publisher.door().progress(id).await.expect("a publisher")
    }

    /// Waits until an accepted id has come so far. Answers what the publisher knows of it then.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until(&self, id: Uuid, state: ProgressState) -> Progress {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let progress = self.status(id).await;
            if progress.state == state {
                return progress;
            }
            assert!(Instant::now() < deadline, "never {state:?}: {progress:#?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// From now on that cache, `region/agent/cache`, answers purges so.
    ///
    /// # Panics
    /// When there is none at that place.
    pub fn behave(&self, place: &str, behaviour: Behaviour) {
        let mut caches = self.caches();
        let cache = caches.find(|cache| cache.place() == place).expect("a cache at that place");
        cache.behave(behaviour);
    }

    /// When purges of a page reached that cache, `region/agent/cache`, in order: since the world began.
    ///
    /// # Panics
    /// When there is none at that place.
    pub fn purges_at(&self, place: &str, path: &str) -> Vec<Duration> {
        let cache = self.caches().find(|cache| cache.place() == place);
        let cache = cache.expect("a cache at that place");
        let page = self.origin.pages().iter().find(|page| page.path() == path).expect("a page");
        cache.purges(page)
    }

    /// Kills an agent; its caches serve on.
    pub async fn kill_agent(&mut self, name: &str) {
        self.agent(name).kill().await;
    }

    /// Starts an agent again.
    pub fn start_agent(&mut self, name: &str) {
        self.agent(name).start();
    }

    /// Kills some agent and starts it again after up to `pause`.
    pub async fn crash_some_agent(&mut self, pause: Duration) {
        let chosen = self.rng.usize(..self.agents.len());
        self.agents[chosen].kill().await;
        self.pass_up_to(pause).await;
        self.agents[chosen].start();
    }

    /// Kills the publisher and starts it again after up to `pause`.
    pub async fn crash_publisher(&mut self, pause: Duration) {
        self.publisher.kill().await;
        self.pass_up_to(pause).await;
        self.publisher.start().await;
    }

    /// Its state folder is gone; it must not run.
    pub fn forget_state(&mut self, name: &str) {
        self.agent(name).forget_state();
    }

    /// The same caches get an agent of another name, without the state of the one before.
    pub async fn rename_agent(&mut self, name: &str, new: &str) {
        self.agent(name).kill().await;
        self.agent(name).rename(new);
        self.agent(new).start();
    }

    /// Every log is as it was so many messages ago, and goes on from there; nobody is told.
    ///
    /// # Panics
    /// When it was not planned that logs change.
    pub fn roll_back_log(&self, messages: usize) {
        self.history.as_ref().expect("a log that changes").roll_back(messages);
    }

    /// Every log is empty, and counts from its beginning; nobody is told.
    ///
    /// # Panics
    /// When it was not planned that logs change.
    pub fn recreate_log(&self) {
        match (&self.history, &self.remote) {
            (Some(history), _) => history.recreate(),
            (None, remote) => remote.as_ref().expect("a log apart").recreate(),
        }
    }

    /// Every log forgets its oldest messages; nobody is told.
    ///
    /// # Panics
    /// When it was not planned that logs change.
    pub fn trim_log(&self, messages: usize) {
        self.history.as_ref().expect("a log that changes").trim(messages);
    }

    /// From now on the broker misbehaves otherwise.
    ///
    /// # Panics
    /// When it was not planned to misbehave at all.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.broker.as_ref().expect("a broker that may misbehave").set(misbehaviour);
    }

    /// Kills the publisher and starts it on topics of so many partitions.
    pub async fn repartition(&mut self, partitions: u32) {
        self.publisher.kill().await;
        self.publisher.set_partitions(partitions);
        self.publisher.start().await;
    }

    /// Copies the journal between two lives of the publisher.
    ///
    /// # Panics
    /// When it was not planned to lie on disk.
    pub async fn copy_journal(&mut self) -> TempDir {
        self.publisher.kill().await;
        let copy = tempfile::tempdir().expect("a folder");
        let journal = self.journal.as_ref().expect("a journal on disk");
        self.publisher.at_rest(|| {
            for file in std::fs::read_dir(journal.path()).expect("the journal's folder") {
                let file = file.expect("a file");
                std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
            }
        });
        self.publisher.start().await;
        copy
    }

    /// Kills the publisher and starts it on an older copy of its journal.
    ///
    /// # Panics
    /// When that is none.
    pub async fn restore_journal(&mut self, copy: TempDir) {
        self.publisher.kill().await;
        self.publisher.set_store(JournalStore::open(copy.path()).expect("a journal"));
        self.journal = Some(copy);
        self.publisher.start().await;
    }

    /// From now on boards take nothing, or do again.
    ///
    /// # Panics
    /// When the log does not lie apart.
    pub fn deafen_boards(&self, deaf: bool) {
        self.remote.as_ref().expect("a log apart").deafen_boards(deaf);
    }

    /// From now on a region hears nothing and is not heard; its caches serve on.
    pub async fn cut_off(&self, region: &str) {
        let nothing = Misbehaviour { fail: 1.0, read_fail: 1.0, ..Misbehaviour::default() };
        self.links[region].set(nothing);
        // A read that waits already ends well, with the next heartbeat.
        sleep(HEARTBEATS).await;
    }

    /// A region that was cut off hears and is heard again.
    pub fn reconnect(&self, region: &str) {
        self.links[region].set(Misbehaviour::default());
    }

    /// One row per lane, as the publisher knows them.
    pub fn lanes(&self) -> Vec<CacheSummary> {
        self.publisher.door().lanes()
    }

    /// A counter or gauge of the publisher's present life, all its labels together.
    pub fn publisher_metric(&self, name: &str) -> f64 {
        self.publisher.metric(name)
    }

    /// How many reads have been old so far, while the purge was on its way.
    pub fn late(&self) -> u64 {
        self.verdict().late
    }

    /// What the misbehaving broker did to frames so far.
    pub fn mishaps(&self) -> Mishaps {
        self.tally.mishaps()
    }

    /// Ends all mischief and editing, and waits until everything accepted is final and has been read once more.
    ///
    /// # Panics
    /// When something never becomes final.
    pub async fn settle(&mut self) -> Verdict {
        self.editing.request();
        self.end(|world| &mut world.editors).await;
        for broker in self.broker.iter().chain(self.links.values()) {
            broker.quiet().await.expect("the embedded broker takes everything");
        }
        if timeout(PATIENCE, self.all_final()).await.is_err() {
            let stuck = self.status(self.desk.open()[0]).await;
            panic!("never final: {stuck:#?}\n{:#?}", self.lanes());
        }
        self.reading.request();
        self.end(|world| &mut world.readers).await;
        self.read_everything().await;
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        let changes = self.desk.finished();
        let mut verdict = Verdict { accepted: changes.len(), ..Verdict::default() };
        for cache in self.caches() {
            verdict.add(self.origin.reads(cache.place()));
            let missed = changes.iter().flat_map(|change| change.missed_by(cache));
            verdict.lost.extend(missed.map(|page| format!("{} {}", cache.place(), page.path())));
        }
        verdict
    }

    async fn all_final(&self) {
        while !self.desk.open().is_empty() {
            sleep(LOOK_EVERY).await;
        }
    }

    async fn read_everything(&self) {
        for cache in self.caches() {
            for page in self.origin.pages() {
                cache.read(page).await;
            }
        }
    }

    /// Waits until these tasks have ended by themselves.
    async fn end(&mut self, tasks: impl Fn(&mut Self) -> &mut JoinSet<()>) {
        while let Some(ended) = tasks(self).join_next().await {
            ended.expect("a task of the world ends well");
        }
    }

    fn agent(&mut self, name: &str) -> &mut AgentProcess {
        let found = self.agents.iter_mut().find(|agent| agent.name() == name);
        found.expect("an agent of that name")
    }

    fn caches(&self) -> impl Iterator<Item = &Arc<Cache>> {
        self.agents.iter().flat_map(AgentProcess::caches)
    }

    async fn until_ready(&self) {
        let lanes: usize = self.caches().count() * 2;
        let ready = async {
            let working = |lane: &CacheSummary| lane.ready && lane.circuit == CircuitState::Closed;
            while self.lanes().iter().filter(|lane| working(lane)).count() < lanes {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("all lanes get ready");
    }
}
