//! A demo that runs, in a temporary folder that shows what it leaves behind.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::process::purgebus;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Show {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    temporary: TempDir,
}

/// How a demo ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Show {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_where(arguments, &[])
    }

    /// The same, with these variables of its environment.
    pub(crate) fn start_where(arguments: &[&str], environment: &[(&str, &Path)]) -> Self {
        let temporary = tempfile::tempdir().expect("a fresh folder");
        let mut command = Command::from(purgebus());
        command.arg("demo").args(arguments).kill_on_drop(true);
        command.env("TMPDIR", temporary.path()).envs(environment.iter().copied());
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.expect("the demo starts");
        let output = child.stdout.take().expect("piped");
        Self { child, lines: BufReader::new(output).lines(), temporary }
    }

    /// The next JSON line whose `event` is this.
    pub(crate) async fn event(&mut self, event: &str) -> Value {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                let told: Value = serde_json::from_str(&line).expect("JSON lines");
                if told["event"] == event {
                    return told;
                }
            }
            panic!("the demo ended before {event}");
        };
        timeout(PATIENCE, found).await.expect("an event in time")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let process = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([signal, &process]).status();
        assert!(sent.expect("kill is installed").success(), "it was dead already");
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> Ended {
        let ending = async {
            let mut output = String::new();
            while let Some(line) = self.lines.next_line().await.expect("text") {
                output = output + &line + "\n";
            }
            let mut errors = String::new();
            let told = self.child.stderr.as_mut().expect("piped");
            told.read_to_string(&mut errors).await.expect("text");
            let code = self.child.wait().await.expect("its status").code();
            Ended { code, output, errors }
        };
        timeout(PATIENCE, ending).await.expect("it ends")
    }

    /// The programs that work in its temporary folder.
    pub(crate) fn servers(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let ours = processes.filter(|process| {
            let works_in = std::fs::read_link(process.path().join("cwd"));
            works_in.is_ok_and(|folder| folder.starts_with(self.temporary.path()))
        });
        let name = |process: &Path| std::fs::read_to_string(process.join("comm"));
        let names = ours.filter_map(|process| name(&process.path()).ok());
        names.map(|name| name.trim().to_owned()).collect()
    }

    /// What it has left in its temporary folder.
    pub(crate) fn leavings(&self) -> Vec<String> {
        let left = std::fs::read_dir(self.temporary.path()).expect("a folder").flatten();
        left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}
