//! What is published to a log is kept: whole, in order, each in its place.

use bytes::Bytes;
use futures::future::try_join_all;

use super::probe::{FIRST, Outcome, expect, holds, message, nothing_more, read, same, say, tick};
use super::{Backend, LOG, OTHER_LOG};
use crate::{Broker, Delivery, Partition, PartitionBounds, Start};

pub(super) async fn messages_keep_their_order(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let bodies: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    for chunk in bodies.chunks(7) {
        say(&*broker, &chunk.join(" ")).await?;
    }
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    expect(&mut *subscription, &bodies.join(" ")).await?;
    nothing_more(&mut *subscription).await
}

pub(super) async fn binary_bodies_come_back_byte_for_byte(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let bodies = [(0..=255).collect(), vec![], vec![0], vec![255, 0, b'\n', b'\r', 128]];
    let messages = bodies.iter().cloned().map(message).collect();
    broker.publish(LOG, FIRST, messages).await?;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    let deliveries = read(&mut *subscription, bodies.len()).await?;
    let got: Vec<Vec<u8>> = deliveries.iter().map(|delivery| delivery.body.to_vec()).collect();
    same("bodies", got, bodies.to_vec())
}

pub(super) async fn a_large_message_comes_back_whole(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let mut byte = 0_u8;
    let body: Bytes = std::iter::repeat_with(|| {
        byte = byte.wrapping_mul(5).wrapping_add(3);
        byte
    })
    .take(1 << 20)
    .collect();
    broker.publish(LOG, FIRST, vec![message(body.clone())]).await?;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    let deliveries = read(&mut *subscription, 1).await?;
    let length = deliveries[0].body.len();
    holds(deliveries[0].body == body, || format!("{length} bytes came, or others"))
}

pub(super) async fn concurrent_publishers_lose_nothing_and_keep_their_own_order(
    backend: &dyn Backend,
) -> Outcome {
    const PUBLISHERS: usize = 16;
    const EACH: usize = 12;
    let broker = backend.fresh().await;
    try_join_all((0..PUBLISHERS).map(|publisher| {
        let broker = &broker;
        async move {
            for number in 0..EACH {
                say(&**broker, &format!("{publisher}:{number}")).await?;
            }
            Outcome::Ok(())
        }
    }))
    .await?;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    let deliveries = read(&mut *subscription, PUBLISHERS * EACH).await?;
    for publisher in 0..PUBLISHERS {
        let mine = format!("{publisher}:");
        let got: Vec<&Delivery> =
            deliveries.iter().filter(|one| one.body.starts_with(mine.as_bytes())).collect();
        let in_order = got
            .iter()
            .enumerate()
            .all(|(number, delivery)| delivery.body == format!("{publisher}:{number}").as_bytes());
        holds(got.len() == EACH && in_order, || format!("of publisher {publisher}: {got:?}"))?;
    }
    nothing_more(&mut *subscription).await
}

pub(super) async fn broker_times_never_go_back(backend: &dyn Backend) -> Outcome {
    let deliveries = three_at_different_times(backend).await?;
    let times: Vec<_> = deliveries.iter().map(|delivery| delivery.time).collect();
    holds(times.is_sorted() && times.first() < times.last(), || format!("{times:?}"))
}

pub(super) async fn positions_rise(backend: &dyn Backend) -> Outcome {
    let deliveries = three_at_different_times(backend).await?;
    let rise = deliveries.windows(2).all(|pair| pair[0].position < pair[1].position);
    holds(rise, || format!("{deliveries:?}"))
}

async fn three_at_different_times(backend: &dyn Backend) -> Outcome<Vec<Delivery>> {
    let broker = backend.fresh().await;
    for word in ["a", "b", "c"] {
        say(&*broker, word).await?;
        tick().await;
    }
    read(&mut *broker.subscribe(LOG, Start::Oldest).await?, 3).await
}

pub(super) async fn topics_are_apart(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let mut other = broker.subscribe(OTHER_LOG, Start::Oldest).await?;
    say(&*broker, "mine").await?;
    nothing_more(&mut *other).await?;
    broker.publish(OTHER_LOG, FIRST, vec![message("theirs")]).await?;
    expect(&mut *other, "theirs").await
}

pub(super) async fn partitions_keep_their_own_order(backend: &dyn Backend) -> Outcome {
    const EACH: usize = 20;
    let broker = backend.fresh().await;
    let partitions: Vec<Partition> = (0..backend.partitions()).map(Partition).collect();
    for number in 0..EACH {
        for partition in &partitions {
            let body = format!("{}:{number}", partition.0);
            broker.publish(LOG, *partition, vec![message(body)]).await?;
        }
    }
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    let deliveries = read(&mut *subscription, EACH * partitions.len()).await?;
    for partition in partitions {
        let of_partition = deliveries.iter().filter(|delivery| delivery.partition == partition);
        let got: Vec<Bytes> = of_partition.map(|delivery| delivery.body.clone()).collect();
        let wanted = (0..EACH).map(|number| format!("{}:{number}", partition.0).into()).collect();
        same("partition", got, wanted)?;
    }
    nothing_more(&mut *subscription).await
}

pub(super) async fn bounds_enclose_what_is_kept(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let empty = broker.bounds(LOG).await?;
    let nothing = empty.values().all(|bounds| bounds.first == bounds.end);
    holds(nothing, || format!("of an empty topic: {empty:?}"))?;
    say(&*broker, "a b c").await?;
    let deliveries = read(&mut *broker.subscribe(LOG, Start::Oldest).await?, 3).await?;
    let PartitionBounds { first, end } = first_bounds(&*broker).await?;
    same("first", first, deliveries[0].position)?;
    holds(end > deliveries[2].position, || format!("end {end:?} of {deliveries:?}"))?;
    say(&*broker, "d").await?;
    let mut next = broker.subscribe(LOG, Start::At([(FIRST, end)].into())).await?;
    let next = read(&mut *next, 1).await?;
    same("what `end` named", (next[0].position, &next[0].body[..]), (end, b"d"))
}

async fn first_bounds(broker: &dyn Broker) -> Outcome<PartitionBounds> {
    let bounds = broker.bounds(LOG).await?.get(&FIRST).copied();
    bounds.ok_or_else(|| "no bounds of the first partition".to_owned().into())
}
