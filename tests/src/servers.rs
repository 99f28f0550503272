//! The one place that starts real servers: a free port, a fresh folder, ready when [`Server::start`] returns, dead and
//! gone when dropped.

pub mod distance;
pub mod kafka;
pub mod nats;
pub mod origin;
pub mod proxy;
pub mod redis;
pub mod varnish;

use std::fs::{self, File};
use std::iter::repeat_with;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Longest time a server may need to come up or go down.
const PATIENCE: Duration = Duration::from_mins(1);
/// How much of a server's log a panic message shows.
const LOG_BYTES_SHOWN: usize = 4_000;
/// How often it is looked whether a process stands still.
const LOOKS_MAX: usize = 100_000;
/// Another process may take a free port first.
const PORTS_TRIED: usize = 5;
/// Below what Linux gives to outgoing connections and to whoever asks for any port: what is stopped finds its port free
/// when it starts again.
const PORTS: Range<u16> = 20_000..32_768;

type Arguments = Box<dyn Fn(&Path, u16) -> Vec<String> + Send + Sync>;

/// A child process that listens on a loopback port.
pub struct Server {
    program: PathBuf,
    arguments: Arguments,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on port {}", self.program.display(), self.port)
    }
}

impl Server {
    /// Starts `program` with the arguments made for its folder and port; `prepare` writes its files first.
    ///
    /// # Panics
    /// When it does not accept connections in time; with the end of its log.
    pub async fn start(
        program: impl Into<PathBuf>,
        prepare: impl FnOnce(&Path),
        arguments: impl Fn(&Path, u16) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        prepare(folder.path());
        let arguments = Box::new(arguments);
        let mut server = Self { program: program.into(), arguments, folder, port: 0, child: None };
        for _ in 0..PORTS_TRIED {
            server.port = free_port();
            if server.try_restart().await {
                return server;
            }
        }
        panic!("{server:?} does not start:\n{}", server.log_tail());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it and waits until nobody listens at its address any more.
    ///
    /// # Panics
    /// When somebody else does.
    pub async fn stop(&mut self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).await.is_ok() {
            assert!(Instant::now() < deadline, "{self:?} listens on after its death");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again, with the same folder and port.
    ///
    /// # Panics
    /// When it does not accept connections in time; with the end of its log.
    pub async fn restart(&mut self) {
        assert!(self.try_restart().await, "{self:?} does not start again:\n{}", self.log_tail());
    }

    /// Stops its processes where they are, connections open: whoever waits for an answer waits.
    ///
    /// # Panics
    /// When it is dead.
    pub fn pause(&self) {
        self.signal("-STOP");
        // A signal is on its way for a moment, in which a server still answers.
        let threads = format!("/proc/{}/task", self.child.as_ref().expect("it runs").id());
        let mut looks = std::iter::repeat_with(std::thread::yield_now).take(LOOKS_MAX);
        assert!(looks.any(|()| stand_still(&threads)), "{self:?} does not stop");
    }

    /// Lets its processes go on.
    ///
    /// # Panics
    /// When it is dead.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let group = format!("-{}", child.id());
        let sent = Command::new("kill").args([signal, "--", &group]).status();
        assert!(sent.expect("kill is installed").success(), "{self:?} is dead");
    }

    /// The end of what it printed.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let start = log.len().saturating_sub(LOG_BYTES_SHOWN);
        String::from_utf8_lossy(&log[start..]).into_owned()
    }

    /// False if the process ended before it accepted a connection, or never accepted one.
    async fn try_restart(&mut self) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let child = Command::new(&self.program)
            .args((self.arguments)(self.folder.path(), self.port))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run {} (is it installed?): {error}", self.program.display())
            });
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && child.try_wait().is_ok_and(|status| status.is_none()) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        false
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its children with it: a worker that outlives its manager goes on answering kept connections.
            // An error means that they are dead already.
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Whether all `threads` of a process are stopped.
fn stand_still(threads: &str) -> bool {
    let stopped = |thread: std::io::Result<fs::DirEntry>| {
        let state = thread.and_then(|thread| fs::read_to_string(thread.path().join("stat")));
        // A thread that is gone since does nothing either; its name may hold anything.
        state.map_or(true, |state| state.rsplit(") ").next().is_some_and(|it| it.starts_with('T')))
    };
    fs::read_dir(threads).is_ok_and(|mut threads| threads.all(stopped))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// Such ports; all are held until all are chosen, so that none is chosen twice.
fn free_ports(count: usize) -> Vec<u16> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS))).ok();
    let found = repeat_with(listen).take(PORTS.len()).flatten();
    let held: Vec<TcpListener> = found.take(count).collect();
    assert_eq!(held.len(), count, "too few ports are free");
    let port = |listener: &TcpListener| listener.local_addr().expect("a bound socket").port();
    held.iter().map(port).collect()
}
