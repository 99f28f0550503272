//! `purgebus dead-letters`: what healthy caches refused, and what becomes of it.

mod tables;

use clap::{Args, Subcommand};
use reqwest::Url;
use schemas::api::{DeadLetterPage, DeadLettersRequest};
use uuid::Uuid;

use crate::client::understand;
use crate::consent;
use crate::exit::{Exit, Failure};

use super::ANSWER_WAIT;
use super::asking::Asking;

/// Rows asked for at once.
const PAGE_ROWS: &str = "200";

/// Shows what healthy caches refused; purges it again, or gives it up
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus dead-letters list
  purgebus dead-letters list --cache varnish --text 405
  purgebus dlq show 5f1d0000-0000-4000-8000-000000000002
  purgebus dead-letters retry --all                      # once the cache is mended
  purgebus dead-letters drop --site shop --reason \"the shop is gone\" --yes

A dead letter is a selector that a cache refused though it works otherwise: what it names may be stale there until it
was purged after all, or the cache is flushed. Each is kept by its agent, over restarts, until then. What means several
is asked about first; where nobody can be asked, it takes --yes.")]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    verb: DeadLettersVerb,
}

#[derive(Debug, Subcommand)]
enum DeadLettersVerb {
    List(List),
    Show(Show),
    Retry(Retry),
    Drop(Drop),
}

/// Shows the dead letters, newest first
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    asking: Asking,
}

/// Shows one dead letter: what was refused, why, when, how often
#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: Uuid,
    #[command(flatten)]
    asking: Asking,
}

/// Orders that dead letters are purged again; what is refused once more stays one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus dead-letters retry 5f1d0000-0000-4000-8000-000000000002
  purgebus dead-letters retry --cache varnish

A letter is gone after its last later pass. An agent that is away carries the order out when it is back within 24 h.")]
struct Retry {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asking: Asking,
}

/// Orders that dead letters are given up: what the caches still hold stays there
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus dead-letters drop 5f1d0000-0000-4000-8000-000000000002 --reason \"the page is gone\"
  purgebus dead-letters drop --text \"key too long\" --reason \"no such key can be stored\"

Their invalidations then count as cancelled. A filter means the letters that are there when it is given.")]
struct Drop {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

/// Which dead letters.
#[derive(Debug, Args)]
struct Which {
    /// Their ids
    #[arg(conflicts_with = "all", required_unless_present_any = ["all", "region", "agent", "cache", "site", "text"])]
    ids: Vec<Uuid>,
    /// All there are
    #[arg(long, conflicts_with_all = ["region", "agent", "cache", "site", "text"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Do not ask before several are decided on
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct Filter {
    /// Of agents in this region
    #[arg(long)]
    region: Option<String>,
    /// Of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Of caches of this name
    #[arg(long)]
    cache: Option<String>,
    /// Of this site
    #[arg(long)]
    site: Option<String>,
    /// Whose selector or reason holds this text
    #[arg(long)]
    text: Option<String>,
}

impl DeadLetters {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            DeadLettersVerb::List(verb) => verb.run().await,
            DeadLettersVerb::Show(verb) => verb.run().await,
            DeadLettersVerb::Retry(Retry { which, asking }) => {
                which.decide("retry", None, &asking).await
            }
            DeadLettersVerb::Drop(Drop { which, reason, asking }) => {
                which.decide("drop", Some(reason), &asking).await
            }
        }
    }
}

impl List {
    async fn run(self) -> Result<Exit, Failure> {
        let whole = self.filter.list(&self.asking).await?;
        self.asking.tell(serde_json::to_value(&whole).map_err(Failure::failed)?, tables::page)
    }
}

impl Filter {
    /// All that agents tell of, newest first.
    async fn list(&self, asking: &Asking) -> Result<DeadLetterPage, Failure> {
        let client = asking.client()?;
        let mut whole = DeadLetterPage { items: Vec::new(), next_cursor: None, untold: 0 };
        loop {
            let path = self.path(whole.next_cursor.as_deref());
            let page: DeadLetterPage = understand(client.get(&path, ANSWER_WAIT).await?)?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
            whole.untold = page.untold;
            if whole.next_cursor.is_none() {
                return Ok(whole);
            }
        }
    }

    fn path(&self, cursor: Option<&str>) -> String {
        let Self { region, agent, cache, site, text } = self;
        let given = [
            ("limit", Some(PAGE_ROWS)),
            ("region", region.as_deref()),
            ("agent", agent.as_deref()),
            ("cache", cache.as_deref()),
            ("site", site.as_deref()),
            ("text", text.as_deref()),
            ("cursor", cursor),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let list = Url::parse_with_params("http://publisher/v1/dead-letters", given);
        let list = list.expect("a URL that is written down here");
        format!("{}?{}", list.path(), list.query().unwrap_or_default())
    }
}

impl Show {
    async fn run(self) -> Result<Exit, Failure> {
        let path = format!("/v1/dead-letters/{}", self.id);
        let answer = self.asking.client()?.get(&path, ANSWER_WAIT).await?;
        self.asking.tell(answer, tables::one)
    }
}

impl Which {
    async fn decide(
        self,
        what: &str,
        reason: Option<String>,
        asking: &Asking,
    ) -> Result<Exit, Failure> {
        if self.ids.is_empty() && !self.yes {
            let meant = self.filter.list(asking).await?;
            consent::ask(&tables::question(what, &meant))?;
        }
        let Self { ids, all, filter: Filter { region, agent, cache, site, text }, .. } = self;
        let request = DeadLettersRequest { ids, region, agent, cache, site, text, all, reason };
        let path = format!("/v1/dead-letters/{what}");
        asking.order(&path, &request, |ordered| tables::ordered(what, ordered)).await
    }
}
