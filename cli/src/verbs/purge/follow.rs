//! Watches invalidations come to every region.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use schemas::Region;
use schemas::api::{Accepted, CacheProgress, Progress, ProgressState};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::{Client, Unanswered, understand};
use crate::exit::{Exit, Failure};
use crate::output;

use super::Goal;

/// Pauses between questions grow from the first to the last: most purges are done at once.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// A question that is not answered by then is asked again.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The last question comes at the deadline and still gets a chance.
const SHORTEST_ANSWER_WAIT: Duration = Duration::from_secs(1);

/// How far one invalidation had come in the end.
#[derive(Debug)]
pub(super) struct Followed {
    /// In the publisher's own words.
    pub(super) answer: Value,
    pub(super) progress: Progress,
}

/// Asks for the progress of each until it has reached `goal` or is blocked, or `deadline`.
pub(super) async fn follow(
    client: &Client,
    accepted: &[Accepted],
    goal: Goal,
    deadline: Instant,
) -> Result<Vec<Followed>, Failure> {
    let mut picture = Picture::new(goal);
    let mut followed = Vec::new();
    for Accepted { id, .. } in accepted {
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let last = left.is_zero();
            let answer_wait = left.clamp(SHORTEST_ANSWER_WAIT, ANSWER_WAIT);
            let answer = client.get(&format!("/v1/invalidations/{id}"), answer_wait).await;
            if let Some(answer) = settle(answer, last)? {
                let progress: Progress = understand(answer.clone())?;
                picture.show(&progress);
                if last || ended(progress.state, goal) {
                    followed.push(Followed { answer, progress });
                    break;
                }
            }
            sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
    }
    Ok(followed)
}

/// No answer is no reason to give up before the deadline: what was accepted stays accepted.
fn settle(answer: Result<Value, Unanswered>, last: bool) -> Result<Option<Value>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Unanswered::NoAnswer { .. } | Unanswered::Later { .. }) if !last => Ok(None),
        Err(error @ (Unanswered::NoAnswer { .. } | Unanswered::Later { .. })) => {
            Err(Failure::new(Exit::NotReached, error))
        }
        Err(error) => Err(error.into()),
    }
}

/// What scripts are told about all of them together: the worst.
pub(super) fn exit(followed: &[Followed], goal: Goal) -> Exit {
    let is = |wanted: fn(ProgressState, Goal) -> bool| {
        move |followed: &Followed| wanted(followed.progress.state, goal)
    };
    if followed.iter().any(is(|state, _| state == ProgressState::Blocked)) {
        Exit::Failed
    } else if followed.iter().all(is(reached)) {
        Exit::Done
    } else {
        Exit::NotReached
    }
}

fn ended(state: ProgressState, goal: Goal) -> bool {
    reached(state, goal) || state == ProgressState::Blocked
}

fn reached(state: ProgressState, goal: Goal) -> bool {
    match goal {
        Goal::Applied => matches!(state, ProgressState::Applied | ProgressState::Final),
        Goal::Final => state == ProgressState::Final,
    }
}

/// A bar for each region on stderr, on a terminal only.
struct Picture {
    goal: Goal,
    bars: MultiProgress,
    by_region: BTreeMap<Region, ProgressBar>,
}

impl Picture {
    fn new(goal: Goal) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { goal, bars, by_region: BTreeMap::new() }
    }

    fn show(&mut self, progress: &Progress) {
        for region in &progress.regions {
            let bar = self.by_region.entry(region.region.clone()).or_insert_with(|| {
                let bar = self.bars.add(ProgressBar::new(0).with_prefix(region.region.to_string()));
                bar.with_style(style())
            });
            let done = |cache: &&CacheProgress| match self.goal {
                Goal::Applied => cache.settled_ms.is_some(),
                Goal::Final => cache.final_ms.is_some(),
            };
            bar.set_length(region.caches.len() as u64);
            bar.set_position(region.caches.iter().filter(done).count() as u64);
            bar.set_message(output::maybe_milliseconds(region.applied_ms));
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        for bar in self.by_region.values() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>16} {bar:30} {pos}/{len} caches  {msg}")
        .expect("the template is well-formed")
}
