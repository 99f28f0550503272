//! A log apart from its publishers that can be lost, and whose boards can be deaf.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use broker_adapter::{
    Bounds, Broker, BrokerError, Embedded, EmbeddedConfig, Message, Partition, Start, Subscription,
    Topic, TopicKind,
};
use daemon::Clock;
use parking_lot::RwLock;

/// A log in memory, and then perhaps another one.
#[derive(Debug)]
pub(super) struct Remote {
    log: RwLock<Arc<Embedded>>,
    clock: Clock,
    deaf_boards: AtomicBool,
}

impl Remote {
    pub(super) fn new(clock: Clock) -> Self {
        let deaf_boards = AtomicBool::new(false);
        Self { log: RwLock::new(Arc::new(empty(clock))), clock, deaf_boards }
    }

    /// Everything is gone, boards too; whoever reads hears nothing more until it subscribes anew.
    pub(super) fn recreate(&self) {
        *self.log.write() = Arc::new(empty(self.clock));
    }

    /// Whether boards refuse everything from now on.
    pub(super) fn deafen_boards(&self, deaf: bool) {
        self.deaf_boards.store(deaf, Ordering::Relaxed);
    }

    fn log(&self) -> Arc<Embedded> {
        self.log.read().clone()
    }
}

fn empty(clock: Clock) -> Embedded {
    Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).expect("a log in memory")
}

#[async_trait]
impl Broker for Remote {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        if topic.kind() == TopicKind::Board && self.deaf_boards.load(Ordering::Relaxed) {
            return Err(BrokerError::Unavailable("the board is deaf on purpose".into()));
        }
        self.log().publish(topic, partition, messages).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        self.log().subscribe(topic, start).await
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        self.log().bounds(topic).await
    }
}
