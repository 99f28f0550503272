//! `purgebus purge`: publishes an invalidation and, where asked, waits until every region has obeyed.

mod follow;
mod selection;

use std::time::Duration;

use clap::{Args, ValueEnum};
use humantime_serde::re::humantime;
use schemas::api::{Accepted, Durable, InvalidationRequest};
use schemas::{Mode, Priority, Region};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use self::follow::Followed;
use self::selection::Selectors;
use super::dry_run;

/// Longest wait for an answer, or until applied.
const APPLIED_WAIT: Duration = Duration::from_secs(10);
/// The longest later pass of any driver, and 30 s for it.
const FINAL_WAIT: Duration = Duration::from_secs(65 + 30);

/// Publishes an invalidation: these URLs, prefixes, tags or keys are stale everywhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus purge https://www.example.com/a
  purgebus purge --prefix https://www.example.com/blog/ --soft
  purgebus purge --tag article-7 --key user:42 --wait applied
  purgebus purge --everything --confirm main --wait final
  git diff --name-only | sed 's|^|https://www.example.com/|' | purgebus purge --from-file -

--from-file takes one selector a line: `url U`, `prefix P`, `tag T` or `key K`; a line that begins
with http:// or https:// is a url; empty lines and lines that begin with # are skipped. What is too
large for one request is published in several, each with an id of its own.

Repeats until --timeout where there is no answer, a 429 or a 5xx; the publisher knows the repetition
and publishes it once.")]
pub(crate) struct Purge {
    #[command(flatten)]
    selectors: Selectors,
    #[command(flatten)]
    manner: Manner,
    /// Wait until every cache that owes it has purged it, or until the last pass is done too
    #[arg(long, value_name = "GOAL")]
    wait: Option<Goal>,
    /// Longest wait in all [default: 10s; with --wait final 95s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Publish nothing; show what each cache would be sent
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// One JSON document for each request instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Whose content, how, where and why.
#[derive(Debug, Args)]
struct Manner {
    /// Whose content; left out where the hosts or the token tell
    #[arg(long)]
    site: Option<String>,
    /// Mark stale rather than remove
    #[arg(long)]
    soft: bool,
    /// Before everything that is not critical
    #[arg(long)]
    critical: bool,
    /// Only in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Why, for the people who read the log later
    #[arg(long)]
    reason: Option<String>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// Every cache that owes it has purged it
    Applied,
    /// The last pass is done too: no stale refill survives
    Final,
}

impl Purge {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        let frame = self.manner.frame();
        let requests = self.selectors.requests(&frame)?;
        let deadline = Instant::now() + self.timeout();
        if self.dry_run {
            return self.rehearse(&client, &requests, deadline).await;
        }
        let mut accepted = Vec::new();
        tokio::select! {
            ended = self.publish_and_follow(&client, &requests, &mut accepted, deadline) => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Err(interruption(&accepted, requests.len()))
            }
        }
    }

    fn timeout(&self) -> Duration {
        let default = if self.wait == Some(Goal::Final) { FINAL_WAIT } else { APPLIED_WAIT };
        self.timeout.unwrap_or(default)
    }

    async fn rehearse(
        &self,
        client: &Client,
        requests: &[InvalidationRequest],
        deadline: Instant,
    ) -> Result<Exit, Failure> {
        for request in requests {
            let key = Uuid::new_v4().to_string();
            let path = "/v1/invalidations?dry_run=true";
            let answer = client.post(path, request, &key, deadline).await?;
            if self.json {
                output::json(&answer)?;
            } else {
                dry_run::show(&understand(answer)?)?;
            }
        }
        Ok(Exit::Done)
    }

    async fn publish_and_follow(
        &self,
        client: &Client,
        requests: &[InvalidationRequest],
        accepted: &mut Vec<Accepted>,
        deadline: Instant,
    ) -> Result<Exit, Failure> {
        for request in requests {
            let key = Uuid::new_v4().to_string();
            let answer = client.post("/v1/invalidations", request, &key, deadline).await?;
            accepted.push(understand(answer.clone())?);
            self.show_accepted(&answer, accepted.last())?;
        }
        let Some(goal) = self.wait else { return Ok(Exit::Done) };
        let followed = follow::follow(client, accepted, goal, deadline).await?;
        followed.iter().try_for_each(|followed| self.show_followed(followed))?;
        Ok(follow::exit(&followed, goal))
    }

    fn show_accepted(&self, answer: &Value, accepted: Option<&Accepted>) -> Result<(), Failure> {
        match accepted {
            // With --wait the progress is the document.
            _ if self.json && self.wait.is_some() => Ok(()),
            _ if self.json => output::json(answer),
            Some(accepted) => output::line(sentence(accepted)),
            None => Ok(()),
        }
    }

    fn show_followed(&self, followed: &Followed) -> Result<(), Failure> {
        if self.json {
            output::json(&followed.answer)
        } else {
            super::progress::show(&followed.progress)
        }
    }
}

impl Manner {
    /// A request without its selectors.
    fn frame(&self) -> InvalidationRequest {
        InvalidationRequest {
            site: self.site.clone(),
            mode: if self.soft { Mode::Soft } else { Mode::Hard },
            priority: if self.critical { Priority::Critical } else { Priority::Normal },
            regions: (!self.region.is_empty()).then(|| self.region.clone()),
            reason: self.reason.clone(),
            ..InvalidationRequest::default()
        }
    }
}

fn sentence(accepted: &Accepted) -> String {
    let Accepted { id, durable, site, selectors, regions, .. } = accepted;
    let regions: Vec<_> = regions.iter().map(Region::as_str).collect();
    let regions = if regions.is_empty() { "no region yet".to_owned() } else { regions.join(", ") };
    let durable = match durable {
        Durable::Broker => "",
        Durable::Journal => "; on the publisher's disk only, until the broker is back",
    };
    let plural = if *selectors == 1 { "" } else { "s" };
    format!("{id}: {selectors} selector{plural} of {site} for {regions}{durable}")
}

fn interruption(accepted: &[Accepted], requests: usize) -> Failure {
    if accepted.is_empty() {
        let message = "interrupted before the publisher answered; it may have been published";
        return Failure::message(Exit::Repeat, message);
    }
    let ids: Vec<_> = accepted.iter().map(|accepted| accepted.id.to_string()).collect();
    let message = format!(
        "interrupted; {} of {requests} published, see: purgebus status {}",
        accepted.len(),
        ids.join(" ")
    );
    Failure::message(Exit::NotReached, message)
}
