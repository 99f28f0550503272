//! What the log forgets, and what it does not.

use std::time::Duration;

use broker_adapter::{Broker, EmbeddedConfig, Message, Removed, Start};

use crate::{BOARD, LOG, P0, at, heard, in_memory, message, read_all, say};

fn for_seconds(seconds: u64) -> EmbeddedConfig {
    EmbeddedConfig { retention: Duration::from_secs(seconds), ..EmbeddedConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_retention_goes() {
    let (log, hand) = in_memory(for_seconds(10));
    for (second, word) in [(0, "a"), (5, "bb"), (9, "ccc")] {
        hand.set(second);
        say(&log, word).await;
    }

    let removed = log.retain(at(16)).await.unwrap();

    assert_eq!(removed, Removed { messages: 2, bytes: 3 });
    assert_eq!(heard(&log, Start::Oldest).await, "ccc");
    assert_eq!(log.bounds(LOG).await.unwrap()[&P0].first.0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_as_old_as_the_retention_stays() {
    let (log, _) = in_memory(for_seconds(10));
    say(&log, "a").await;
    assert_eq!(log.retain(at(10)).await.unwrap(), Removed::default());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_all_partitions_go_until_the_rest_fits() {
    let config = EmbeddedConfig { retention_bytes: 5, ..EmbeddedConfig::default() };
    let (log, hand) = in_memory(config);
    for (second, partition, body) in [(1, 1, "dddd"), (2, 0, "cc"), (3, 1, "bb"), (4, 0, "a")] {
        hand.set(second);
        let partition = broker_adapter::Partition(partition);
        log.publish(LOG, partition, vec![message(body)]).await.unwrap();
    }

    let removed = log.retain(at(5)).await.unwrap();

    assert_eq!(removed, Removed { messages: 1, bytes: 4 });
    assert_eq!(heard(&log, Start::Oldest).await, "cc a bb");
}

#[tokio::test(start_paused = true)]
async fn a_board_forgets_nothing() {
    let (log, _) = in_memory(EmbeddedConfig { retention_bytes: 0, ..for_seconds(1) });
    let message = Message { key: Some("x".to_owned()), ..message("1") };
    log.publish(BOARD, P0, vec![message]).await.unwrap();
    assert_eq!(log.retain(at(100)).await.unwrap(), Removed::default());
    assert_eq!(read_all(&log, BOARD, Start::Oldest).await.len(), 1);
}

#[tokio::test]
async fn publishers_get_in_between_while_much_is_removed() {
    let (log, _) = in_memory(for_seconds(1));
    let old = vec![message("old"); 5_000];
    log.publish(LOG, P0, old).await.unwrap();
    let retain = log.retain(at(100));
    let watch = async {
        // Removal is seen half done: it is not one transaction.
        loop {
            let first = log.bounds(LOG).await.unwrap()[&P0].first.0;
            if first > 0 {
                return first;
            }
        }
    };
    let (removed, first_seen) = tokio::join!(retain, watch);
    assert_eq!(removed.unwrap().messages, 5_000);
    assert!(first_seen < 5_000, "{first_seen} at once");
}
