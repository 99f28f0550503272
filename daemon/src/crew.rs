//! Supervised tasks: none is detached, and one that dies stops all.

use std::time::Duration;

use crate::{BoxError, Stop};

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

/// A set of tasks that live and end together.
#[derive(Debug)]
pub struct Crew {
    stop: Stop,
}

impl Crew {
    /// An empty crew that ends when `stop` is requested.
    pub fn new(stop: Stop) -> Self {
        Self { stop }
    }

    /// What its tasks shall heed.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Starts a task. It may end by itself with `Ok`; an error or a panic stops the whole crew.
    pub fn spawn<F>(&mut self, _name: impl Into<String>, _task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        todo!()
    }

    /// Waits until every task has ended; from a stop on, at most `grace`, then aborts the rest.
    /// The first failure is the answer.
    pub async fn run(self, _grace: Duration) -> Result<(), CrewError> {
        todo!()
    }
}
