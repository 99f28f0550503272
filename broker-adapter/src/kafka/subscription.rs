//! The caller's end of a reader's channel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::trouble::Failure;
use crate::{BrokerError, Delivery, Subscription};

/// What a reader hands over.
pub(super) type Batch = Result<Vec<Delivery>, BrokerError>;

/// The caller's side.
#[derive(Debug)]
pub(super) struct KafkaSubscription {
    inbox: mpsc::Receiver<Batch>,
    read: VecDeque<Delivery>,
    _stop: Stop,
}

impl KafkaSubscription {
    pub(super) fn new(inbox: mpsc::Receiver<Batch>, stop: Arc<AtomicBool>) -> Self {
        Self { inbox, read: VecDeque::new(), _stop: Stop(stop) }
    }
}

/// Ends the thread when dropped.
#[derive(Debug)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        while self.read.is_empty() {
            match self.inbox.recv().await {
                Some(batch) => self.read.extend(batch?),
                None => return Err(Failure::unavailable("read", "this reader has ended")),
            }
        }
        let count = max.min(self.read.len());
        Ok(self.read.drain(..count).collect())
    }
}
