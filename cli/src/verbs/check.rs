//! `purgebus check`: every mistake of a configuration at once, and what it would run; with `--connect`, whether that
//! would work.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::config::{Config, Mistakes, Role};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::trials::{self, Found, Trial};

/// How often the progress shows that time goes by.
const TICK: Duration = Duration::from_millis(200);

/// Tells every mistake of a configuration at once; with --connect tries broker and caches too
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus check -c purgebus.toml
  purgebus check -c agent.toml --connect
  purgebus check -c both.toml --role publisher --connect
  purgebus check -c purgebus.toml --json | jq '.mistakes[].problem'

Exits 2 where there are mistakes, 1 where --connect finds that something does not work. --connect starts
nothing: it makes the streams or topics that are missing, sends heartbeats that nobody needs to heed, and
purges probe objects of its own.")]
pub(crate) struct Check {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// What shall run with it; what the file is written for if left out
    #[arg(long)]
    role: Option<Role>,
    /// Tries the broker, with all that the role does there, and every cache
    #[arg(long)]
    connect: bool,
    /// One JSON document instead of lines
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Of a file, with all that it names.
    pub(super) fn connecting(config: PathBuf) -> Self {
        Self { config, role: None, connect: true, json: false }
    }

    pub(super) async fn run(self) -> Result<Exit, Failure> {
        match Config::load(&self.config, &Config::environment(), self.role) {
            Ok(config) if self.connect => self.try_out(&config).await,
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
            let (role, warnings) = (config.role.to_string(), &config.warnings);
            let told = json!({"ok": true, "role": role, "mistakes": [], "warnings": warnings});
            output::json(&told)?;
        } else {
            output::line("ok")?;
            config.summary().iter().try_for_each(output::line)?;
            warn(config)?;
        }
        Ok(Exit::Done)
    }

    async fn try_out(&self, config: &Config) -> Result<Exit, Failure> {
        // Draws nothing where stderr is no terminal.
        let bar = ProgressBar::new(trials::count(config) as u64).with_style(bar_style());
        bar.enable_steady_tick(TICK);
        let trials = trials::run(config, &|| bar.inc(1)).await;
        bar.finish_and_clear();
        let fine = trials.iter().all(Trial::is_fine);
        if self.json {
            let told: Vec<_> = trials.iter().map(Trial::to_json).collect();
            let role = config.role.to_string();
            let warnings = &config.warnings;
            let mistakes: [(); 0] = [];
            output::json(&json!({
                "ok": fine, "role": role, "mistakes": mistakes, "warnings": warnings, "trials": told
            }))?;
        } else {
            trials.iter().try_for_each(tell)?;
            warn(config)?;
        }
        Ok(if fine { Exit::Done } else { Exit::Failed })
    }
}

fn bar_style() -> ProgressStyle {
    let template = ProgressStyle::with_template("{bar:20} {pos}/{len} tried, {elapsed}");
    template.expect("a template without mistakes")
}

fn tell(trial: &Trial) -> Result<(), Failure> {
    let what = &trial.what;
    match &trial.found {
        Found::Fine(how) => output::line(format_args!("ok      {what}: {how}")),
        Found::Wrong { cause, fix } => {
            output::line(format_args!("FAILED  {what}: {cause}"))?;
            fix.as_ref().map_or(Ok(()), |fix| output::line(format_args!("        fix: {fix}")))
        }
        Found::NotTried(why) => output::line(format_args!("-       {what}: not tried: {why}")),
    }
}

/// What is not wrong but should not stay so.
fn warn(config: &Config) -> Result<(), Failure> {
    config.warnings.iter().try_for_each(|warning| output::line(format_args!("warning: {warning}")))
}

/// The failure of whoever needs the configuration.
pub(super) fn wrong(mistakes: &Mistakes) -> Failure {
    Failure::message(Exit::WrongUsage, format!("nothing was started\n{mistakes}"))
}
