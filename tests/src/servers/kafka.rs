//! Kafka as one node that is both broker and controller (`KRaft`), empty at its first start.
//!
//! Its first listener is plain and lets everybody do everything; a [`Setup`] adds others.

mod admin;
mod jars;
mod setup;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::{LOG_BYTES_SHOWN, Server, free_ports};

pub use setup::{Protocol, Setup};

/// Longest time from an open port to a broker that takes part in its cluster.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest wait for one answer while it starts.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A running Kafka.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    setup: Setup,
    ports: Ports,
}

/// The ports beside the first listener's: the controller's, then those of further listeners. Others for each port of
/// the first listener that is tried, so that a clash is over at the next try.
type Ports = Arc<Mutex<(u16, Vec<u16>)>>;

impl Kafka {
    /// One that all tests of a binary share: each with topics of its own, none stops it.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts one that lets everybody do everything.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts one that is set up like this.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start_with(setup: Setup) -> Self {
        let jars = jars::installed().await;
        let formatted = jars::format(&jars, &setup).await;
        let prepare = |folder: &Path| jars::copy(formatted.path(), folder);
        let ports = Ports::default();
        let arguments = {
            let (setup, ports, jars) = (setup.clone(), Arc::clone(&ports), jars.clone());
            move |folder: &Path, port: u16| {
                let ports = ports_beside(&ports, port, setup.listeners.len() + 1);
                let properties = setup.properties(folder, port, &ports);
                fs::write(folder.join("server.properties"), properties).expect("a config");
                jars::broker_arguments(&jars, folder, &setup)
            }
        };
        let server = Server::start("sh", prepare, arguments).await;
        let kafka = Self { server, setup, ports };
        kafka.wait_until_it_answers().await;
        kafka
    }

    /// Starts a second broker of the same cluster.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn second(&self) -> Self {
        let controller = self.ports.lock().1[0];
        let mut setup = Setup::default();
        setup.under = Some(controller);
        Self::start_with(setup).await
    }

    /// `127.0.0.1:PORT` of the plain listener.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// `127.0.0.1:PORT` of the listener that the setup added under this name.
    ///
    /// # Panics
    /// When it added none.
    pub fn listener(&self, name: &str) -> String {
        let mut listeners = self.setup.listeners.iter();
        let place =
            listeners.position(|(other, _)| other == name).expect("a listener of the setup");
        format!("127.0.0.1:{}", self.ports.lock().1[place + 1])
    }

    /// The folder of its log.
    pub fn data(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Kills it at once; what it answered is kept.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Starts it again at the same addresses, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn restart(&mut self) {
        self.server.restart().await;
        self.wait_until_it_answers().await;
    }

    /// Stops it where it is, connections open: whoever waits for an answer waits.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Settings of a client at the plain listener.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("allow.auto.create.topics", "false");
        config
    }

    /// A port opens before the broker takes part in its cluster.
    async fn wait_until_it_answers(&self) {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let consumer = Arc::new(consumer);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asking = Arc::clone(&consumer);
            let ask = move || asking.fetch_metadata(None, ANSWER_WAIT);
            let answer = tokio::task::spawn_blocking(ask).await.expect("no panic");
            let port = i32::from(self.server.address().port());
            if answer.is_ok_and(|all| all.brokers().iter().any(|broker| broker.port() == port)) {
                return;
            }
            let tail = || self.server.log_tail();
            assert!(
                Instant::now() < deadline,
                "{self:?} does not answer; its last {LOG_BYTES_SHOWN} bytes:\n{}",
                tail()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn ports_beside(ports: &Ports, first: u16, count: usize) -> Vec<u16> {
    let mut ports = ports.lock();
    if ports.0 != first {
        *ports = (first, free_ports(count));
    }
    ports.1.clone()
}
