//! `purgebus status`: how far one invalidation has come, or how the whole bus does.

use clap::Args;
use schemas::api::{Page, Progress, ProgressState};
use serde_json::json;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use super::{ANSWER_WAIT, caches, pause, progress, regions};

/// Shows how far one invalidation has come, or how the whole bus does
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus status
  purgebus status 0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55
  purgebus status --json $ID | jq -r .state

With an ID, exits 1 where the invalidation is blocked.")]
pub(crate) struct Status {
    /// The invalidation's id, as `purge` printed it; left out: the whole bus
    id: Option<Uuid>,
    /// One JSON document instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Status {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        match self.id {
            Some(id) => self.one(&client, id).await,
            None => self.all(&client).await,
        }
    }

    async fn one(&self, client: &Client, id: Uuid) -> Result<Exit, Failure> {
        let answer = client.get(&format!("/v1/invalidations/{id}"), ANSWER_WAIT).await?;
        let progress: Progress = understand(answer.clone())?;
        if self.json {
            output::json(&answer)?;
        } else {
            progress::show(&progress)?;
        }
        Ok(if progress.state == ProgressState::Blocked { Exit::Failed } else { Exit::Done })
    }

    async fn all(&self, client: &Client) -> Result<Exit, Failure> {
        let (regions, caches, pauses) = tokio::try_join!(
            client.get("/v1/regions", ANSWER_WAIT),
            client.get("/v1/caches", ANSWER_WAIT),
            client.get("/v1/pauses", ANSWER_WAIT)
        )?;
        if self.json {
            output::json(&json!({
                "regions": regions["items"], "caches": caches["items"], "pauses": pauses["items"],
            }))?;
        } else {
            let pauses = understand::<Page<_>>(pauses)?.items;
            if !pauses.is_empty() {
                pause::show(&pauses)?;
                output::line("")?;
            }
            regions::show(&understand::<Page<_>>(regions)?.items)?;
            output::line("")?;
            caches::show(&understand::<Page<_>>(caches)?.items)?;
        }
        Ok(Exit::Done)
    }
}
