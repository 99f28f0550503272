//! Real servers beside the demo: on a free port, in the demo's folder, ended by process id when dropped.

pub(crate) mod redis;
pub(crate) mod varnish;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// Longest time a server may need to come up: Varnish calls a C compiler first.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Another process may take a free port first.
const PORTS_TRIED: usize = 5;
/// How much of its log an error shows.
const LOG_BYTES_SHOWN: usize = 2_000;
/// Kills its process group when nobody holds the other end of its standard input any more.
const GUARD: &str = "read -r _; kill -KILL 0";
/// Where servers lie that are not on every user's PATH.
const SERVER_FOLDERS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// What has to be installed first.
#[derive(Debug, thiserror::Error)]
#[error("{what}; on Debian and Ubuntu: sudo apt-get install {package}")]
pub(crate) struct Missing {
    what: String,
    package: &'static str,
}

/// A program that serves, and the Debian package that holds it.
#[derive(Debug, Clone, Copy)]
struct Program {
    name: &'static str,
    package: &'static str,
}

impl Program {
    fn find(self) -> Result<PathBuf, Missing> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(SERVER_FOLDERS.map(PathBuf::from));
        let found = folders.map(|folder| folder.join(self.name)).find(|file| file.is_file());
        let what = || format!("{} is not on PATH", self.name);
        found.ok_or_else(|| Missing { what: what(), package: self.package })
    }
}

/// A running server; with its guard a process group of its own, so that a Ctrl-C reaches us first.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Ends the server where we cannot: when we are killed without warning. It is there before the server is.
    guard: Child,
    address: SocketAddr,
}

impl Server {
    /// Runs `program` in the new folder `folder`, with the arguments made for its port, until it accepts connections.
    async fn start(
        program: Program,
        folder: &Path,
        arguments: impl Fn(u16) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Self> {
        let file = program.find()?;
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for _ in 0..PORTS_TRIED {
            let port = free_port().await?;
            let mut server = Self::spawn(&file, folder, port, &arguments(port)?)?;
            if server.listens().await? {
                return Ok(server);
            }
        }
        anyhow::bail!("{} does not start:\n{}", program.name, log_tail(folder));
    }

    fn spawn(file: &Path, folder: &Path, port: u16, arguments: &[String]) -> anyhow::Result<Self> {
        let log = File::create(log_file(folder))?;
        let mut guard = guard()?;
        let child = Command::new(file)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(Pid::from_child(&guard).as_raw_nonzero().get())
            .spawn()
            .with_context(|| format!("cannot run {}", file.display()))
            .inspect_err(|_| end(&mut guard))?;
        Ok(Self { child, guard, address: (Ipv4Addr::LOCALHOST, port).into() })
    }

    /// False if it ended before it accepted a connection.
    async fn listens(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait()?.is_none() {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(true);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(false)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.guard);
        self.child.wait().ok();
    }
}

/// Kills a guard and all that are in its group; an error says that they are dead already.
fn end(guard: &mut Child) {
    kill_process_group(Pid::from_child(guard), Signal::KILL).ok();
    guard.wait().ok();
}

fn guard() -> anyhow::Result<Child> {
    let guard = Command::new("/bin/sh")
        .args(["-c", GUARD])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    guard.context("cannot run /bin/sh")
}

/// A port that nobody listens on now.
async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// The end of what it printed.
fn log_tail(folder: &Path) -> String {
    let log = match fs::read(log_file(folder)) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return format!("(its log cannot be read: {error})"),
    };
    let start = log.len().saturating_sub(LOG_BYTES_SHOWN);
    String::from_utf8_lossy(&log[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let server = redis::start(&folder.path().join("redis")).await.unwrap();
        let (process, address) =
            (PathBuf::from(format!("/proc/{}", server.child.id())), server.address());
        assert!(process.exists() && TcpStream::connect(address).await.is_ok());
        let clumsy = move || {
            let _held = server;
            panic!("clumsy");
        };
        assert!(catch_unwind(AssertUnwindSafe(clumsy)).is_err());
        assert!(!process.exists() && TcpStream::connect(address).await.is_err());
    }
}
