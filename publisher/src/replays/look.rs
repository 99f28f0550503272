//! Looks what a replay would publish: reads as it does, publishes nothing, and takes no longer than it may.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{BrokerError, Topic};
use schemas::api::{Mistake, ReplayCounts, ReplayDryRun, ReplayRequest};
use tokio::time::{Instant, timeout, timeout_at};

use super::breath::Breath;
use super::choice::Choice;
use super::held::{Held, held};
use super::sieve::{Fate, SAMPLE_MAX, Seen};
use super::walk::{Cursor, Walk, WalkError};
use super::wish::{self, Known, Wish};
use super::{NotReplayed, Replays, Shared, unavailable};
use crate::caller::Caller;
use crate::journal::Stream;

/// Longest dry run; whoever asks waits for no longer than this.
const DRY_RUN_WITHIN: Duration = Duration::from_mins(1);
/// Longest wait for the log's end.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Who has missed what is known once the boards have been read.
const BOARDS_WITHIN: Duration = Duration::from_secs(3);

impl Replays {
    /// What a replay would publish.
    pub(crate) async fn dry_run(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
    ) -> Result<ReplayDryRun, NotReplayed> {
        let deadline = Instant::now() + DRY_RUN_WITHIN;
        let (Wish { filter, rate }, held) = self.understand(caller, request).await?;
        let Ok(Ok(_turn)) = timeout_at(deadline, self.0.dry_runs.acquire()).await else {
            return Err(unavailable("others look at the log: no turn came in time"));
        };
        let cursor = self.begin_at().await?;
        let mut walk = Walk::new(Arc::clone(&self.0.broker), filter.since, cursor);
        let sieve = self.0.sieve(Choice::new(filter.clone()));
        let mut counts = ReplayCounts::default();
        let mut sample = Vec::new();
        let count = async {
            let (mut seen, mut breath) = (Seen::default(), Breath::default());
            while let Some((priority, deliveries)) = walk.next().await? {
                for delivery in deliveries {
                    let began = Instant::now();
                    let stream = Stream { priority, partition: delivery.partition };
                    let topic = Topic::log(priority.as_str());
                    let now = self.0.clock.now();
                    for sifted in sieve.sift(&mut seen, topic, &delivery, 0, now) {
                        sieve.count(&mut counts, &sifted);
                        if sifted.fate == Fate::Again && sample.len() < SAMPLE_MAX {
                            sample.push(sieve.sample(&sifted.invalidation));
                        }
                    }
                    walk.cursor_mut().pass(stream, delivery.position);
                    breath.take(began).await;
                }
            }
            Ok::<_, WalkError>(())
        };
        let complete = match timeout_at(deadline, Box::pin(count)).await {
            Ok(counted) => counted.map(|()| true).map_err(unreadable)?,
            Err(_) => false,
        };
        Ok(ReplayDryRun { filter, rate, counts, complete, held_since: held.since, sample })
    }

    /// What is wanted, if it can be done and the caller may want it.
    pub(super) async fn understand(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
    ) -> Result<(Wish, Held), NotReplayed> {
        let Shared { tracker, sites, clock, broker, .. } = &*self.0;
        let known = Known {
            sites,
            regions: &tracker.known_regions(),
            agents: &tracker.agent_summaries(),
            only_site: caller.only_site(),
            now: clock.now(),
        };
        let wish = wish::read(request, &known).map_err(NotReplayed::Invalid)?;
        let (site, region) = (wish.filter.site.as_ref(), wish.filter.region.as_ref());
        caller.check_replay(site, region).map_err(NotReplayed::Forbidden)?;
        let held = held(broker.as_ref()).await.map_err(cannot_be_read)?;
        if let Some(since) = held.since.filter(|_| held.lacks(wish.filter.since)) {
            let detail = format!(
                "is a time that the log no longer holds; it holds what it took since {since:.0}: \
                 give a later time, and flush what missed more"
            );
            return Err(NotReplayed::Invalid(vec![Mistake { pointer: "/since".into(), detail }]));
        }
        if wish.filter.missed && !tracker.caught_up(BOARDS_WITHIN).await {
            return Err(unavailable("who has missed what is not known: the boards are not read"));
        }
        Ok((wish, held))
    }

    /// The beginning of a walk to the log's present end.
    pub(super) async fn begin_at(&self) -> Result<Cursor, NotReplayed> {
        let begun = timeout(END_WITHIN, Cursor::begin(self.0.broker.as_ref())).await;
        begun.map_err(|_| unavailable("the log gives no answer"))?.map_err(cannot_be_read)
    }
}

fn cannot_be_read(error: BrokerError) -> NotReplayed {
    NotReplayed::Unavailable { why: "the log cannot be read", source: Some(error.into()) }
}

fn unreadable(error: WalkError) -> NotReplayed {
    NotReplayed::Unavailable { why: "the log cannot be read", source: Some(error.into()) }
}
