//! Reads what publishers say on their board: which lines are closed, and what humans have ordered.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Start, Topic};
use daemon::{BoxError, Stop};
use schemas::{BoardMessage, PUBLISHERS_BOARD, wire};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::closings::Closings;
use crate::error_chain;
use crate::standing_orders::StandingOrders;

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

impl PublishersBoard {
    /// Reads it until stopped.
    pub(crate) async fn read(self, broker: Arc<dyn Broker>, stop: Stop) -> Result<(), BoxError> {
        let reading = async {
            loop {
                if let Err(error) = self.listen(broker.as_ref()).await {
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

    async fn listen(&self, broker: &dyn Broker) -> Result<(), BrokerError> {
        let board = Topic::board(PUBLISHERS_BOARD);
        let subscribed = timeout(SUBSCRIBE_WITHIN, broker.subscribe(board, Start::Oldest)).await;
        let mut messages = subscribed.map_err(|late| BrokerError::Unavailable(late.into()))??;
        while let Ok(deliveries) = timeout(SILENCE, messages.read(READ_MAX)).await {
            for delivery in deliveries? {
                match wire::decode_board(&delivery.body) {
                    Ok(BoardMessage::Orders(orders)) => self.orders.learn(orders),
                    Ok(message) => self.closings.learn(message),
                    Err(error) => warn!(key = delivery.key, %error, "not understood on the board"),
                }
            }
        }
        Ok(())
    }
}
