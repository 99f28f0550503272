//! How far each stream is committed and forwarded, as everyone in the process may see and await it.

use std::time::Duration;

use schemas::Priority;
use tokio::sync::watch;
use tokio::time::timeout;

use super::table::StreamState;

/// How far one stream has come: sequences below `forwarded` the broker has, those below `end` the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) end: u64,
    pub(crate) forwarded: u64,
}

impl From<StreamState> for Reach {
    fn from(state: StreamState) -> Self {
        Self { end: state.end, forwarded: state.forwarded }
    }
}

/// The streams of all priorities.
#[derive(Debug)]
pub(super) struct Streams {
    critical: watch::Sender<Reach>,
    normal: watch::Sender<Reach>,
}

impl Streams {
    pub(super) fn new(critical: Reach, normal: Reach) -> Self {
        Self { critical: watch::Sender::new(critical), normal: watch::Sender::new(normal) }
    }

    pub(super) fn reach(&self, priority: Priority) -> Reach {
        *self.sender(priority).borrow()
    }

    pub(super) fn watch(&self, priority: Priority) -> watch::Receiver<Reach> {
        self.sender(priority).subscribe()
    }

    /// It has come at least as far as this.
    pub(super) fn advance(&self, priority: Priority, to: Reach) {
        self.sender(priority).send_modify(|reach| {
            reach.end = reach.end.max(to.end);
            reach.forwarded = reach.forwarded.max(to.forwarded);
        });
    }

    /// Waits at most `patience` until the broker has `sequence`; answers whether it has.
    pub(super) async fn reaches(
        &self,
        priority: Priority,
        sequence: u64,
        patience: Duration,
    ) -> bool {
        let mut reach = self.watch(priority);
        let has = |reach: &Reach| reach.forwarded > sequence;
        matches!(timeout(patience, reach.wait_for(has)).await, Ok(Ok(_)))
    }

    fn sender(&self, priority: Priority) -> &watch::Sender<Reach> {
        match priority {
            Priority::Critical => &self.critical,
            Priority::Normal => &self.normal,
        }
    }
}
