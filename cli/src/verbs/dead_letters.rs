//! `purgebus dead-letters`: what healthy caches refused, and what becomes of it.

use std::time::Duration;

use clap::{Args, Subcommand};
use comfy_table::Cell;
use reqwest::Url;
use schemas::api::{DeadLetterPage, DeadLetterSummary, DeadLettersOrdered, DeadLettersRequest};
use schemas::{LetterState, Mode};
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use super::ANSWER_WAIT;

/// Longest wait for the order to stand on the board.
const ORDER_WAIT: Duration = Duration::from_secs(20);
/// Rows asked for at once.
const PAGE_ROWS: &str = "200";
/// So much of a selector or a reason stands in a table.
const CELL_CHARS_MAX: usize = 60;

/// Shows what healthy caches refused; purges it again, or gives it up
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus dead-letters list
  purgebus dead-letters list --cache varnish --text 405
  purgebus dlq show 5f1d0000-0000-4000-8000-000000000002
  purgebus dead-letters retry --all                      # once the cache is mended
  purgebus dead-letters drop --site shop --reason \"the shop is gone\"

A dead letter is a selector that a cache refused though it works otherwise: what it names may be stale there until it
was purged after all, or the cache is flushed. Each is kept by its agent, over restarts, until then.")]
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
    telling: Telling,
}

/// Shows one dead letter: what was refused, why, when, how often
#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: Uuid,
    #[command(flatten)]
    telling: Telling,
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
    telling: Telling,
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
    telling: Telling,
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

#[derive(Debug, Args)]
struct Telling {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl DeadLetters {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            DeadLettersVerb::List(verb) => verb.run().await,
            DeadLettersVerb::Show(verb) => verb.run().await,
            DeadLettersVerb::Retry(Retry { which, telling }) => {
                order("retry", &which.request(None), &telling).await
            }
            DeadLettersVerb::Drop(Drop { which, reason, telling }) => {
                order("drop", &which.request(Some(reason)), &telling).await
            }
        }
    }
}

impl List {
    async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(&self.telling.connection)?;
        let mut whole = DeadLetterPage { items: Vec::new(), next_cursor: None, untold: 0 };
        loop {
            let path = self.filter.path(whole.next_cursor.as_deref());
            let page: DeadLetterPage = understand(client.get(&path, ANSWER_WAIT).await?)?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
            whole.untold = page.untold;
            if whole.next_cursor.is_none() {
                break;
            }
        }
        if self.telling.json {
            output::json(&serde_json::to_value(&whole).map_err(Failure::failed)?)?;
        } else {
            table(&whole.items)?;
            if whole.untold > 0 {
                output::line(format!("and {} older ones that agents only count", whole.untold))?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Filter {
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
        let client = Client::new(&self.telling.connection)?;
        let answer = client.get(&format!("/v1/dead-letters/{}", self.id), ANSWER_WAIT).await?;
        if self.telling.json {
            output::json(&answer)?;
        } else {
            one(&understand(answer)?)?;
        }
        Ok(Exit::Done)
    }
}

impl Which {
    fn request(self, reason: Option<String>) -> DeadLettersRequest {
        let Self { ids, all, filter: Filter { region, agent, cache, site, text } } = self;
        DeadLettersRequest { ids, region, agent, cache, site, text, all, reason }
    }
}

async fn order(
    what: &str,
    request: &DeadLettersRequest,
    telling: &Telling,
) -> Result<Exit, Failure> {
    let client = Client::new(&telling.connection)?;
    let key = Uuid::new_v4().to_string();
    let (path, deadline) = (format!("/v1/dead-letters/{what}"), Instant::now() + ORDER_WAIT);
    let answer = client.post(&path, request, &key, deadline).await?;
    if telling.json {
        output::json(&answer)?;
    } else {
        ordered(what, &understand(answer)?)?;
    }
    Ok(Exit::Done)
}

fn ordered(what: &str, ordered: &DeadLettersOrdered) -> Result<(), Failure> {
    let DeadLettersOrdered { id, letters, expires_at, .. } = ordered;
    let whom = format!("for whoever is back by {expires_at:.0}");
    output::line(format!("{id}: {what} {letters} dead letters, {whom}"))?;
    let mut table = output::table(["AGENT", "CACHE", "AGENT IS"]);
    for cache in &ordered.caches {
        let state = cache.state.as_str().to_owned();
        table.add_row([cache.agent.to_string(), cache.cache.to_string(), state]);
    }
    output::show(&table)
}

fn table(letters: &[DeadLetterSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "ID",
        "REGION",
        "AGENT",
        "CACHE",
        "SITE",
        "SELECTOR",
        "STATE",
        "TRIES",
        "LAST TRIED",
        "REASON",
    ]);
    for letter in letters {
        table.add_row([
            letter.id.to_string().into(),
            letter.region.to_string().into(),
            letter.agent.to_string().into(),
            letter.cache.to_string().into(),
            letter.site.to_string().into(),
            short(&letter.selector).into(),
            state(letter.state),
            letter.tries.into(),
            format!("{:.0}", letter.last_tried).into(),
            Cell::new(short(&letter.reason)),
        ]);
    }
    output::show(&table)
}

fn one(letter: &DeadLetterSummary) -> Result<(), Failure> {
    let mut table = output::table(["DEAD LETTER", &letter.id.to_string()]);
    let cache = format!("{} of {} in {}", letter.cache, letter.agent, letter.region);
    let asked = format!(
        "{} invalidations, the latest number {} of line {}",
        letter.invalidations, letter.number, letter.line
    );
    for (name, value) in [
        ("cache", cache),
        ("lane", letter.priority.as_str().to_owned()),
        ("site", letter.site.to_string()),
        ("selector", letter.selector.clone()),
        ("mode", mode(letter.mode).to_owned()),
        ("state", letter.state.as_str().to_owned()),
        ("reason", letter.reason.clone()),
        ("first seen", format!("{:.0}", letter.first_seen)),
        ("last tried", format!("{:.0}", letter.last_tried)),
        ("tries", letter.tries.to_string()),
        ("asked for by", asked),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    output::show(&table)
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Hard => "hard",
        Mode::Soft => "soft",
    }
}

fn state(state: LetterState) -> Cell {
    output::mark(state.as_str(), state != LetterState::Refused)
}

/// A text that a table has room for; `show` has all of it.
fn short(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
