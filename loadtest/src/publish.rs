//! `publish`: many clients of the API, against what it stands on.

mod embedded;
mod remote;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::http::Clients;
use crate::log::{Kind, Way};
use crate::measure::Round;
use crate::terms::Terms;
use crate::usage::Cpu;

/// Length of a round.
const EACH: Duration = Duration::from_secs(3);
/// Two baselines, and ours.
const KINDS: u32 = 3;

/// Invalidations a second through the API.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The broker
    #[arg(long)]
    broker: Way,
    /// Rounds of each baseline and of ours, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Clients, each with one request under way
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// URLs of each request, of which each counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    per_request: u64,
    /// In turn with ours, the same publisher without an audit trail, on the embedded log
    #[arg(long)]
    audit_cost: bool,
}

/// What clients were told.
#[derive(Debug, Default)]
struct Acknowledged {
    ids: Vec<Uuid>,
    in_journal: usize,
}

impl Publish {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        // The first warms up and does not count.
        let kinds = KINDS + u32::from(self.audit_cost);
        let each = terms.each((self.rounds + 1) * kinds, EACH);
        match self.broker {
            Way::Embedded => self.run_embedded(each).await,
            Way::Nats => self.run_remote(Kind::Nats, each).await,
            Way::Kafka => self.run_remote(Kind::Kafka, each).await,
        }
    }

    /// One round of many clients, and what they were told.
    async fn round(
        &self,
        api: SocketAddr,
        time: Duration,
    ) -> anyhow::Result<(Round, Acknowledged)> {
        let clients = Clients::connect(api, self.clients.into()).await?;
        let before = Cpu::now()?;
        let published = clients.publish_for(time, self.per_request).await?;
        let cpu = Cpu::now()?.since(&before);
        let count = published.ids.len() as u64 * self.per_request;
        let round = Round { count, took: published.took, cpu };
        let mut ids = published.ids;
        let in_journal = published.in_journal.len();
        ids.extend(published.in_journal);
        Ok((round, Acknowledged { ids, in_journal }))
    }
}

impl Acknowledged {
    fn extend(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.in_journal += other.in_journal;
    }
}
