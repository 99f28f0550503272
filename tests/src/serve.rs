//! A real `purgebus serve` process: free ports, a generated configuration, a folder that outlives its deaths.
//!
//! ```text
//! start --> ready --+--> kill (SIGKILL) ------+--> remains, inject --> restart
//!                   +--> terminate (SIGTERM) -+
//! ```

mod api;
mod caches;
mod remains;
mod settings;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::servers::free_port;

pub use api::Api;
pub use caches::{Caches, Reader};
pub use remains::{Remains, is_finished};
pub use settings::{DATA, PAGES, Settings};

/// Longest time the process may need to listen, to be ready, or to leave.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of its log a panic message shows.
const LOG_BYTES_SHOWN: usize = 8_000;
/// Another process may take a free port first.
const STARTS_TRIED: usize = 5;

/// The process, dead when dropped.
#[derive(Debug)]
pub struct Serve {
    folder: TempDir,
    settings: Settings,
    api: Api,
    child: Option<Child>,
}

impl Serve {
    /// Starts it in a fresh folder; its API listens when this returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn start(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        let api = Api::new(free_port().await, free_port().await);
        let mut serve = Self { folder, settings, api, child: None };
        for _ in 0..STARTS_TRIED {
            if serve.try_restart().await {
                return serve;
            }
            serve.api = Api::new(free_port().await, free_port().await);
        }
        panic!("serve does not start:\n{}", serve.log_tail());
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it is not in time; with the end of its log.
    pub async fn start_ready(settings: Settings) -> Self {
        let serve = Self::start(settings).await;
        serve.ready().await;
        serve
    }

    /// Starts it again, on the same folder and ports; its API listens when this returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn restart(&mut self) {
        assert!(self.try_restart().await, "serve does not start again:\n{}", self.log_tail());
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not say so in time; with the end of its log.
    pub async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.api.is_ready().await {
            assert!(Instant::now() < deadline, "serve is not ready:\n{}", self.log_tail());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Kills it at this moment, without warning.
    ///
    /// # Panics
    /// When it is dead already.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it was alive");
        let status = child.wait().expect("its status");
        assert_eq!(status.code(), None, "it had ended by itself:\n{}", self.log_tail());
    }

    /// Asks it to leave, as an init system does. Answers how it left, and how long that took.
    ///
    /// # Panics
    /// When it stays.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.child.take().expect("it runs");
        let asked = Instant::now();
        let signal = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        assert!(signal.expect("kill is installed").success(), "it was dead already");
        while asked.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().expect("its status") {
                return (status, asked.elapsed());
            }
            sleep(LOOK_EVERY).await;
        }
        child.kill().ok();
        child.wait().ok();
        panic!("serve does not leave:\n{}", self.log_tail());
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it is dead.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// How it is asked. Works over restarts.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The end of what all its lives logged.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let start = log.len().saturating_sub(LOG_BYTES_SHOWN);
        String::from_utf8_lossy(&log.as_bytes()[start..]).into_owned()
    }

    /// What all its lives logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// False if it ended before it answered, as it does when a port is taken.
    async fn try_restart(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs already");
        let config = self.folder.path().join("purgebus.toml");
        let text = self.settings.toml(&self.api, &self.journal(), &self.state());
        fs::write(&config, text).expect("a written configuration");
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"));
        let child = Command::new(binary())
            .arg("serve")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("the binary runs");
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && child.try_wait().is_ok_and(|status| status.is_none()) {
            if self.api.answers().await {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        self.bury();
        false
    }

    fn bury(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it is dead already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.bury();
        if std::thread::panicking() {
            eprintln!("the end of serve's log:\n{}", self.log_tail());
        }
    }
}

/// The binary that was built with this one, which lies beside it or, being a test, one folder below.
fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("the path of this test");
    let mut folders = this.ancestors().skip(1).take(2).map(|folder| folder.join("purgebus"));
    folders.find(|binary| binary.is_file()).expect(
        "purgebus is built: run `cargo build --bin purgebus` first, as tests/run does, in the same profile",
    )
}
