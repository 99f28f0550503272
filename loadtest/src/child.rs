//! Servers that are measured in processes of their own, as whatever they are compared with is: this program, started
//! again under another name.

mod bare;
mod publisher;

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use daemon::{Crew, Stop};
use schemas::Invalidation;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, stdin};
use tokio::process::Command;
use tokio::time::timeout;

const GRACE: Duration = Duration::from_secs(10);
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// What such a process does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trade {
    /// Nothing: it answers
    BareHttp,
    /// It stores the body in redb, and answers
    BareStore,
    /// It is a publisher on an embedded log, without an agent
    Publisher,
}

/// One of them, until its standard input ends.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    #[arg(value_enum)]
    trade: Trade,
    /// Where it may keep things
    folder: PathBuf,
}

impl Serving {
    /// Says where it listens, and serves.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut crew = Crew::new(Stop::new());
        let listens = match self.trade {
            Trade::BareHttp => bare::spawn(&mut crew, None).await?,
            Trade::BareStore => bare::spawn(&mut crew, Some(&self.folder)).await?,
            Trade::Publisher => publisher::spawn(&mut crew, &self.folder).await?,
        };
        println!("{listens}");
        let stop = crew.stop();
        crew.spawn("parent", async move {
            stdin().read_to_end(&mut Vec::new()).await?;
            stop.request();
            Ok(())
        });
        Ok(crew.run(GRACE).await?)
    }
}

/// Such a process, dead when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    address: SocketAddr,
    process: tokio::process::Child,
    folder: TempDir,
}

impl Child {
    /// Starts one; it listens when this returns.
    pub(crate) async fn start(trade: Trade) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let trade = trade.to_possible_value().context("a trade has a name")?;
        // The figures of CPU time go by the name of the program.
        let program = folder.path().join(trade.get_name());
        symlink(std::env::current_exe()?, &program)?;
        let mut process = Command::new(program)
            .args(["serving", trade.get_name()])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = process.stdout.take().context("it has no standard output")?;
        let first = timeout(STARTS_WITHIN, BufReader::new(said).lines().next_line()).await??;
        let address = first.context("it ended at once")?.parse()?;
        Ok(Self { address, process, folder })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends a publisher; answers everything on its log, in order.
    pub(crate) async fn published(mut self) -> anyhow::Result<Vec<Invalidation>> {
        drop(self.process.stdin.take());
        timeout(GRACE * 2, self.process.wait()).await??;
        publisher::published(self.folder.path()).await
    }
}
