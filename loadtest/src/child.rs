//! Servers that are measured in processes of their own, as whatever they are compared with is: this program, started
//! again under another name.

mod bare;
mod fleet;
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
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines, stdin};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use crate::usage::resident;

pub(crate) use fleet::Fleet;

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
    /// The same without an audit trail
    Unaudited,
    /// It is many agents
    Fleet,
}

/// One of them, until its standard input ends.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    #[arg(value_enum)]
    trade: Trade,
    /// Where it may keep things
    folder: PathBuf,
    #[command(flatten)]
    fleet: Fleet,
}

impl Serving {
    /// Says where it listens, and serves.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut crew = Crew::new(Stop::new());
        let mut caches = Vec::new();
        let listens = match self.trade {
            Trade::Fleet => {
                caches = self.fleet.spawn(&mut crew, &self.folder)?;
                // It is not spoken to.
                ([127, 0, 0, 1], 0).into()
            }
            Trade::BareHttp => bare::spawn(&mut crew, None).await?,
            Trade::BareStore => bare::spawn(&mut crew, Some(&self.folder)).await?,
            Trade::Publisher => publisher::spawn(&mut crew, &self.folder, true).await?,
            Trade::Unaudited => publisher::spawn(&mut crew, &self.folder, false).await?,
        };
        println!("{listens}");
        let stop = crew.stop();
        crew.spawn("parent", async move {
            stdin().read_to_end(&mut Vec::new()).await?;
            stop.request();
            Ok(())
        });
        crew.run(GRACE).await?;
        println!("{}", caches.iter().map(|cache| cache.pages()).sum::<usize>());
        Ok(())
    }
}

/// Such a process, dead when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    address: SocketAddr,
    process: tokio::process::Child,
    folder: TempDir,
    said: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts one; it listens when this returns.
    pub(crate) async fn start(trade: Trade) -> anyhow::Result<Self> {
        Self::start_with(trade, &[]).await
    }

    /// Starts many agents; they begin to connect when this returns.
    pub(crate) async fn start_fleet(fleet: &Fleet) -> anyhow::Result<Self> {
        let Fleet { url, prefix, agents, first } = fleet;
        let arguments = [
            format!("--url={url}"),
            format!("--prefix={prefix}"),
            format!("--agents={agents}"),
            format!("--first={first}"),
        ];
        Self::start_with(Trade::Fleet, &arguments).await
    }

    async fn start_with(trade: Trade, arguments: &[String]) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let trade = trade.to_possible_value().context("a trade has a name")?;
        // The figures of CPU time go by the name of the program.
        let program = folder.path().join(trade.get_name());
        symlink(std::env::current_exe()?, &program)?;
        let mut process = Command::new(program)
            .args(["serving", trade.get_name()])
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = process.stdout.take().context("it has no standard output")?;
        let mut said = BufReader::new(said).lines();
        let first = timeout(STARTS_WITHIN, said.next_line()).await??;
        let address = first.context("it ended at once")?.parse()?;
        Ok(Self { address, process, folder, said })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        resident(self.process.id().context("it has ended")?)
    }

    /// Ends agents; answers how many different pages each of their caches was told to purge, added up.
    pub(crate) async fn purged(mut self) -> anyhow::Result<u64> {
        let told = self.end().await?.context("it did not say what it had purged")?;
        Ok(told.parse()?)
    }

    /// Answers what it says last.
    async fn end(&mut self) -> anyhow::Result<Option<String>> {
        drop(self.process.stdin.take());
        let last = timeout(GRACE * 2, self.said.next_line()).await??;
        timeout(GRACE * 2, self.process.wait()).await??;
        Ok(last)
    }

    /// Ends a publisher; answers everything on its log, in order.
    pub(crate) async fn published(mut self) -> anyhow::Result<Vec<Invalidation>> {
        self.end().await?;
        publisher::published(self.folder.path()).await
    }
}
