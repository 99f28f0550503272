//! Reads what publishers say on their board: which lines are closed, and what humans have ordered.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Delivery, Positions, Start, Topic};
use daemon::{BoxError, Stop};
use schemas::{BoardMessage, PUBLISHERS_BOARD, wire};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::closings::Closings;
use crate::error_chain;
use crate::metrics::Metrics;
use crate::standing_orders::StandingOrders;
use crate::trust::{TrustBook, word};

const BOARD: Topic = Topic::board(PUBLISHERS_BOARD);

/// Longest call to subscribe.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Publishers seldom speak here: a board silent for this long is read again from its beginning, so that an order is
/// heard though a subscription has died unnoticed.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a broker that failed is left alone.
const REST: Duration = Duration::from_secs(5);
/// Most messages read at once.
const READ_MAX: usize = 64;

/// What the board says, for all lanes of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublishersBoard {
    /// The closed lines.
    pub(crate) closings: Arc<Closings>,
    /// The orders in force.
    pub(crate) orders: Arc<StandingOrders>,
}

/// Reads it for an agent.
#[derive(Debug)]
pub(crate) struct BoardReader {
    pub(crate) board: PublishersBoard,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) trust: TrustBook,
    pub(crate) metrics: Metrics,
}

impl BoardReader {
    /// Reads until stopped.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        let reading = async {
            loop {
                if let Err(error) = self.listen().await {
                    warn!(error = error_chain(&error), "cannot read the board of publishers");
                    sleep(REST).await;
                }
            }
        };
        tokio::select! {
            () = stop.requested() => Ok(()),
            never = reading => never,
        }
    }

    async fn listen(&self) -> Result<(), BrokerError> {
        let stood = soon(self.broker.bounds(BOARD)).await?;
        let mut messages = soon(self.broker.subscribe(BOARD, Start::Oldest)).await?;
        let mut unread: Positions = stood
            .into_iter()
            .filter(|(_, stood)| stood.first < stood.end)
            .map(|(partition, stood)| (partition, stood.end))
            .collect();
        loop {
            if unread.is_empty() {
                self.board.orders.have_been_read();
            }
            let Ok(deliveries) = timeout(SILENCE, messages.read(READ_MAX)).await else {
                return Ok(());
            };
            for delivery in deliveries? {
                self.hear(&delivery);
                let Delivery { partition, position, .. } = delivery;
                unread.retain(|of, end| *of != partition || position.0.saturating_add(1) < end.0);
            }
        }
    }

    fn hear(&self, delivery: &Delivery) {
        let verified = self.trust.verify(BOARD, delivery);
        match verified.and_then(|()| wire::decode_board(&delivery.body)) {
            Ok(BoardMessage::Orders(orders)) => self.board.orders.learn(orders),
            Ok(message) => self.board.closings.learn(message),
            Err(error) => {
                warn!(key = delivery.key, %error, "message of the board parked");
                self.metrics.parked_of_board(word(&error));
            }
        }
    }
}

async fn soon<T>(asked: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    timeout(SUBSCRIBE_WITHIN, asked).await.map_err(|late| BrokerError::Unavailable(late.into()))?
}
