//! A real terminal: a window of a tmux server of its own, in which a shell runs.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

/// Longest wait for something to be seen.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A window; it and whatever runs in it end when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    /// Where the shell begins; it holds the server's socket.
    folder: TempDir,
}

impl Terminal {
    /// A window of that size.
    ///
    /// # Panics
    /// When tmux does not start one.
    pub fn open(width: u16, height: u16) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        fs::write(folder.path().join("conf"), "set -g status off\n").expect("a file");
        let terminal = Self { folder };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env PS1='$ ' sh";
        let folder = terminal.folder.path().to_string_lossy();
        terminal.tmux(&["new-session", "-d", "-c", &folder, "-x", &width, "-y", &height, shell]);
        terminal
    }

    /// Writes a line, as somebody who sits there does.
    pub fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Presses a key, by tmux's name for it.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Gives the window another size.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// What is to be seen, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p"]).lines().map(str::to_owned).collect()
    }

    /// Whether a program has taken the whole window, and not given it back.
    pub fn is_taken(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// The process that the shell waits for.
    ///
    /// # Panics
    /// When there is none.
    pub fn child(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        children.expect("the shell lives").split_whitespace().next().expect("a child").to_owned()
    }

    /// Waits until what is to be seen is `right`.
    ///
    /// # Panics
    /// When it is not within a minute; with what is to be seen.
    pub async fn shows(&self, what: &str, mut right: impl FnMut(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            if right(&lines) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}\n{}", lines.join("\n"));
            sleep(LOOK_EVERY).await;
        }
    }

    fn tmux(&self, arguments: &[impl AsRef<OsStr>]) -> String {
        let folder = self.folder.path();
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-S"]).arg(folder.join("socket")).arg("-f").arg(folder.join("conf"));
        tmux.args(arguments).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let Output { status, stdout, stderr } = tmux.output().expect("tmux is installed");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("UTF-8")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.folder.path().join("socket");
        let mut tmux = Command::new("tmux");
        // An error means that it has ended already.
        tmux.arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status().ok();
    }
}
