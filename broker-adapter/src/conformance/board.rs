//! A board keeps the latest message of each key.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::probe::{FIRST, Outcome, expect, nothing_more, post, read, same, texts};
use super::{BOARD, Backend};
use crate::{Position, Start};

pub(super) async fn a_board_gives_the_latest_of_every_key_first(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    post(&*broker, "x=1 y=1 x=2").await?;
    post(&*broker, "z=1 y=2").await?;
    let starts = [
        Start::Oldest,
        Start::At([(FIRST, Position(u64::MAX))].into()),
        Start::At([(FIRST, Position(4))].into()),
        Start::Since(Timestamp::UNIX_EPOCH),
        Start::Since(Timestamp::MAX),
    ];
    for start in starts {
        let mut subscription = broker.subscribe(BOARD, start).await?;
        let got: BTreeSet<String> =
            texts(&read(&mut *subscription, 3).await?).into_iter().collect();
        let wanted = ["x=2", "y=2", "z=1"].map(str::to_owned).into();
        same("latest", got, wanted)?;
        nothing_more(&mut *subscription).await?;
    }
    Ok(())
}

pub(super) async fn a_board_goes_on_with_updates(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    post(&*broker, "x=1").await?;
    let mut subscription = broker.subscribe(BOARD, Start::Oldest).await?;
    expect(&mut *subscription, "x=1").await?;
    for update in ["x=2", "y=1", "x=3"] {
        post(&*broker, update).await?;
        expect(&mut *subscription, update).await?;
    }
    nothing_more(&mut *subscription).await
}

pub(super) async fn a_board_from_newest_gives_only_updates(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    post(&*broker, "x=1 y=1").await?;
    let mut subscription = broker.subscribe(BOARD, Start::Newest).await?;
    nothing_more(&mut *subscription).await?;
    post(&*broker, "y=2").await?;
    expect(&mut *subscription, "y=2").await?;
    nothing_more(&mut *subscription).await
}

pub(super) async fn a_slow_reader_of_a_board_ends_at_the_latest(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let mut subscription = broker.subscribe(BOARD, Start::Oldest).await?;
    for number in 0..50 {
        post(&*broker, &format!("x={number}")).await?;
    }
    let mut got = String::new();
    while got != "x=49" {
        got = texts(&read(&mut *subscription, 1).await?).concat();
    }
    nothing_more(&mut *subscription).await
}
