//! `purgebus cancel`: caches leave what they have not begun.

use clap::Args;
use schemas::api::Cancelled;
use serde_json::json;
use uuid::Uuid;

use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;
use super::progress;

/// Cancels an invalidation: caches that have not begun it leave it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus cancel 0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55
  purgebus pause --cache varnish && purgebus cancel $ID && purgebus resume --cache varnish

A cache that has begun it, or purged it already, cannot take that back. One that is away leaves it when it is back within
24 h. Caches that leave it count as applied, and are named as `cancelled` in `purgebus status ID`.")]
pub(crate) struct Cancel {
    /// The invalidation's id, as `purge` printed it
    id: Uuid,
    #[command(flatten)]
    asking: Asking,
}

impl Cancel {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let path = format!("/v1/invalidations/{}/cancel", self.id);
        self.asking.order(&path, &json!({}), show).await
    }
}

fn show(cancelled: &Cancelled) -> Result<(), Failure> {
    let Cancelled { ordered, expires_at, progress } = cancelled;
    let until =
        expires_at.map(|at| format!(", for whoever is back by {at:.0}")).unwrap_or_default();
    output::line(if *ordered {
        format!("{}: cancelled where it is not begun{until}", progress.facts.id)
    } else {
        format!("{}: every cache has settled it; nothing is left to cancel", progress.facts.id)
    })?;
    progress::show(progress)
}
