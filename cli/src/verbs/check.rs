//! `purgebus check`: every mistake of a configuration at once, and what it would run.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::config::{Config, Mistakes, Role};
use crate::exit::{Exit, Failure};
use crate::output;

/// Tells every mistake of a configuration at once; starts nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus check -c purgebus.toml
  purgebus check -c purgebus.toml --json | jq '.mistakes[].problem'

Exits 2 where there are mistakes.")]
pub(crate) struct Check {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// What shall run with it; what the file is written for if left out
    #[arg(long)]
    role: Option<Role>,
    /// One JSON document instead of lines
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match Config::load(&self.config, &Config::environment(), self.role) {
            Ok(config) => self.approve(&config),
            Err(mistakes) if self.json => {
                output::json(&mistakes.to_json())?;
                Ok(Exit::WrongUsage)
            }
            Err(mistakes) => Err(wrong(&mistakes)),
        }
    }

    fn approve(&self, config: &Config) -> Result<Exit, Failure> {
        if self.json {
            output::json(&json!({"ok": true, "role": config.role.to_string(), "mistakes": []}))?;
        } else {
            output::line("ok")?;
            config.summary().iter().try_for_each(output::line)?;
        }
        Ok(Exit::Done)
    }
}

/// The failure of whoever needs the configuration.
pub(super) fn wrong(mistakes: &Mistakes) -> Failure {
    Failure::message(Exit::WrongUsage, format!("nothing was started\n{mistakes}"))
}
