//! `purgebus man`: the manual pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::Command;
use crate::exit::{Exit, Failure};

/// Writes the manual pages, one for each verb
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus man /usr/local/share/man/man1
  purgebus man . && man ./purgebus-purge.1")]
pub(crate) struct Man {
    /// The folder to write them to; made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(Command::command(), &self.folder))
            .with_context(|| format!("cannot write to {folder}"))
            .map_err(Failure::failed)?;
        Ok(Exit::Done)
    }
}
