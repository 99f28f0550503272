//! `purgebus demo`: the whole bus at work in one process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use daemon::{Stop, stop_on_signals};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::site::{BadFolder, News, SiteShow};
use crate::demo::{self, Demo as Show, Extra, Missing};
use crate::exit::{Exit, Failure};
use crate::output;

/// How long pages change, if nothing else is said.
const LASTS: Duration = Duration::from_secs(12);

/// Shows the whole bus at work: an origin whose pages change, two regions of caching edges, publisher and agents
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no server and leaves nothing behind. Ends with 1 if a cache of the bus lost a purge or served an old
page after its purge was final.

LATE is an old page served before the purge was final, which no cache can avoid; STALE is one served after.
The edge `naive` is purged by hand, once per change, as most sites do it: a page that was being fetched
during the purge stays old there.

With --site it serves a folder of yours instead, at one address in each region, and purges what changes in it:
edit a file and reload. Pages are sent with `s-maxage`, for the edges, and `max-age=0`, so that a browser always
asks the edge. Hidden files, symbolic links and files of more than 8 MiB are not served.

Examples:
  purgebus demo
  purgebus demo --seconds 60
  purgebus demo --with varnish,redis
  purgebus demo --site ./public
  purgebus demo --json | jq .stale_after_final")]
pub(crate) struct Demo {
    /// How long pages change (12 if left out), or how long --site serves (until Ctrl-C if left out)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Serve this folder, and purge what changes in it
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
    /// Real servers to start and put into each region, as further caches
    #[arg(long, value_name = "SERVERS", value_enum, value_delimiter = ',')]
    with: Vec<Extra>,
    /// One JSON document at the end; with --site JSON lines
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let stop = Stop::new();
        // From here on no signal ends us before what we have started is ended.
        let impatient = stop_on_signals(stop.clone())?;
        let mut hangup = signal(SignalKind::hangup())?;
        demo::find(&self.with).map_err(|error| Failure::new(Exit::WrongUsage, error))?;
        tokio::select! {
            ended = self.show(stop) => ended,
            second = impatient => Err(Failure::failed(second)),
            _ = hangup.recv() => Err(Failure::failed(anyhow!("the terminal has been closed"))),
        }
    }

    async fn show(&self, stop: Stop) -> Result<Exit, Failure> {
        let lasts = self.seconds.map(Duration::from_secs);
        match &self.site {
            Some(folder) => self.serve(folder, lasts, stop).await,
            None => self.play(lasts.unwrap_or(LASTS), stop).await,
        }
    }

    async fn play(&self, lasts: Duration, stop: Stop) -> Result<Exit, Failure> {
        let shown = async { Show::open(&self.with).await?.run(lasts, stop).await };
        let verdict = shown.await.map_err(failure)?;
        if self.json {
            output::json(&serde_json::to_value(&verdict).map_err(Failure::failed)?)?;
        } else {
            verdict.show()?;
        }
        Ok(if verdict.good() { Exit::Done } else { Exit::Failed })
    }

    async fn serve(
        &self,
        folder: &Path,
        lasts: Option<Duration>,
        stop: Stop,
    ) -> Result<Exit, Failure> {
        let news = if self.json { News::Json } else { News::Text };
        let shown = async {
            let show = SiteShow::open(folder, &self.with).await?;
            Box::pin(show.run(lasts, stop, news)).await
        };
        let all_final = shown.await.map_err(failure)?;
        Ok(if all_final { Exit::Done } else { Exit::Failed })
    }
}

/// What the user can mend on the command line or by installing something is wrong usage.
fn failure(error: anyhow::Error) -> Failure {
    let usage = error.is::<Missing>() || error.is::<BadFolder>();
    Failure::new(if usage { Exit::WrongUsage } else { Exit::Failed }, error)
}
