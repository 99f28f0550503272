//! `purgebus resume`: ends pauses before their time.

use clap::{ArgGroup, Args};
use schemas::api::{Page, PauseSummary};
use schemas::{AgentName, CacheName, Region, SiteName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::understand;
use crate::exit::{Exit, Failure};

use super::asking::Asking;
use super::pause::What;
use super::{ANSWER_WAIT, RETIRE_WAIT, pause};

/// Ends pauses: what has waited is purged
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("one").required(true).args(["ids", "site", "agent", "cache", "token"]))]
#[command(after_help = "\
Examples:
  purgebus resume --cache varnish --region eu-west
  purgebus resume 0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55     # as `purgebus pause` and `purgebus status` print it

Ends every pause of exactly that site, agent, cache or token. Exits 1 where none is in force.")]
pub(crate) struct Resume {
    /// The pauses' ids
    ids: Vec<Uuid>,
    #[command(flatten)]
    what: Option<What>,
    #[command(flatten)]
    asking: Asking,
}

impl Resume {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let Self { ids, what, asking } = self;
        let client = asking.client()?;
        let answer = client.get("/v1/pauses", ANSWER_WAIT).await?;
        let page: Page<PauseSummary> = understand(answer)?;
        let meant = |pause: &PauseSummary| {
            ids.contains(&pause.id) || what.as_ref().is_some_and(|what| is_of(what, pause))
        };
        let meant: Vec<Uuid> = page.items.iter().filter(|it| meant(it)).map(|it| it.id).collect();
        if meant.is_empty() || ids.iter().any(|id| !meant.contains(id)) {
            let missing = "no such pause is in force; `purgebus status` shows those that are";
            return Err(Failure::message(Exit::Failed, missing));
        }
        let mut resumed: Vec<Value> = Vec::new();
        for id in meant {
            resumed.push(client.delete(&format!("/v1/pauses/{id}"), RETIRE_WAIT).await?);
        }
        asking.tell(json!({ "items": resumed, "next_cursor": null }), |page: &Page<_>| {
            pause::show(&page.items)
        })
    }
}

fn is_of(what: &What, pause: &PauseSummary) -> bool {
    let same = |wanted: &Option<String>, name: Option<&str>| wanted.as_deref() == name;
    same(&what.site, pause.site.as_ref().map(SiteName::as_str))
        && same(&what.agent, pause.agent.as_ref().map(AgentName::as_str))
        && same(&what.cache, pause.cache.as_ref().map(CacheName::as_str))
        && same(&what.region, pause.region.as_ref().map(Region::as_str))
        && same(&what.token, pause.token.as_deref())
}
