//! `purgebus tail`: what happens on the bus, as it happens.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use schemas::api::{BlockedEvent, CacheEvent, Event, ReachedEvent};
use schemas::{Priority, Region, SiteName};
use tokio::time::sleep;
use uuid::Uuid;

use crate::client::{Client, Messages, Unanswered};
use crate::connection::Connection;
use crate::exit::{Exit, Failure, tell};
use crate::output;

/// Pauses between tries double from the first to the last, with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Follows what happens: invalidations published, applied, final or blocked; caches flushed, up or down
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus tail
  purgebus tail --site main --region eu-west
  purgebus tail --json | jq -c 'select(.event == \"blocked\")'

Goes on after a broken connection, with what happened meanwhile, until it is interrupted. A line says
\"lagged\" where something is not told any more.")]
pub(crate) struct Tail {
    /// No invalidations of other sites
    #[arg(long)]
    site: Option<SiteName>,
    /// Nothing that is for other regions only
    #[arg(long)]
    region: Option<Region>,
    /// JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Tail {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        tokio::select! {
            ended = self.follow(&client) => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(Exit::Done)
            }
        }
    }

    async fn follow(&self, client: &Client) -> Result<Exit, Failure> {
        let path = self.path();
        let mut last = None;
        let mut messages = client.listen(&path, None).await?;
        loop {
            self.show(&mut messages, &mut last).await?;
            tell("the connection is lost; trying again");
            messages = again(client, &path, last.as_deref()).await?;
            tell("listening again");
        }
    }

    fn path(&self) -> String {
        let site = self.site.iter().map(|site| format!("site={site}"));
        let region = self.region.iter().map(|region| format!("region={region}"));
        let query: Vec<String> = site.chain(region).collect();
        format!("/v1/events?{}", query.join("&"))
    }

    /// Shows what comes on one connection, and notes where it ended.
    async fn show(
        &self,
        messages: &mut Messages,
        last: &mut Option<String>,
    ) -> Result<(), Failure> {
        while let Some(message) = messages.next().await? {
            match serde_json::from_str(&message.data) {
                _ if message.data.is_empty() => {}
                Ok(event) if !self.json => output::line(in_words(&event))?,
                // What a newer publisher says is shown as it came.
                Ok(_) | Err(_) => output::line(&message.data)?,
            }
            *last = message.id.or(last.take());
        }
        Ok(())
    }
}

/// Connects again, as long as that takes.
async fn again(client: &Client, path: &str, last: Option<&str>) -> Result<Messages, Failure> {
    let mut ceiling = FIRST_PAUSE;
    loop {
        sleep(ceiling.mul_f64(fastrand::f64())).await;
        match client.listen(path, last).await {
            Ok(messages) => return Ok(messages),
            Err(error @ (Unanswered::Refused(_) | Unanswered::Strange(_))) => {
                return Err(error.into());
            }
            Err(error) => tracing::debug!(%error, "trying again"),
        }
        ceiling = LAST_PAUSE.min(ceiling * 2);
    }
}

fn in_words(event: &Event) -> String {
    let word = event.word();
    match event {
        Event::Published(event) => {
            let regions = event.regions.as_deref();
            of_invalidation(event.at, word, &event.site, event.id, event.priority, &named(regions))
        }
        Event::Applied(event) | Event::Final(event) => reached(word, event),
        Event::Blocked(event) => blocked(word, event),
        Event::Flush(event) => {
            let more = format!("{} ({} numbers)", event.priority, event.numbers);
            of_cache(
                event.at,
                word,
                &event.region,
                &[event.agent.as_str(), event.cache.as_str()],
                &more,
            )
        }
        Event::CacheUp(event) | Event::CacheDown(event) => up_or_down(word, event),
        Event::Lagged(event) => match event.missed {
            Some(missed) => format!("{word}: {missed} events are not told any more"),
            None => format!(
                "{word}: the publisher was started anew, or is another; something may not be told"
            ),
        },
    }
}

fn reached(word: &str, event: &ReachedEvent) -> String {
    let after = format!("after {}", output::milliseconds(event.after_ms));
    of_invalidation(event.at, word, &event.site, event.id, event.priority, &after)
}

fn blocked(word: &str, event: &BlockedEvent) -> String {
    let missing = event.missing.iter().map(|missing| {
        format!("{}/{}/{}: {}", missing.region, missing.agent, missing.cache, missing.reason)
    });
    let missing = missing.collect::<Vec<_>>().join("; ");
    of_invalidation(event.at, word, &event.site, event.id, event.priority, &missing)
}

fn up_or_down(word: &str, event: &CacheEvent) -> String {
    let reason = event.reason.as_deref().unwrap_or_default();
    of_cache(event.at, word, &event.region, &[event.agent.as_str(), event.cache.as_str()], reason)
}

fn of_invalidation(
    at: Timestamp,
    word: &str,
    site: &SiteName,
    id: Uuid,
    priority: Priority,
    more: &str,
) -> String {
    format!("{}  {word:<10}  {site}  {id}  {priority}  {more}", clock(at)).trim_end().to_owned()
}

fn of_cache(at: Timestamp, word: &str, region: &Region, cache: &[&str], more: &str) -> String {
    format!("{}  {word:<10}  {region}  {}  {more}", clock(at), cache.join("/"))
        .trim_end()
        .to_owned()
}

fn named(regions: Option<&[Region]>) -> String {
    let Some(regions) = regions else { return "all regions".to_owned() };
    regions.iter().map(Region::as_str).collect::<Vec<_>>().join(",")
}

fn clock(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
}
