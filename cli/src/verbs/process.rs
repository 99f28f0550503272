//! What every verb that runs a part of the bus does: read, open, listen, run, stop.

use std::mem;
use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use daemon::telemetry::{self, Format};
use daemon::{Hangups, Stop, stop_on_signals};
use serde_json::json;
use tracing::warn;

use crate::config::{Config, Role};
use crate::exit::{Exit, Failure, tell};
use crate::installation::{Installation, Reloader};

use super::check::wrong;

/// What every such verb is told.
#[derive(Debug, Args)]
pub(super) struct Process {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Log in JSON lines, whatever the configuration says
    #[arg(long)]
    json: bool,
}

impl Process {
    /// Runs it as `role` until it is told to stop.
    pub(super) async fn run(self, role: Role) -> Result<Exit, Failure> {
        let mut config = Config::load(&self.config, &Config::environment(), Some(role))
            .map_err(|mistakes| wrong(&mistakes))?;
        let format = if self.json { Format::Json } else { config.log.format };
        let volume = telemetry::init(format, &config.log.level)
            .map_err(|error| Failure::new(Exit::WrongUsage, error))?;
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let (grace, in_force) = (config.process.grace, mem::take(&mut config.written));
        let stop = Stop::new();
        let mut impatient = pin!(stop_on_signals(stop.clone())?);
        let hangups = Hangups::listen()?;
        // Opening may read all of the journal, and waits for room on its disk.
        let installation = tokio::select! {
            opened = Box::pin(Installation::open(config)) => opened?,
            second = &mut impatient => return Err(Failure::failed(second)),
            () = stop.requested() => return Ok(Exit::Done),
        };
        for (what, url) in installation.ports() {
            announce(format, what, &url);
        }
        let (changeable, journal) = (installation.changeable(), installation.journal());
        let mut crew = installation.crew(stop);
        let reloader = Reloader { file: self.config, role, in_force, changeable, volume, hangups };
        crew.spawn("reload", reloader.run(crew.stop()));
        tokio::select! {
            ended = crew.run(grace) => {
                ended.map_err(Failure::failed)?;
                if let Some(journal) = journal {
                    journal.end_in_order();
                }
                Ok(Exit::Done)
            }
            second = impatient => Err(Failure::failed(second)),
        }
    }
}

/// A line on stderr, in the form of the log around it.
fn announce(format: Format, what: &str, url: &str) {
    match format {
        Format::Text => tell(format_args!("{what} listens on {url}")),
        Format::Json => tell(json!({"listening": what, "url": url})),
    }
}
