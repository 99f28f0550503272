//! What happens to a bus under load.

use std::fmt;
use std::time::Duration;

use tests::servers::kafka::Kafka;
use tests::servers::nats::Nats;
use tokio::time::sleep;

use crate::regions::Regions;

/// How long whoever was killed stays dead.
const DEAD_FOR: Duration = Duration::from_secs(3);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Nothing,
    /// `kill -9` of an agent, which comes back.
    AgentKilled(usize),
    /// `kill -9` of a publisher, which comes back.
    PublisherKilled(usize),
    /// `kill -9` of the broker, which comes back.
    BrokerKilled,
    /// The broker hangs, connections open.
    BrokerPaused(Duration),
    /// The broker is away while publishing goes on.
    BrokerStopped(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing"),
            Self::AgentKilled(_) => write!(f, "kill -9 of an agent"),
            Self::PublisherKilled(_) => write!(f, "kill -9 of a publisher"),
            Self::BrokerKilled => write!(f, "kill -9 of the broker"),
            Self::BrokerPaused(time) => write!(f, "broker paused {time:?}"),
            Self::BrokerStopped(time) => write!(f, "broker stopped {time:?}"),
        }
    }
}

/// A broker of one server.
#[derive(Debug)]
pub(crate) enum Server {
    Nats(Nats),
    Kafka(Box<Kafka>),
}

impl Server {
    async fn stop(&mut self) {
        match self {
            Self::Nats(nats) => nats.stop().await,
            Self::Kafka(kafka) => kafka.stop().await,
        }
    }

    async fn restart(&mut self) {
        match self {
            Self::Nats(nats) => nats.restart().await,
            Self::Kafka(kafka) => kafka.restart().await,
        }
    }

    fn pause(&self) {
        match self {
            Self::Nats(nats) => nats.pause(),
            Self::Kafka(kafka) => kafka.pause(),
        }
    }

    fn resume(&self) {
        match self {
            Self::Nats(nats) => nats.resume(),
            Self::Kafka(kafka) => kafka.resume(),
        }
    }
}

impl Fault {
    /// It happens, and is over when this returns.
    pub(crate) async fn strike(self, regions: &mut Regions, server: &mut Server) {
        let bus = &mut regions.bus;
        match self {
            Self::Nothing => sleep(DEAD_FOR).await,
            Self::AgentKilled(at) => {
                bus.agents[at].kill();
                sleep(DEAD_FOR).await;
                bus.agents[at].restart().await;
            }
            Self::PublisherKilled(at) => {
                bus.publishers[at].kill();
                sleep(DEAD_FOR).await;
                bus.publishers[at].restart().await;
            }
            Self::BrokerKilled => {
                server.stop().await;
                sleep(DEAD_FOR).await;
                server.restart().await;
            }
            Self::BrokerPaused(time) => {
                server.pause();
                sleep(time).await;
                server.resume();
            }
            Self::BrokerStopped(time) => {
                server.stop().await;
                sleep(time).await;
                server.restart().await;
            }
        }
    }
}
