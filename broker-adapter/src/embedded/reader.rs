//! A reader's place in the embedded log.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Log, failure, store};
use crate::{BrokerError, Delivery, Partition, Position, Positions, Start, Subscription, Topic};

/// Reads from positions of its own; whatever retention removed before it came is skipped.
#[derive(Debug)]
pub(super) struct Reader {
    log: Arc<Log>,
    topic: Topic,
    next: Positions,
    last: Option<Partition>,
    bell: watch::Receiver<()>,
}

impl Reader {
    pub(super) async fn new(
        log: Arc<Log>,
        topic: Topic,
        start: Start,
    ) -> Result<Self, BrokerError> {
        let bell = log.wakes.subscribe(topic);
        let at = Arc::clone(&log);
        let next = failure::blocking(move || store::positions(&at.database, topic, &start)).await?;
        Ok(Self { log, topic, next, last: None, bell })
    }

    fn advance(&mut self, batch: &[Delivery]) {
        for delivery in batch {
            self.next.insert(delivery.partition, Position(delivery.position.0 + 1));
            self.last = Some(delivery.partition);
        }
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.bell.mark_unchanged();
            let (log, topic) = (Arc::clone(&self.log), self.topic);
            let (next, last) = (self.next.clone(), self.last);
            let batch = failure::blocking(move || {
                store::read(&log.database, topic, &next, last, max.max(1))
            })
            .await?;
            if !batch.is_empty() {
                self.advance(&batch);
                return Ok(batch);
            }
            if let Err(closed) = self.bell.changed().await {
                return Err(BrokerError::Unavailable(closed.into()));
            }
        }
    }
}
