//! The way of an agent to the broker, which can be closed, or closed for its reports only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broker_adapter::{
    Bounds, Broker, BrokerError, Message, Misbehaving, Misbehaviour, Partition, Start,
    Subscription, Topic,
};
use schemas::REPORTS_BOARD;

/// The way.
#[derive(Debug)]
pub(crate) struct Gate {
    way: Misbehaving,
    refuses_reports: AtomicBool,
}

impl Gate {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        let way = Misbehaving::new(broker, Misbehaviour::default(), 1);
        Self { way, refuses_reports: AtomicBool::new(false) }
    }

    pub(crate) fn close(&self, closed: bool) {
        let fail = if closed { 1.0 } else { 0.0 };
        self.way.set(Misbehaviour { fail, read_fail: fail, ..Misbehaviour::default() });
    }

    pub(crate) fn refuse_reports(&self, refuse: bool) {
        self.refuses_reports.store(refuse, Ordering::Relaxed);
    }
}

#[async_trait]
impl Broker for Gate {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        if topic.name() == REPORTS_BOARD && self.refuses_reports.load(Ordering::Relaxed) {
            return Err(BrokerError::Unavailable("no reports on purpose".into()));
        }
        self.way.publish(topic, partition, messages).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.way.subscribe(topic, start).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.way.bounds(topic).await
    }
}
