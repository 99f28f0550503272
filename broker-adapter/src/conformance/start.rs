//! Where a subscription begins.

use std::time::Duration;

use jiff::Timestamp;

use super::probe::{FIRST, Outcome, expect, hears, message, nothing_more, read, say, tick};
use super::{Backend, LOG};
use crate::{Broker, Delivery, Partition, Position, Start};

pub(super) async fn oldest_begins_with_the_first(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b c").await?;
    hears(&*broker, Start::Oldest, "a b c").await
}

pub(super) async fn newest_gives_only_what_comes(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b").await?;
    only_what_comes(&*broker, Start::Newest).await
}

pub(super) async fn at_begins_with_the_message_named(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    for (delivery, heard) in kept(&*broker, "a b c").await?.iter().zip(["a b c", "b c", "c"]) {
        hears(&*broker, at(delivery.position), heard).await?;
    }
    Ok(())
}

pub(super) async fn at_the_end_gives_only_what_comes(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let deliveries = kept(&*broker, "a b c").await?;
    only_what_comes(&*broker, at(Position(deliveries[2].position.0 + 1))).await
}

pub(super) async fn at_beyond_the_end_begins_at_the_oldest(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let deliveries = kept(&*broker, "a b c").await?;
    for beyond in [2, 1000] {
        let start = at(Position(deliveries[2].position.0 + beyond));
        hears(&*broker, start, "a b c").await?;
    }
    Ok(())
}

pub(super) async fn at_an_expired_position_begins_at_the_oldest(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let deliveries = kept(&*broker, "a b c").await?;
    if backend.expire(&broker).await {
        say(&*broker, "d e").await?;
        hears(&*broker, at(deliveries[1].position), "d e").await?;
    }
    Ok(())
}

pub(super) async fn at_begins_an_unnamed_partition_at_its_oldest(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    if backend.partitions() > 1 {
        let named = kept(&*broker, "a").await?[0].position;
        broker.publish(LOG, Partition(1), vec![message("b"), message("c")]).await?;
        hears(&*broker, at(Position(named.0 + 1)), "b c").await?;
    }
    Ok(())
}

pub(super) async fn since_an_early_time_gives_everything(backend: &dyn Backend) -> Outcome {
    let (broker, [a, ..]) = three_apart(backend).await?;
    hears(&*broker, Start::Since(a - Duration::from_hours(1)), "a b c").await
}

pub(super) async fn since_a_time_between_gives_what_came_later(backend: &dyn Backend) -> Outcome {
    let (broker, [_, b, c]) = three_apart(backend).await?;
    hears(&*broker, Start::Since(b - Duration::from_millis(5)), "b c").await?;
    hears(&*broker, Start::Since(c - Duration::from_millis(5)), "c").await
}

pub(super) async fn since_the_time_of_a_message_includes_it(backend: &dyn Backend) -> Outcome {
    let (broker, [a, b, c]) = three_apart(backend).await?;
    for (time, heard) in [(a, "a b c"), (b, "b c"), (c, "c")] {
        hears(&*broker, Start::Since(time), heard).await?;
    }
    Ok(())
}

pub(super) async fn since_a_late_time_gives_only_what_comes(backend: &dyn Backend) -> Outcome {
    let (broker, [.., c]) = three_apart(backend).await?;
    only_what_comes(&*broker, Start::Since(c + Duration::from_hours(1))).await
}

pub(super) async fn every_start_of_an_empty_topic_waits_for_the_first(
    backend: &dyn Backend,
) -> Outcome {
    let starts =
        [Start::Oldest, Start::Newest, at(Position(7)), Start::Since(Timestamp::UNIX_EPOCH)];
    for start in starts {
        let broker = backend.fresh().await;
        only_what_comes(&*broker, start).await?;
    }
    Ok(())
}

fn at(position: Position) -> Start {
    Start::At([(FIRST, position)].into())
}

async fn only_what_comes(broker: &dyn Broker, start: Start) -> Outcome {
    let mut subscription = broker.subscribe(LOG, start).await?;
    nothing_more(&mut *subscription).await?;
    say(broker, "y z").await?;
    expect(&mut *subscription, "y z").await
}

/// Publishes `words` and reads them as they are kept.
async fn kept(broker: &dyn Broker, words: &str) -> Outcome<Vec<Delivery>> {
    say(broker, words).await?;
    let count = words.split(' ').count();
    read(&mut *broker.subscribe(LOG, Start::Oldest).await?, count).await
}

/// A broker that took a, b and c at these times, clearly apart.
async fn three_apart(
    backend: &dyn Backend,
) -> Outcome<(std::sync::Arc<dyn Broker>, [Timestamp; 3])> {
    let broker = backend.fresh().await;
    for word in ["a", "b", "c"] {
        say(&*broker, word).await?;
        tick().await;
    }
    let deliveries = read(&mut *broker.subscribe(LOG, Start::Oldest).await?, 3).await?;
    let times = [deliveries[0].time, deliveries[1].time, deliveries[2].time];
    Ok((broker, times))
}
