//! nats-server with JetStream; its store outlives a restart.

mod cluster;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Server};

pub use cluster::Cluster;

/// What we test with.
pub const NEWEST: &str = "2.15.1";
/// The oldest that we promise to work with.
pub const OLDEST: &str = "2.10.25";

/// Another process may take the free port first.
const STARTS_TRIED: usize = 5;
/// Longest wait for an answer of a server that is up.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A running nats-server.
#[derive(Debug)]
pub struct Nats {
    server: Server,
    name: String,
}

impl Nats {
    /// Starts the newest one, open to everyone.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start() -> Self {
        Self::start_with(NEWEST, "").await
    }

    /// Starts a version with a configuration of its own: users, TLS, limits.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start_with(version: &str, config: &str) -> Self {
        Self::launch(version, config, &[]).await
    }

    async fn launch(version: &str, config: &str, more: &[String]) -> Self {
        let program = program(version).await;
        for _ in 0..STARTS_TRIED {
            let name = format!("tests-{:016x}", fastrand::u64(..));
            let prepare = |folder: &Path| write_config(folder, config);
            let (server_name, more) = (name.clone(), more.to_vec());
            let arguments = move |folder: &Path, port: u16| {
                let mut all = arguments(folder, port, &server_name);
                all.extend(more.iter().cloned());
                all
            };
            let server = Server::start(&program, prepare, arguments).await;
            let nats = Self { server, name };
            if nats.greeting().await.is_some_and(|greeting| greeting.contains(&nats.name)) {
                return nats;
            }
        }
        panic!("another server answers each time");
    }

    /// What it says first: by its name we know that no other server took the port.
    async fn greeting(&self) -> Option<String> {
        let stream = TcpStream::connect(self.address()).await.ok()?;
        let mut lines = BufReader::new(stream).lines();
        timeout(ANSWER_WITHIN, lines.next_line()).await.ok()?.ok()?
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its address for a client without TLS.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Its folder, for files that its configuration names.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Where JetStream keeps its streams: copied away and back while it is stopped, it is an older store.
    pub fn store(&self) -> PathBuf {
        self.server.folder().join("store")
    }

    /// Another configuration, for the next restart on.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn configure(&self, config: &str) {
        write_config(self.folder(), config);
    }

    /// Kills it: what it had not synced is what a crash of the process loses, nothing more.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Starts it again at the same address, with its store.
    pub async fn restart(&mut self) {
        self.server.restart().await;
    }

    /// Stops it where it is, connections open.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// A connection to do things behind the bus's back.
    ///
    /// # Panics
    /// When it does not connect.
    pub async fn admin(&self) -> Context {
        let connecting = timeout(PATIENCE, async_nats::connect(self.url()));
        jetstream::new(connecting.await.expect("it answers").expect("it lets us in"))
    }
}

/// The program of a version, installed when it is missing.
async fn program(version: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install/nats");
    let version = version.to_owned();
    let installed = move || Command::new(script).arg(version).output().expect("bash is there");
    let output = tokio::task::spawn_blocking(installed).await.expect("it does not panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("nats-server")
}

fn write_config(folder: &Path, config: &str) {
    fs::write(folder.join("nats.conf"), config).expect("a config file");
}

fn arguments(folder: &Path, port: u16, name: &str) -> Vec<String> {
    let folder = folder.display();
    [
        "-c",
        &format!("{folder}/nats.conf"),
        "-js",
        "-sd",
        &format!("{folder}/store"),
        "-a",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-server_name",
        name,
    ]
    .map(str::to_owned)
    .to_vec()
}
