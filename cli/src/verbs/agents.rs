//! `purgebus agents`: who is registered, and who is gone for good.

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color};
use schemas::AgentName;
use schemas::api::{AgentState, AgentSummary};

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;

/// Shows who is registered; retires who is gone for good
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus agents list
  purgebus agents list --json | jq -r '.items[] | select(.state == \"gone\").agent'
  purgebus agents retire edge-7

A gone agent still owes what was published before someone retires it: its caches may come back.")]
pub(crate) struct Agents {
    #[command(subcommand)]
    verb: AgentsVerb,
}

#[derive(Debug, Subcommand)]
enum AgentsVerb {
    List(List),
    Retire(Retire),
}

/// Shows every agent: how it stands, its caches, its last report, its clock
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    asking: Asking,
}

/// Says that an agent is gone for good: nothing is owed by it until it reports again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus agents retire edge-7
  purgebus agents retire edge-7 --force    # it was stopped less than 15 s ago

Exits 4 where nobody of that name is known, or where it is alive.")]
struct Retire {
    /// The agent's name
    name: AgentName,
    /// Though it was heard within the last 15 s; if it lives, its next report brings it back
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Agents {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            AgentsVerb::List(List { asking }) => asking.list("/v1/agents", show).await,
            AgentsVerb::Retire(Retire { name, force, asking }) => {
                asking.retire("/v1/agents", name, force, show).await
            }
        }
    }
}

fn show(agents: &[AgentSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "REGION",
        "AGENT",
        "STATE",
        "SINCE",
        "CACHES",
        "LAST REPORT",
        "CLOCK",
        "INSTANCES",
    ]);
    for agent in agents {
        let region = agent.region.as_ref().map_or_else(output::dash, ToString::to_string);
        let since = agent.since.map_or_else(output::dash, |since| format!("{since:.0}"));
        let report = agent.report_age_seconds.map_or_else(output::dash, output::ago);
        table.add_row([
            region.into(),
            agent.agent.to_string().into(),
            state(agent.state),
            since.into(),
            caches(agent).into(),
            report.into(),
            clock(agent).into(),
            Cell::new(agent.instances.len()),
        ]);
    }
    output::show(&table)
}

fn state(state: AgentState) -> Cell {
    match state {
        AgentState::Live | AgentState::Returned => output::mark(state.as_str(), true),
        AgentState::Doubled | AgentState::Gone => output::mark(state.as_str(), false),
        AgentState::Announced => Cell::new(state.as_str()).fg(Color::Yellow),
        AgentState::Retired => Cell::new(state.as_str()),
    }
}

/// Its caches; one that has not caught up is marked.
fn caches(agent: &AgentSummary) -> String {
    let named = agent.caches.iter().map(|cache| {
        let readiness = if cache.ready { "" } else { " (not ready)" };
        format!("{}{readiness}", cache.cache)
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { output::dash() } else { named.join(", ") }
}

fn clock(agent: &AgentSummary) -> String {
    agent.clock.map_or_else(output::dash, |clock| {
        let (offset, bound) = (clock.offset_seconds * 1_000.0, clock.bound_seconds * 1_000.0);
        format!("{offset:+.1} ms ± {bound:.1}")
    })
}
