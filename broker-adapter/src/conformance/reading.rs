//! What a reader may rely on while it reads.

use futures::{FutureExt, future};

use super::probe::{Outcome, expect, hears, holds, nothing_more, read, same, say, texts, tick};
use super::{Backend, LOG};
use crate::Start;

pub(super) async fn a_reader_at_the_end_wakes(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    for word in ["a", "b", "c"] {
        // The read waits already when the message is published.
        let publish = async {
            tokio::task::yield_now().await;
            tick().await;
            say(&*broker, word).await
        };
        let (heard, said) = future::join(expect(&mut *subscription, word), publish).await;
        said.and(heard)?;
    }
    Ok(())
}

pub(super) async fn a_dropped_read_loses_nothing(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let words: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    let mut got = Vec::new();
    for (turn, word) in words.iter().enumerate() {
        if let Some(early) = subscription.read(3).now_or_never() {
            got.extend(texts(&early?));
        }
        say(&*broker, word).await?;
        // Dropped after a few polls: before, while and after the backend fetches.
        let mut polls = 0..turn % 5;
        let patience = future::poll_fn(|context| {
            if polls.next().is_none() {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        tokio::select! {
            biased;
            batch = subscription.read(3) => got.extend(texts(&batch?)),
            () = patience => {}
        }
    }
    if got.len() < words.len() {
        got.extend(texts(&read(&mut *subscription, words.len() - got.len()).await?));
    }
    same("read", got, words)
}

pub(super) async fn a_batch_holds_one_to_max(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let words = ["a"; 30].join(" ");
    for max in [1, 4, 30] {
        say(&*broker, &words).await?;
        let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
        let mut left: usize = 30;
        while left > 0 {
            let batch = subscription.read(max).await?.len();
            holds((1..=max).contains(&batch), || format!("{batch} deliveries of max {max}"))?;
            left = left.saturating_sub(batch);
        }
    }
    Ok(())
}

pub(super) async fn readers_do_not_disturb_each_other(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    let mut fast = broker.subscribe(LOG, Start::Oldest).await?;
    let mut slow = broker.subscribe(LOG, Start::Oldest).await?;
    say(&*broker, "a b c d").await?;
    expect(&mut *fast, "a b c").await?;
    expect(&mut *slow, "a").await?;
    expect(&mut *fast, "d").await?;
    drop(fast);
    expect(&mut *slow, "b c d").await?;
    nothing_more(&mut *slow).await
}

pub(super) async fn a_new_subscription_reads_everything_again(backend: &dyn Backend) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b c").await?;
    for _ in 0..3 {
        hears(&*broker, Start::Oldest, "a b c").await?;
    }
    Ok(())
}

pub(super) async fn a_reader_overtaken_by_expiry_goes_on_at_the_oldest(
    backend: &dyn Backend,
) -> Outcome {
    let broker = backend.fresh().await;
    say(&*broker, "a b c").await?;
    let mut subscription = broker.subscribe(LOG, Start::Oldest).await?;
    expect(&mut *subscription, "a").await?;
    if backend.expire(&broker).await {
        say(&*broker, "d e").await?;
        // A backend that fetches ahead may still give what it has.
        let mut got = Vec::new();
        while got.last().is_none_or(|word| word != "e") {
            got.extend(texts(&read(&mut *subscription, 1).await?));
        }
        holds(got.ends_with(&["d".to_owned(), "e".to_owned()]), || format!("read {got:?}"))?;
        nothing_more(&mut *subscription).await?;
    }
    Ok(())
}
