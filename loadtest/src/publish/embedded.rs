//! A publisher on an embedded log, against HTTP with one write to the same kind of store, and against HTTP alone.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Acknowledged, Publish};
use crate::child::{Child, Trade};
use crate::measure::{Rounds, ratio};

impl Publish {
    pub(super) async fn run_embedded(&self, each: Duration) -> anyhow::Result<Value> {
        let store = Child::start(Trade::BareStore).await?;
        let http = Child::start(Trade::BareHttp).await?;
        let publisher = Child::start(Trade::Publisher).await?;
        let unaudited =
            if self.audit_cost { Some(Child::start(Trade::Unaudited).await?) } else { None };
        let (mut ours, mut stored, mut bare, mut silent) =
            (Rounds::default(), Rounds::default(), Rounds::default(), Rounds::default());
        let mut acknowledged = Acknowledged::default();
        // The first warms up and does not count.
        for round in 0..=self.rounds {
            let (theirs, _) = self.round(store.address(), each).await?;
            let (alone, _) = self.round(http.address(), each).await?;
            let (own, told) = self.round(publisher.address(), each).await?;
            acknowledged.extend(told);
            if let Some(unaudited) = &unaudited {
                let (without, _) = self.round(unaudited.address(), each).await?;
                if round > 0 {
                    silent.push(without);
                }
            }
            if round > 0 {
                stored.push(theirs);
                bare.push(alone);
                ours.push(own);
            }
        }
        let mut on_log: HashMap<Uuid, usize> = HashMap::new();
        for invalidation in publisher.published().await? {
            *on_log.entry(invalidation.id).or_default() += 1;
        }
        let lost = acknowledged.ids.iter().filter(|id| on_log.get(*id) != Some(&1)).count();
        let mut document = json!({
            "scenario": "publish",
            "broker": "embedded",
            "ours": ours.document()?,
            "baseline": stored.document()?,
            "ratio": ratio(ours.median()?, stored.median()?),
            "baseline_http": bare.document()?,
            "ratio_http": ratio(ours.median()?, bare.median()?),
            "lost": lost,
            "stale_after_final": 0,
            "acknowledged": acknowledged.ids.len(),
            "on_log": on_log.len(),
            "clients": self.clients,
            "per_request": self.per_request,
            "notes": [
                "closed loop: each client sends its next request after the last answer, with per_request URLs, of which each counts",
                "ours: the publisher of `serve` without the agent beside it, numbering and appending in one commit",
                "baseline: the same clients at a server that stores the same body in redb before its answer, with the same durability and quick repair, all bodies that wait in one commit",
                "baseline_http: the same clients at a server that reads the same body and sends a fixed answer of the same size",
                "lost: acknowledged ids that the log does not hold exactly once, read after the process has ended",
                "there is no cache in this run, so nothing could be stale",
            ],
        });
        if unaudited.is_some() {
            document["unaudited"] = silent.document()?;
            document["ratio_unaudited"] = json!(ratio(ours.median()?, silent.median()?));
        }
        Ok(document)
    }
}
