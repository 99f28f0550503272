//! The agent's voice: one board message with the latest word of all its lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Topic};
use daemon::{BoxError, Clock, Stop};
use schemas::{AgentName, BoardMessage, CacheReport, REPORTS_BOARD, Region, Report, wire};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;
use uuid::Uuid;

use crate::clocks::Clocks;
use crate::error_chain;
use crate::letters::shorten;
use crate::roster::{ReportedCache, Roster};

pub(crate) use crate::roster::Registration;

/// An idle agent reports this often, so that silence means that it is gone.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// A busy agent reports at most this often, over time; an idle one at once.
const AT_MOST_EVERY: Duration = Duration::from_millis(20);
/// So many reports follow each other at once after a pause: news do not wait because a lane has just said that it lives.
const AT_ONCE: u32 = 3;
/// However many agents there are: one that is silent for longer counts as gone.
const SELDOM: Duration = Duration::from_secs(5);
/// All agents together send about so many reports a second, however many they are.
const FLEET_REPORTS_PER_SECOND: u32 = 10_000;
/// Longest wait for the broker.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

/// The reporter of an agent.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) agent: AgentName,
    pub(crate) instance: Uuid,
    pub(crate) region: Region,
    pub(crate) roster: Roster,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) clock: Clock,
    pub(crate) news: Arc<Notify>,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) fleet: Arc<Fleet>,
}

/// How many agents report, as the publishers say.
#[derive(Debug, Default)]
pub(crate) struct Fleet(AtomicU32);

impl Fleet {
    /// A publisher knows of so many.
    pub(crate) fn learn(&self, agents: u32) {
        self.0.store(agents, Ordering::Relaxed);
    }

    /// The least time between two reports of one agent, so that all together stay within what a board can carry.
    fn pause(&self) -> Duration {
        let share = Duration::from_secs(1) / FLEET_REPORTS_PER_SECOND;
        share.saturating_mul(self.0.load(Ordering::Relaxed)).clamp(AT_MOST_EVERY, SELDOM)
    }
}

/// When the next report may leave, once there was one.
#[derive(Debug, Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// One leaves `now`; over time they shall leave a `pause` apart. Answers when another may.
    fn leaves(&mut self, now: Instant, pause: Duration) -> Instant {
        let earliest = now.checked_sub(pause * (AT_ONCE - 1)).unwrap_or(now);
        *self.0.insert(self.0.map_or(earliest, |next| next.max(earliest)) + pause)
    }
}

impl Reporter {
    /// Reports until stopped, and a last time then.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        // Rises over restarts too, without being stored.
        let started = self.clock.now().as_microsecond();
        let mut sequence = u64::try_from(started).unwrap_or(0);
        let mut pace = Pace::default();
        while !stop.is_requested() {
            let sent = Instant::now();
            sequence += 1;
            self.report(sequence).await;
            tokio::select! {
                () = stop.requested() => {}
                () = sleep_until(pace.leaves(sent, self.fleet.pause())) => {}
            }
            tokio::select! {
                () = stop.requested() => {}
                () = self.news.notified() => {}
                () = sleep_until(sent + AT_LEAST_EVERY) => {}
            }
        }
        self.report(sequence + 1).await;
        Ok(())
    }

    async fn report(&self, sequence: u64) {
        let caches = self.roster.caches();
        let report = BoardMessage::Report(Box::new(self.compose(sequence, &caches)));
        let message = Message {
            key: Some(self.agent.to_string()),
            id: None,
            body: wire::encode_board(&report),
        };
        let board = Topic::board(REPORTS_BOARD);
        let published = self.broker.publish(board, Partition::default(), vec![message]);
        let trouble = match timeout(PUBLISH_WITHIN, published).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some("the broker does not answer".to_owned()),
        };
        if let Some(trouble) = &trouble {
            warn!(error = trouble, "report not published");
        }
        for cache in &caches {
            cache.register(trouble.as_deref());
        }
    }

    fn compose(&self, sequence: u64, caches: &[ReportedCache]) -> Report {
        let caches = caches.iter().map(|cache| {
            let (lanes, abilities): (Vec<_>, Vec<_>) =
                cache.lanes.values().map(|lane| lane.latest()).unzip();
            CacheReport {
                cache: cache.cache.clone(),
                driver: cache.driver.clone(),
                sites: cache.sites.clone(),
                abilities: abilities.into_iter().flatten().next(),
                lanes,
            }
        });
        let mut caches: Vec<_> = caches.collect();
        let lanes = caches.iter_mut().flat_map(|cache| &mut cache.lanes);
        shorten(lanes.map(|lane| &mut lane.dead_letters).collect());
        Report {
            agent: self.agent.clone(),
            instance: self.instance,
            sequence,
            region: self.region.clone(),
            at: self.clock.now(),
            caches,
            clocks: self.clocks.readings(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_a_few_leave_at_once_and_then_each_in_its_turn() {
        let (mut pace, pause) = (Pace::default(), Duration::from_millis(20));
        let mut leave = |mut now: Instant| {
            let begun = now;
            let waits = std::array::from_fn(|_| {
                now = now.max(pace.leaves(now, pause));
                now - begun
            });
            (now, waits)
        };
        let few = [0, 0, 1, 2, 3].map(|pauses| pause * pauses);
        let (busy_until, waits) = leave(Instant::now());
        assert_eq!(waits, few);
        assert_eq!(leave(busy_until).1, [1, 2, 3, 4, 5].map(|pauses| pause * pauses));
        assert_eq!(leave(busy_until + Duration::from_secs(1)).1, few);
    }

    #[test]
    fn a_large_fleet_shares_what_the_board_can_carry() {
        let fleet = Fleet::default();
        for (agents, millis) in
            [(0, 20), (200, 20), (1_000, 100), (20_000, 2_000), (u32::MAX, 5_000)]
        {
            fleet.learn(agents);
            assert_eq!(fleet.pause(), Duration::from_millis(millis), "{agents} agents");
        }
    }
}
