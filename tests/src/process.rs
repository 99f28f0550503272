//! A real `purgebus` process of any verb that runs: free ports, a generated configuration, a folder that outlives its
//! deaths.
//!
//! ```text
//! start --> ready --+--> kill (SIGKILL) ------+--> forget, put_back, configure --> restart
//!             ^     +--> terminate (SIGTERM) -+
//!             +----- pause (SIGSTOP), resume; reload (SIGHUP)
//! ```

mod admin;
mod saved;

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::servers::free_port;

pub use admin::Admin;
pub use saved::Saved;

/// Longest time a process may need to listen, to be ready, or to leave.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of its log a panic message shows.
const LOG_BYTES_SHOWN: usize = 8_000;
/// Another process may take a free port first.
const STARTS_TRIED: usize = 5;

/// Where a process lives: what its configuration must name.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its folder.
    pub folder: PathBuf,
    /// Where its API shall listen, if it has one.
    pub api: SocketAddr,
    /// Where health and metrics shall be.
    pub admin: SocketAddr,
}

impl Home {
    /// The folder of its journal, if it has one.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// The folder of its cursors, if it has some.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
}

type Configuration = Box<dyn Fn(&Home) -> String + Send + Sync>;

/// The process, dead when dropped.
pub struct Process {
    verb: &'static str,
    configuration: Configuration,
    home: Home,
    admin: Admin,
    child: Option<Child>,
    /// Held for as long as the process has a home.
    _folder: TempDir,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "purgebus {} in {}", self.verb, self.home.folder.display())
    }
}

impl Process {
    /// Starts `purgebus VERB -c FILE` with the file that `configuration` makes for its home; it listens when this
    /// returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn start(
        verb: &'static str,
        configuration: impl Fn(&Home) -> String + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        let home =
            Home { folder: folder.path().to_owned(), api: free_address(), admin: free_address() };
        let admin = Admin::at(home.admin);
        let configuration = Box::new(configuration);
        let mut process = Self { verb, configuration, home, admin, child: None, _folder: folder };
        for _ in 0..STARTS_TRIED {
            if process.try_restart().await {
                return process;
            }
            process.home.api = free_address();
            process.home.admin = free_address();
            process.admin = Admin::at(process.home.admin);
        }
        panic!("{process:?} does not start:\n{}", process.log_tail());
    }

    /// Starts it again, in the same home; it listens when this returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn restart(&mut self) {
        assert!(self.try_restart().await, "{self:?} does not start again:\n{}", self.log_tail());
    }

    /// Another configuration, for the next restart or reload on.
    pub fn configure(&mut self, configuration: impl Fn(&Home) -> String + Send + Sync + 'static) {
        self.configuration = Box::new(configuration);
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not say so in time; with the end of its log.
    pub async fn ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.admin.is_ready().await {
            if Instant::now() >= deadline {
                let said = self.admin.try_readiness().await;
                panic!("{self:?} is not ready: {said:#?}\n{}", self.log_tail());
            }
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

    /// Has it read its configuration again, which is by now what was last configured.
    ///
    /// # Panics
    /// When it is dead.
    pub fn reload(&self) {
        self.write_configuration();
        self.signal("-HUP");
    }

    fn write_configuration(&self) -> PathBuf {
        let file = self.home.folder.join("purgebus.toml");
        fs::write(&file, (self.configuration)(&self.home)).expect("a written configuration");
        file
    }

    /// Asks it to leave, as an init system does. Answers how it left, and how long that took.
    ///
    /// # Panics
    /// When it stays.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal("-TERM");
        let mut child = self.child.take().expect("it runs");
        while asked.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().expect("its status") {
                return (status, asked.elapsed());
            }
            sleep(LOOK_EVERY).await;
        }
        child.kill().ok();
        child.wait().ok();
        panic!("{self:?} does not leave:\n{}", self.log_tail());
    }

    /// Stops it where it is, connections open.
    ///
    /// # Panics
    /// When it is dead.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it is dead.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill is installed").success(), "{self:?} was dead already");
    }

    /// Whether it was started and has not been killed, terminated or ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|it| it.is_none()))
    }

    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it is dead.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where it lives.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its admin port. Works over restarts.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The end of what all its lives logged.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let start = log.len().saturating_sub(LOG_BYTES_SHOWN);
        String::from_utf8_lossy(&log.as_bytes()[start..]).into_owned()
    }

    /// What all its lives logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.home.folder.join("log")
    }

    /// False if it ended before it listened, as it does when a port is taken.
    async fn try_restart(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs already");
        let file = self.write_configuration();
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.expect("a log file");
        let logged_before = log.metadata().expect("its size").len();
        let mut command = purgebus();
        command.args([self.verb, "-c"]).arg(&file);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary runs");
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.is_running() {
            // The line that comes once all its ports are its own.
            if self.logged_since(logged_before).contains("admin listens on") {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        self.bury();
        false
    }

    fn logged_since(&self, start: u64) -> String {
        let read = || {
            let mut file = File::open(self.log_file())?;
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    fn bury(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it is dead already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.bury();
        if std::thread::panicking() {
            eprintln!("the end of the log of {self:?}:\n{}", self.log_tail());
        }
    }
}

fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// `purgebus` without a word, and without the configuration of whoever runs the test.
pub fn purgebus() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PURGEBUS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The binary that was built with this one, which lies beside it or, being a test, one folder below.
fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("the path of this test");
    let mut folders = this.ancestors().skip(1).take(2).map(|folder: &Path| folder.join("purgebus"));
    folders.find(|binary| binary.is_file()).expect(
        "purgebus is built: run `cargo build --bin purgebus` first, as tests/run does, in the same profile",
    )
}
