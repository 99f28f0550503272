//! `purgebus publishers`: who speaks, and who is gone for good.

use clap::{Args, Subcommand};
use comfy_table::Cell;
use schemas::PublisherName;
use schemas::api::{PublisherState, PublisherSummary};

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;

/// Shows who publishes; retires who is gone for good
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus publishers list
  purgebus publishers list --json | jq -r '.items[] | select(.state == \"silent\").publisher'
  purgebus publishers retire cms-2

Numbers that a silent publisher alone could send again stay missing until it is back, or retired: then caches flush.")]
pub(crate) struct Publishers {
    #[command(subcommand)]
    verb: PublishersVerb,
}

#[derive(Debug, Subcommand)]
enum PublishersVerb {
    List(List),
    Retire(Retire),
}

/// Shows every publisher: how it stands, its lines, when it was last heard
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    asking: Asking,
}

/// Says that a publisher and its journal are gone for good: what is missing on its lines is lost, and caches flush
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus publishers retire cms-2
  purgebus publishers retire cms-2 --force    # it was stopped less than 15 s ago

Ask another publisher than the one that is gone. Exits 4 where nobody of that name is known, or where it is alive.")]
struct Retire {
    /// The publisher's name
    name: PublisherName,
    /// Though it was heard within the last 15 s; if it lives, its next heartbeat brings it back
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Publishers {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            PublishersVerb::List(List { asking }) => asking.list("/v1/publishers", show).await,
            PublishersVerb::Retire(Retire { name, force, asking }) => {
                asking.retire("/v1/publishers", name, force, show).await
            }
        }
    }
}

fn show(publishers: &[PublisherSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "PUBLISHER",
        "STATE",
        "LAST HEARD",
        "PRESENT SINCE",
        "OPEN LINES",
        "NUMBERS",
    ]);
    for publisher in publishers {
        let since = publisher.retired_at.or(publisher.incarnation_since);
        let heard = publisher.heard_age_seconds.map_or_else(output::dash, output::ago);
        let open = publisher.lines.iter().filter(|line| line.open);
        table.add_row([
            name(publisher).into(),
            state(publisher.state),
            heard.into(),
            since.map_or_else(output::dash, |since| format!("{since:.0}")).into(),
            Cell::new(open.clone().count()),
            Cell::new(open.map(|line| line.last).sum::<u64>()),
        ]);
    }
    output::show(&table)
}

fn name(publisher: &PublisherSummary) -> String {
    let name = &publisher.publisher;
    if publisher.myself { format!("{name} (asked)") } else { name.to_string() }
}

fn state(state: PublisherState) -> Cell {
    match state {
        PublisherState::Live => output::mark(state.as_str(), true),
        PublisherState::Silent => output::mark(state.as_str(), false),
        PublisherState::Retired => Cell::new(state.as_str()),
    }
}
