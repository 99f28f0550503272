//! `purgebus pause`: lets purges, or a publisher's caller, wait for a while.

use clap::{ArgGroup, Args};
use schemas::api::{PauseRequest, PauseSummary};

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;

/// Holds up all purges of a site, an agent or a cache, or all that a token publishes, for an hour at most
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("one").required(true).args(["site", "agent", "cache", "token"]))]
#[command(after_help = "\
Examples:
  purgebus pause --token nightly-import --until 15m   # its requests are answered with 429
  purgebus pause --cache varnish --region eu-west --reason \"Varnish is being replaced\"
  purgebus pause --site shop --until 2026-11-21T18:00:00Z
  purgebus pause --agent edge-1 && purgebus status    # status shows what is paused
  purgebus resume --agent edge-1

Nothing is lost: what is published of a paused site, or waits for a paused cache, is purged afterwards. What is on its way
to a cache ends. A pause ends by itself, whoever is gone by then.")]
pub(crate) struct Pause {
    #[command(flatten)]
    what: What,
    /// Until when, such as 2026-11-21T18:00:00Z, or for how long, such as 15m; an hour at most
    #[arg(long, default_value = "1h")]
    until: String,
    /// Why, for those who find it paused
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// What is paused.
#[derive(Debug, Args)]
pub(super) struct What {
    /// All purges of this site
    #[arg(long)]
    pub(super) site: Option<String>,
    /// All purges of this agent's caches
    #[arg(long)]
    pub(super) agent: Option<String>,
    /// All purges of caches of this name
    #[arg(long)]
    pub(super) cache: Option<String>,
    /// With --cache: only there
    #[arg(long, requires = "cache")]
    pub(super) region: Option<String>,
    /// All that the bearer of this token publishes
    #[arg(long)]
    pub(super) token: Option<String>,
}

impl Pause {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let Self { what, until, reason, asking } = self;
        let What { site, agent, cache, region, token } = what;
        let until = Some(until);
        let request = PauseRequest { site, agent, cache, region, token, until, reason };
        asking
            .order("/v1/pauses", &request, |pause: &PauseSummary| show(std::slice::from_ref(pause)))
            .await
    }
}

/// A table of pauses, with the caches that have not said that they obey.
pub(super) fn show(pauses: &[PauseSummary]) -> Result<(), Failure> {
    let mut table =
        output::table(["PAUSE", "WHAT", "UNTIL", "BY", "REASON", "CACHES", "NOT YET OBEYED BY"]);
    for pause in pauses {
        let waits = pause.caches.iter().filter(|cache| !cache.obeys);
        let waits: Vec<String> =
            waits.map(|cache| format!("{}/{}", cache.agent, cache.cache)).collect();
        table.add_row([
            pause.id.to_string(),
            what(pause),
            format!("{:.0}", pause.until),
            pause.by.clone(),
            pause.reason.clone().unwrap_or_else(output::dash),
            pause.caches.len().to_string(),
            if waits.is_empty() { output::dash() } else { waits.join(", ") },
        ]);
    }
    output::show(&table)
}

fn what(pause: &PauseSummary) -> String {
    let PauseSummary { site, agent, cache, region, token, .. } = pause;
    let place = region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let site = site.as_ref().map(|site| format!("site {site}"));
    let agent = agent.as_ref().map(|agent| format!("agent {agent}"));
    let cache = cache.as_ref().map(|cache| format!("cache {cache}{place}"));
    let token = token.as_ref().map(|token| format!("token {token}"));
    site.or(agent).or(cache).or(token).unwrap_or_else(output::dash)
}
