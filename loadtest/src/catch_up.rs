//! `catch-up`: how fast an agent works off a backlog in which most records name what others name too, against how fast
//! it follows records that each name another page.

use ::tests::record;
use clap::Args;
use schemas::{Number, Selector};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::log::Kind;
use crate::measure::{Round, Rounds, ratio};
use crate::pages::{Pages, Verdict};
use crate::terms::Terms;
use crate::usage::Cpu;
use crate::watched::Watched;

/// Invalidations in each frame.
const FRAMED: u64 = 100;
/// Repetitions of a page lie within so many records, in the nearer of the two backlogs.
const NEAR: u64 = 1_000;
/// Pages in the cache before a part of a round, over which the oracle watches.
const WATCHED: u64 = 200;
/// A prime: steps of it visit each of fewer pages in turn, in no order that a batch could profit from.
const STEP: u64 = 2_147_483_647;

/// Speed of catching up.
#[derive(Debug, Args)]
pub(crate) struct CatchUp {
    /// The broker
    #[arg(long, default_value = "nats")]
    broker: Kind,
    /// Records of the backlog
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    count: u64,
    /// Percent of the records that name another page than those before
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    distinct: u64,
    /// Rounds: live, a backlog whose repetitions lie near, one whose repetitions lie anywhere
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Before a Varnish without our VCL, which takes a request for each page: then what is not purged saves most
    #[arg(long)]
    plain: bool,
}

/// Which page each record names.
#[derive(Debug, Clone, Copy)]
struct Naming {
    /// Numbers of pages begin here.
    base: u64,
    /// The first record.
    first: Number,
    /// Records among which pages repeat.
    within: u64,
    /// Pages that these name.
    pages: u64,
}

/// The agent and its cache.
struct Bench {
    pages: Pages,
    agent: Watched,
    /// The number of a page that nobody has named yet.
    next: u64,
    found: Verdict,
}

impl CatchUp {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let mut bench = Bench::start(self, terms).await?;
        let (mut live, mut near, mut anywhere) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        let began = Instant::now();
        for round in 0..self.rounds {
            if round > 0 && terms.are_over(began) {
                break;
            }
            live.push(bench.live(self.count * self.distinct / 100).await?);
            near.push(bench.backlog(self.count, NEAR, self.distinct).await?);
            anywhere.push(bench.backlog(self.count, self.count, self.distinct).await?);
        }
        let mut ours = near.document()?;
        ours["anywhere"] = anywhere.document()?;
        Ok(json!({
            "scenario": "catch-up",
            "broker": self.broker.name(),
            "records": self.count,
            "distinct_percent": self.distinct,
            "plain_vcl": self.plain,
            "ours": ours,
            "baseline": live.document()?,
            "ratio": ratio(near.median()?, live.median()?),
            "ratio_anywhere": ratio(anywhere.median()?, live.median()?),
            "lost": bench.found.lost,
            "stale_after_final": bench.found.stale,
            "pages_checked": bench.found.checked,
            "notes": [
                "ours: records a second that an agent settles which comes back to a backlog, before one Varnish without later passes; from its first to its last settled record",
                "the repetitions of a page lie within 1,000 records of ours, and anywhere in the backlog of `anywhere`; a lane holds 10,000 records at once, and only among those equal ones are purged once",
                "baseline: the same agent at work, as fast as it follows as many records as the backlog has pages, each naming another page",
                "lost: of 200 pages of each part that were in the cache before, those that it served old when the agent had settled the last record; stale_after_final: the same, for there are no later passes",
            ],
        }))
    }
}

impl Bench {
    async fn start(options: &CatchUp, terms: &Terms) -> anyhow::Result<Self> {
        let pages = Pages::start_as(options.plain).await?;
        let mut agent = Watched::start(options.broker, pages.before_agent(), terms).await?;
        if !options.plain {
            agent.flushed().await?;
        }
        Ok(Self { pages, agent, next: 1 << 40, found: Verdict::default() })
    }

    /// So many records, each of another page, while the agent is at work.
    async fn live(&mut self, count: u64) -> anyhow::Result<Round> {
        let (naming, watched) = self.prepare(count, count, 100).await?;
        let (before, settled) = (Cpu::now()?, self.agent.settled().await);
        let began = Instant::now();
        self.agent.publish_of(count, FRAMED, move |number| naming.selector(number)).await?;
        self.agent.until_settled(settled + count).await?;
        let round = Round { count, took: began.elapsed(), cpu: Cpu::now()?.since(&before) };
        self.judge(&watched).await;
        Ok(round)
    }

    /// So many records while it is away, and then it comes back.
    async fn backlog(&mut self, count: u64, within: u64, distinct: u64) -> anyhow::Result<Round> {
        let (naming, watched) = self.prepare(count, within.min(count), distinct).await?;
        self.agent.leave().await;
        self.agent.publish_of(count, FRAMED, move |number| naming.selector(number)).await?;
        self.agent.come_back().await;
        let round = self.agent.works_off(count).await?;
        self.judge(&watched).await;
        Ok(round)
    }

    /// Which pages the next `count` records name, and some of them in the cache.
    async fn prepare(
        &mut self,
        count: u64,
        within: u64,
        distinct: u64,
    ) -> anyhow::Result<(Naming, Vec<String>)> {
        let pages = (within * distinct / 100).max(1);
        let naming = Naming { base: self.next, first: self.agent.last + 1, within, pages };
        self.next += count;
        let step = usize::try_from((count / WATCHED).max(1))?;
        let records = (naming.first..naming.first + count).step_by(step);
        let mut watched: Vec<_> = records.map(|number| naming.path(number)).collect();
        watched.sort_unstable();
        watched.dedup();
        self.pages.age(&watched).await?;
        Ok((naming, watched))
    }

    async fn judge(&mut self, watched: &[String]) {
        self.found = self.found.and(self.pages.judge_settled(watched).await);
    }
}

impl Naming {
    fn page(self, number: Number) -> u64 {
        let at = number - self.first;
        let block = at / self.within;
        self.base + block * self.pages + (at % self.within).wrapping_mul(STEP) % self.pages
    }

    fn selector(self, number: Number) -> Selector {
        record::page(self.page(number))
    }

    fn path(self, number: Number) -> String {
        format!("/page/{}", self.page(number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn so_many_pages_are_named_among_so_many_records_and_no_more() {
        let naming = Naming { base: 50, first: 7, within: 100, pages: 10 };
        let all: HashSet<_> = (7..1_007).map(|number| naming.page(number)).collect();
        assert_eq!(all, (50..150).collect());
        let block: HashSet<_> = (7..107).map(|number| naming.page(number)).collect();
        assert_eq!(block, (50..60).collect());
    }

    #[test]
    fn each_record_names_another_page_where_all_are_distinct() {
        let naming = Naming { base: 0, first: 1, within: 1_000, pages: 1_000 };
        let all: HashSet<_> = (1..=1_000).map(|number| naming.page(number)).collect();
        assert_eq!(all.len(), 1_000);
    }
}
