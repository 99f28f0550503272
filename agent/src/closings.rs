//! Which lines are closed: read from the board on which publishers say so. While that says nothing, nothing is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Start, Topic};
use daemon::{BoxError, Stop};
use parking_lot::Mutex;
use schemas::{BoardMessage, ClosedLine, LineId, PUBLISHERS_BOARD, Retired, Retirement, wire};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::error_chain;

/// Most closed lines remembered; the oldest closings make room.
const CLOSINGS_MAX: usize = 20_000;
/// Longest call to subscribe.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Publishers seldom speak here: a board silent for this long is read again from its beginning.
const SILENCE: Duration = Duration::from_mins(5);
/// How long a broker that failed is left alone.
const REST: Duration = Duration::from_secs(5);
/// Most messages read at once.
const READ_MAX: usize = 64;

/// The closed lines known of; shared by all lanes of an agent.
#[derive(Debug, Default)]
pub(crate) struct Closings(Mutex<BTreeMap<LineId, ClosedLine>>);

impl Closings {
    /// What is known of these lines.
    pub(crate) fn of(&self, lines: impl Iterator<Item = LineId>) -> Vec<ClosedLine> {
        let closings = self.0.lock();
        lines.filter_map(|line| closings.get(&line).copied()).collect()
    }

    fn learn(&self, message: BoardMessage) {
        let (since, closed) = match message {
            BoardMessage::Incarnation(incarnation) => (incarnation.since, incarnation.closes),
            BoardMessage::Retirement(Retirement {
                retired: Retired::Publisher { lines, .. },
                at,
                ..
            }) => (at, lines),
            BoardMessage::Retirement(_) | BoardMessage::Report(_) => return,
        };
        let mut closings = self.0.lock();
        for (line, last) in closed {
            let new = ClosedLine { line, last, since };
            // The first to say so says since when, unless the line has gone on meanwhile.
            let known = closings.entry(line).or_insert(new);
            if last > known.last {
                *known = new;
            }
        }
        while closings.len() > CLOSINGS_MAX {
            let oldest = closings.values().min_by_key(|closed| closed.since);
            let Some(line) = oldest.map(|closed| closed.line) else { return };
            closings.remove(&line);
        }
    }
}

/// Reads the board until stopped.
pub(crate) async fn read_board(
    closings: Arc<Closings>,
    broker: Arc<dyn Broker>,
    stop: Stop,
) -> Result<(), BoxError> {
    let reading = async {
        loop {
            if let Err(error) = listen(&closings, broker.as_ref()).await {
                warn!(error = error_chain(&error), "cannot read which lines are closed");
                sleep(REST).await;
            }
        }
    };
    tokio::select! {
        () = stop.requested() => Ok(()),
        never = reading => never,
    }
}

async fn listen(closings: &Closings, broker: &dyn Broker) -> Result<(), BrokerError> {
    let board = Topic::board(PUBLISHERS_BOARD);
    let subscribed = timeout(SUBSCRIBE_WITHIN, broker.subscribe(board, Start::Oldest)).await;
    let mut messages = subscribed.map_err(|late| BrokerError::Unavailable(late.into()))??;
    while let Ok(deliveries) = timeout(SILENCE, messages.read(READ_MAX)).await {
        for delivery in deliveries? {
            match wire::decode_board(&delivery.body) {
                Ok(message) => closings.learn(message),
                Err(error) => warn!(key = delivery.key, %error, "not understood on the board"),
            }
        }
    }
    Ok(())
}
