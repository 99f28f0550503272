//! `purgebus token`: who may use the API. Works on the tokens file, without a publisher.

mod file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use daemon::Clock;
use humantime_serde::re::humantime::parse_duration;
use publisher::{Act, Everything, Rate, TokenEntry};
use schemas::{Priority, Region, SiteName};
use serde_json::json;

use crate::exit::{Exit, Failure, tell};
use crate::{output, secret};

/// Where a packaged publisher has its tokens.
const FILE: &str = "/etc/purgebus/tokens.toml";

/// Makes, lists and revokes the tokens of the HTTP API
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus token create --name cms --site shop --allow url,tag,read --into /etc/purgebus/tokens.toml > cms.token
  purgebus token list --file /etc/purgebus/tokens.toml
  purgebus token revoke cms --file /etc/purgebus/tokens.toml && systemctl reload purgebus

The publisher named the file in publisher.tokens_file, and reads it again on SIGHUP. It holds no secrets.")]
pub(crate) struct Token {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    Create(Box<Create>),
    List(List),
    Revoke(Revoke),
}

/// Makes a token, and shows its secret this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus token create --name cms --site shop --allow url,tag,read
  purgebus token create --name cms --site shop --budget 100/s --expires 90d --into tokens.toml > cms.token
  purgebus token create --name sre --allow read,flush,dead_letters,pause,retire --everything confirmed --into sre.toml

With --into, the entry goes to that file and only the secret to stdout. Allowed is what a CMS needs if --allow is left
out: url, prefix, tag, key, read. A budget is spent so: a url or key 1, a tag 5, a prefix 20, everything 1,000.")]
struct Create {
    /// Who it is for, in logs
    #[arg(long)]
    name: String,
    /// A site that it may purge and read of; repeat it for more; every site if left out
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<SiteName>,
    /// What it may do: url, prefix, tag, key, read, flush, `dead_letters`, retire, replay, pause, audit
    #[arg(long, value_delimiter = ',')]
    allow: Vec<Act>,
    /// Whether it may purge whole sites: confirmed (the request says so twice) or unattended
    #[arg(long, value_name = "HOW", value_parser = everything)]
    everything: Option<Everything>,
    /// The regions that it may purge; every region if left out
    #[arg(long, value_delimiter = ',')]
    regions: Vec<Region>,
    /// The priorities that it may ask for, critical or normal; both if left out
    #[arg(long, value_delimiter = ',', value_parser = priority)]
    priorities: Vec<Priority>,
    /// What it may spend in a second, such as 100/s; no bound if left out
    #[arg(long)]
    budget: Option<Rate>,
    /// How long it lasts, such as 90d; for ever if left out
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// The tokens file that the entry is appended to, made where it is missing
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Shows who may do what
#[derive(Debug, Args)]
struct List {
    /// The tokens file
    #[arg(long, default_value = FILE)]
    file: PathBuf,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// Ends a token now: its entry stays, as a record
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus token revoke cms
  purgebus token revoke cms --file tokens.toml && kill -HUP $(pidof purgebus)

In force once the publisher has read the file again.")]
struct Revoke {
    /// Its name
    name: String,
    /// The tokens file
    #[arg(long, default_value = FILE)]
    file: PathBuf,
}

fn everything(text: &str) -> Result<Everything, String> {
    match text {
        "confirmed" => Ok(Everything::Confirmed),
        "unattended" => Ok(Everything::Unattended),
        _ => Err("give confirmed or unattended, or leave it out".to_owned()),
    }
}

fn priority(text: &str) -> Result<Priority, String> {
    let known = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
    known.ok_or_else(|| "give critical or normal".to_owned())
}

impl Token {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            TokenVerb::Create(create) => create.run(),
            TokenVerb::List(List { file, json }) => list(&file, json),
            TokenVerb::Revoke(Revoke { name, file }) => {
                file::revoke(&file, &name, Clock::system().now())?;
                tell(format_args!(
                    "{name} is revoked in {}; the publisher has to read it again: SIGHUP",
                    file.display()
                ));
                Ok(Exit::Done)
            }
        }
    }
}

impl Create {
    fn run(self) -> Result<Exit, Failure> {
        let secret = secret::new().map_err(Failure::failed)?;
        let expires = self.expires.map(|expires| Clock::system().now().checked_add(expires));
        let expires = expires.transpose().map_err(|error| Failure::new(Exit::WrongUsage, error))?;
        let some = |allow: BTreeSet<Act>| if allow.is_empty() { Act::usual() } else { allow };
        let entry = TokenEntry {
            hash: TokenEntry::hash_of(&secret),
            name: self.name,
            sites: given(self.sites),
            allow: some(self.allow.into_iter().collect()),
            everything: self.everything.unwrap_or_default(),
            regions: given(self.regions),
            priorities: given(self.priorities),
            budget: self.budget,
            expires,
            revoked: None,
        };
        let text = file::written(&entry)?;
        if let Some(file) = &self.into {
            file::append(file, &text)?;
            tell(format_args!("{} is in {}; SIGHUP puts it in force", entry.name, file.display()));
        }
        match (self.json, &self.into) {
            (true, _) => output::json(&json!({"secret": secret, "entry": entry}))?,
            (false, Some(_)) => output::line(secret)?,
            (false, None) => output::line(format_args!(
                "{secret}\n\nThe secret is shown this once. For the tokens file:\n\n{text}"
            ))?,
        }
        Ok(Exit::Done)
    }
}

fn given<T: Ord>(values: Vec<T>) -> Option<BTreeSet<T>> {
    (!values.is_empty()).then(|| values.into_iter().collect())
}

fn list(file: &Path, json: bool) -> Result<Exit, Failure> {
    let entries = file::read(file)?;
    if json {
        output::json(&json!({"items": entries}))?;
        return Ok(Exit::Done);
    }
    let mut table =
        output::table(["NAME", "SITES", "ALLOWED", "REGIONS", "PRIORITIES", "BUDGET", "ENDS"]);
    for entry in entries {
        let ends = match (entry.revoked, entry.expires) {
            (Some(at), _) => format!("revoked {at:.0}"),
            (None, Some(at)) => format!("{at:.0}"),
            (None, None) => "never".to_owned(),
        };
        let everything = match entry.everything {
            Everything::Never => None,
            Everything::Confirmed => Some("everything"),
            Everything::Unattended => Some("everything (unattended)"),
        };
        let allowed = entry.allow.iter().map(|act| act.as_str()).chain(everything);
        table.add_row([
            entry.name,
            all_or(entry.sites),
            allowed.collect::<Vec<_>>().join(", "),
            all_or(entry.regions),
            all_or(entry.priorities),
            entry.budget.map_or_else(output::dash, |budget| budget.to_string()),
            ends,
        ]);
    }
    output::show(&table)?;
    Ok(Exit::Done)
}

fn all_or<T: ToString>(some: Option<BTreeSet<T>>) -> String {
    let names = |some: BTreeSet<T>| some.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    some.map_or_else(|| "all".to_owned(), names)
}
