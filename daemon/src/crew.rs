//! Supervised tasks: none is detached, and one that dies stops all.

use std::any::Any;
use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error};

use crate::{BoxError, Stop};

/// How long aborted tasks may take to be dropped; one that blocks its thread cannot be waited for.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Why a crew ended badly.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// A task failed; the others were stopped.
    #[error("{task} failed")]
    Failed {
        /// Its name.
        task: String,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// A task panicked; the others were stopped.
    #[error("{task} panicked: {message}")]
    Panicked {
        /// Its name.
        task: String,
        /// The panic's message.
        message: String,
    },
    /// Tasks did not end within the grace after a stop and were aborted.
    #[error("still running {grace:?} after the stop: {}", tasks.join(", "))]
    Overdue {
        /// Their names.
        tasks: Vec<String>,
        /// How long they had.
        grace: Duration,
    },
}

/// A set of tasks that live and end together; dropping it aborts them.
#[derive(Debug)]
pub struct Crew {
    stop: Stop,
    tasks: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
}

impl Crew {
    /// An empty crew that ends when `stop` is requested.
    pub fn new(stop: Stop) -> Self {
        Self { stop, tasks: JoinSet::new(), names: HashMap::new() }
    }

    /// What its tasks shall heed.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Starts a task. It may end by itself with `Ok`; an error or a panic stops the whole crew.
    pub fn spawn<F>(&mut self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Waits until every task has ended; from a stop on, at most `grace`, then aborts the rest.
    /// The first failure is the answer.
    pub async fn run(mut self, grace: Duration) -> Result<(), CrewError> {
        let stop = self.stop.clone();
        let overdue = async {
            stop.requested().await;
            sleep(grace).await;
        };
        tokio::pin!(overdue);
        let mut first_failure = None;
        loop {
            tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => {
                    let Some(ended) = ended else { break };
                    if let Err(failure) = self.settle(ended) {
                        self.stop.request();
                        first_failure.get_or_insert(failure);
                    }
                }
                () = &mut overdue => {
                    let failure = self.abort(grace).await;
                    first_failure.get_or_insert(failure);
                    break;
                }
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    fn settle(
        &mut self,
        ended: Result<(Id, Result<(), BoxError>), JoinError>,
    ) -> Result<(), CrewError> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let task = self.names.remove(&id).expect("every task is named when it is spawned");
        let failure = match ended {
            Ok((_, Ok(()))) => {
                debug!(task, "task ended");
                return Ok(());
            }
            Ok((_, Err(source))) => CrewError::Failed { task, source },
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => CrewError::Panicked { task, message: message_of(panic.as_ref()) },
                Err(cancelled) => CrewError::Failed { task, source: cancelled.into() },
            },
        };
        error!(error = &failure as &dyn std::error::Error, "task died; stopping the others");
        Err(failure)
    }

    async fn abort(&mut self, grace: Duration) -> CrewError {
        let mut tasks: Vec<_> = self.names.drain().map(|(_, name)| name).collect();
        tasks.sort();
        if timeout(ABORT_WAIT, self.tasks.shutdown()).await.is_err() {
            error!(?tasks, "a task blocks its thread and cannot be aborted");
        }
        CrewError::Overdue { tasks, grace }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn crew_with_a_patient_task() -> Crew {
        let mut crew = Crew::new(Stop::new());
        let stop = crew.stop();
        crew.spawn("patient", async move {
            stop.requested().await;
            Ok(())
        });
        crew
    }

    #[tokio::test(start_paused = true)]
    async fn a_crew_ends_well_when_every_task_does() {
        let mut crew = Crew::new(Stop::new());
        crew.spawn("short", async { Ok(()) });
        assert!(crew.run(GRACE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_stops_the_rest() {
        let mut crew = crew_with_a_patient_task();
        crew.spawn("weak", async { Err("no disk".into()) });
        let started = Instant::now();
        let failure = crew.run(GRACE).await.expect_err("a task failed");
        assert!(matches!(failure, CrewError::Failed { task, .. } if task == "weak"));
        assert_eq!(started.elapsed(), Duration::ZERO, "the patient task heeded the stop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_stops_the_rest_and_keeps_its_message() {
        let mut crew = crew_with_a_patient_task();
        crew.spawn("clumsy", async { panic!("dropped {}", "it") });
        let failure = crew.run(GRACE).await.expect_err("a task panicked");
        assert_eq!(failure.to_string(), "clumsy panicked: dropped it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_leaves_the_others_alone() {
        let mut crew = crew_with_a_patient_task();
        crew.spawn("short", async { Ok(()) });
        let stop = crew.stop();
        let ended = tokio::time::timeout(Duration::from_mins(1), crew.run(GRACE)).await;
        assert!(ended.is_err() && !stop.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn what_overstays_the_grace_is_aborted_and_named() {
        let mut crew = crew_with_a_patient_task();
        crew.spawn("deaf", std::future::pending());
        crew.stop().request();
        let started = Instant::now();
        let failure = crew.run(GRACE).await.expect_err("a task overstayed");
        assert_eq!(failure.to_string(), "still running 5s after the stop: deaf");
        assert_eq!(started.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_the_answer() {
        let mut crew = crew_with_a_patient_task();
        let stop = crew.stop();
        crew.spawn("later", async move {
            stop.requested().await;
            Err("second".into())
        });
        crew.spawn("earlier", async { Err("first".into()) });
        let failure = crew.run(GRACE).await.expect_err("two tasks failed");
        assert!(matches!(failure, CrewError::Failed { task, .. } if task == "earlier"));
    }
}
