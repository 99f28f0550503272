//! What an acknowledgement is worth, and that no position is used twice.

use std::collections::BTreeSet;

use super::probe::{FIRST, Outcome, hears, holds, nothing_more, post, read, same, say, texts};
use super::{BOARD, Backend, LOG};
use crate::{Broker, Position, Start};

pub(super) async fn what_was_acknowledged_survives_a_restart(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b").await?;
    say(&*broker, "c").await?;
    let broker = backend.reopen(broker).await;
    hears(&*broker, Start::Oldest, "a b c").await
}

pub(super) async fn a_board_survives_a_restart(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    post(&*broker, "x=1 y=1 x=2").await?;
    let broker = backend.reopen(broker).await;
    post(&*broker, "y=2").await?;
    let mut subscription = broker.subscribe(BOARD, Start::Oldest).await?;
    let got: BTreeSet<String> = texts(&read(&mut *subscription, 2).await?).into_iter().collect();
    same("latest", got, ["x=2", "y=2"].map(str::to_owned).into())?;
    nothing_more(&mut *subscription).await
}

pub(super) async fn positions_go_on_after_a_restart(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b c").await?;
    let before = newest_position(&*broker, 3).await?;
    let broker = backend.reopen(broker).await;
    say(&*broker, "d").await?;
    let after = newest_position(&*broker, 4).await?;
    holds(after > before, || format!("{after:?} after {before:?}"))
}

pub(super) async fn positions_go_on_after_everything_expired(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b c").await?;
    let before = newest_position(&*broker, 3).await?;
    if !backend.expire(&broker).await {
        return Ok(());
    }
    let bounds = broker.bounds(LOG).await?[&FIRST];
    same("first and end of nothing", bounds.first, bounds.end)?;
    let broker = backend.reopen(broker).await;
    say(&*broker, "d").await?;
    let after = newest_position(&*broker, 1).await?;
    holds(after > before, || format!("{after:?} after {before:?}"))
}

async fn newest_position(broker: &dyn Broker, count: usize) -> Outcome<Position> {
    let deliveries = read(&mut *broker.subscribe(LOG, Start::Oldest).await?, count).await?;
    Ok(deliveries[count - 1].position)
}
