//! `purgebus replay`: publishes again what the log holds.

mod follow;
mod tables;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use schemas::api::{Replay as Replaying, ReplayDryRun, ReplayFilter, ReplayRequest};
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::exit::{Exit, Failure, tell};

use super::asking::Asking;
use follow::follow;

/// Longest wait for a dry run, which reads the log, and for anything else.
const DRY_RUN_WAIT: Duration = Duration::from_secs(90);
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// More are not published again without a yes.
const UNASKED_MAX: u64 = 1_000;

/// Publishes again what the log holds, for those who were away or whom you doubt
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus replay --since 2h --region eu-west --dry-run
  purgebus replay --since 2026-11-21T10:00:00Z --until 2026-11-21T11:00:00Z --missed-by eu-west
  purgebus replay --since 1d --site shop --tag article-7 --rate 50
  purgebus replay --since 15m --agent edge-1 --cache varnish --yes --detach
  purgebus replay --resume 01934d2e-5b00-7abc-8def-0123456789ab

The publisher does it, at --rate, on the normal path: what is published now does not wait behind it. It goes on
when this command, or the publisher, ends. Ctrl-C cancels it, and --resume goes on where it stopped. More than
1,000 are asked about first.")]
pub(crate) struct Replay {
    #[command(flatten)]
    which: Which,
    /// Publish nothing; count, and show the first
    #[arg(long)]
    dry_run: bool,
    /// At most so many a second [default: 200]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Do not wait for its end
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Go on with one that was cancelled or failed, or watch one that runs
    #[arg(long, value_name = "ID", conflicts_with_all = ["Which", "dry_run", "rate", "cancel"])]
    resume: Option<Uuid>,
    /// Stop one that runs
    #[arg(long, value_name = "ID", conflicts_with_all = ["Which", "dry_run", "rate", "detach"])]
    cancel: Option<Uuid>,
    #[command(flatten)]
    asking: Asking,
}

/// Of what the log holds.
#[derive(Debug, Args)]
struct Which {
    /// What was accepted then or later: RFC 3339, or 15m for so long ago
    #[arg(long, value_name = "T", required_unless_present_any = ["resume", "cancel"])]
    since: Option<String>,
    /// What was accepted then or earlier; until now if left out
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Of this site
    #[arg(long)]
    site: Option<String>,
    /// That names this tag
    #[arg(long)]
    tag: Option<String>,
    /// That names a URL or a prefix below this one
    #[arg(long, value_name = "P")]
    url_prefix: Option<String>,
    /// For this region only
    #[arg(long)]
    region: Option<String>,
    /// For this agent only
    #[arg(long)]
    agent: Option<String>,
    /// For caches of this name only
    #[arg(long)]
    cache: Option<String>,
    /// That an agent of this region owes and has neither purged, covered nor flushed
    #[arg(long, value_name = "REGION")]
    missed_by: Option<String>,
    /// With --missed-by: also what it settled later than this
    #[arg(long, value_name = "D", requires = "missed_by")]
    include_late: Option<String>,
}

impl Replay {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = self.asking.client()?;
        if let Some(id) = self.cancel {
            let answer = client.delete(&format!("/v1/replays/{id}"), ANSWER_WAIT).await?;
            return self.asking.tell(answer, tables::replay);
        }
        if let Some(id) = self.resume {
            let path = format!("/v1/replays/{id}/resume");
            let answer = client.post(&path, &(), &new_key(), deadline(ANSWER_WAIT)).await?;
            let replaying: Replaying = understand(answer.clone())?;
            if self.detach {
                return self.asking.tell(answer, tables::replay);
            }
            return follow(&client, &self.asking, replaying.id, None).await;
        }
        let shown = self.look(&client).await?;
        if self.dry_run || shown.counts.matched == 0 {
            return self.show(&shown);
        }
        self.ask(&shown)?;
        let request = again(shown.filter, shown.rate);
        let key = new_key();
        let answer = client.post("/v1/replays", &request, &key, deadline(ANSWER_WAIT)).await?;
        if self.detach {
            return self.asking.tell(answer, tables::replay);
        }
        let replaying: Replaying = understand(answer)?;
        let expected = shown.complete.then_some(shown.counts.matched);
        follow(&client, &self.asking, replaying.id, expected).await
    }

    async fn look(&self, client: &Client) -> Result<ReplayDryRun, Failure> {
        let path = "/v1/replays?dry_run=true";
        let request = self.which.request(self.rate);
        let answer = client.post(path, &request, &new_key(), deadline(DRY_RUN_WAIT)).await?;
        Ok(understand(answer)?)
    }

    fn show(&self, shown: &ReplayDryRun) -> Result<Exit, Failure> {
        let answer = serde_json::to_value(shown).map_err(Failure::failed)?;
        self.asking.tell(answer, tables::dry_run)
    }

    /// Whether so many are meant.
    fn ask(&self, shown: &ReplayDryRun) -> Result<(), Failure> {
        let matched = shown.counts.matched;
        let at_least = if shown.complete { "" } else { "at least " };
        if self.yes || (matched <= UNASKED_MAX && shown.complete) {
            return Ok(());
        }
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            let message = format!(
                "there are {at_least}{matched} to publish again; give --yes, or look with --dry-run"
            );
            return Err(Failure::message(Exit::WrongUsage, message));
        }
        let mut stderr = anstream::stderr();
        write!(stderr, "Publish {at_least}{matched} invalidations again? [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::message(Exit::Failed, "nothing was published"))
    }
}

impl Which {
    fn request(&self, rate: Option<u32>) -> ReplayRequest {
        ReplayRequest {
            since: self.since.clone().unwrap_or_default(),
            until: self.until.clone(),
            site: self.site.clone(),
            tag: self.tag.clone(),
            url_prefix: self.url_prefix.clone(),
            region: self.region.clone(),
            agent: self.agent.clone(),
            cache: self.cache.clone(),
            missed_by: self.missed_by.clone(),
            include_late: self.include_late.clone(),
            rate,
        }
    }
}

/// Just what was looked at: between looking and doing, `15m ago` would move on.
fn again(filter: ReplayFilter, rate: u32) -> ReplayRequest {
    let missed_by = filter.region.as_ref().filter(|_| filter.missed).map(ToString::to_string);
    ReplayRequest {
        since: filter.since.to_string(),
        until: Some(filter.until.to_string()),
        site: filter.site.map(String::from),
        tag: filter.tag.map(String::from),
        url_prefix: filter.url_prefix,
        region: filter.region.map(String::from),
        agent: filter.agent.map(String::from),
        cache: filter.cache.map(String::from),
        missed_by,
        include_late: filter.late_ms.map(|late| format!("{late}ms")),
        rate: Some(rate),
    }
}

fn new_key() -> String {
    Uuid::new_v4().to_string()
}

fn deadline(wait: Duration) -> Instant {
    Instant::now() + wait
}

/// How to go on with it.
fn how_to_resume(id: Uuid) {
    tell(format_args!("go on with: purgebus replay --resume {id}"));
}
