//! Asks a running agent for other caches.

use tokio::sync::{mpsc, oneshot};

use super::AgentError;
use super::cache::Cache;

/// Changes that may wait for each other.
const ORDERS_MAX: usize = 1;

/// Other caches are wanted.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) caches: Vec<Cache>,
    /// Whoever asked is told here; if nobody waits for it any more, the process is stopping.
    pub(super) done: oneshot::Sender<Result<(), AgentError>>,
}

/// Asks a running agent for other caches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CacheSwitch(mpsc::Sender<Order>);

impl CacheSwitch {
    /// A switch, and where its orders come out.
    pub(super) fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        (Self(orders), receiver)
    }

    /// From now on these are all caches of the agent. The lanes of those that are as they were go on; all others end,
    /// with their cursors stored, and begin where they were. On an error nothing has changed.
    pub async fn change(&self, caches: Vec<Cache>) -> Result<(), AgentError> {
        let (done, changed) = oneshot::channel();
        self.0.send(Order { caches, done }).await.map_err(|_| AgentError::Ended)?;
        changed.await.map_err(|_| AgentError::Ended)?
    }
}
