//! Group commit, the caller's own transaction, the broker's clock, and what a read takes.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Embedded, EmbeddedConfig, Partition, Start};
use futures::FutureExt;
use futures::future::{self, join_all};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::disk::Disk;
use crate::{BOARD, LOG, P0, at, heard, in_memory, message, read_all, say};

#[tokio::test]
async fn publishes_that_come_together_share_a_commit() {
    let disk = Disk::default();
    let log = disk.open().unwrap();
    let before = disk.syncs();
    say(&log, "alone").await;
    let syncs_of_one = disk.syncs() - before;
    assert!(syncs_of_one > 0);

    let before = disk.syncs();
    join_all((0..100).map(|_| say(&log, "together"))).await;

    let commits = (disk.syncs() - before) / syncs_of_one;
    assert!(commits <= 10, "{commits} commits for 100 publishes");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_leaves_holds_up_nobody() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    let mut leader = Box::pin(log.publish(LOG, P0, vec![message("leader")]));
    assert!(leader.as_mut().now_or_never().is_none());
    let mut follower = Box::pin(log.publish(LOG, P0, vec![message("follower")]));
    assert!(follower.as_mut().now_or_never().is_none());

    drop((leader, follower));

    let last = tokio::time::timeout(Duration::from_mins(1), say(&log, "last"));
    last.await.expect("the turn was passed on");
    assert!(heard(&log, Start::Oldest).await.ends_with("last"));
}

#[tokio::test(start_paused = true)]
async fn appending_is_one_commit_with_the_callers_own_tables() {
    const JOURNAL: TableDefinition<u64, u64> = TableDefinition::new("journal");
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let database = Arc::new(database);
    let log = Embedded::open(Arc::clone(&database), EmbeddedConfig::default(), || at(0)).unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let mut read = reader.read(9);
    let write = |number: u64, body: &'static str| {
        let transaction = database.begin_write().unwrap();
        transaction.open_table(JOURNAL).unwrap().insert(number, number).unwrap();
        log.append(&transaction, LOG, P0, &[message(body)], at(2)).unwrap();
        transaction
    };

    write(1, "taken back").abort().unwrap();
    let transaction = write(2, "kept");
    let early = tokio::time::timeout(Duration::from_secs(1), &mut read).await;
    assert!(early.is_err(), "read before the commit: {early:?}");
    transaction.commit().unwrap();
    log.committed(LOG);

    let read = tokio::time::timeout(Duration::from_secs(1), read)
        .await
        .expect("the reader wakes")
        .unwrap();
    assert_eq!((&read[0].body[..], read[0].position.0, read[0].time), (&b"kept"[..], 0, at(2)));
    let journal = database.begin_read().unwrap().open_table(JOURNAL).unwrap();
    assert!(journal.get(1).unwrap().is_none() && journal.get(2).unwrap().is_some());
}

#[tokio::test]
async fn no_wake_up_is_lost_between_looking_and_waiting() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    for round in 0..2_000 {
        let both = future::join(reader.read(1), say(&log, "a"));
        let woken = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert!(woken.is_ok(), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_is_held() {
    let (log, hand) = in_memory(EmbeddedConfig::default());
    for (second, word) in [(10, "a"), (5, "b"), (20, "c")] {
        hand.set(second);
        say(&log, word).await;
    }
    let times: Vec<_> =
        read_all(&log, LOG, Start::Oldest).await.into_iter().map(|one| one.time).collect();
    assert_eq!(times, [at(10), at(10), at(20)]);
    assert_eq!(heard(&log, Start::Since(at(7))).await, "a b c");
}

#[tokio::test(start_paused = true)]
async fn a_read_takes_four_mebibytes_but_always_one_message() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    let sizes = [1, 1, 1, 1, 1, 9, 1].map(|mebibytes| mebibytes << 20);
    let messages = sizes.map(|size| message(vec![0; size])).to_vec();
    log.publish(LOG, P0, messages).await.unwrap();
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    for wanted in [4, 1, 1, 1] {
        let read = tokio::time::timeout(Duration::from_secs(1), reader.read(10)).await;
        assert_eq!(read.expect("there is more").unwrap().len(), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_partition_does_not_starve_another() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    for partition in [Partition(0), Partition(1)] {
        log.publish(LOG, partition, vec![message("a"); 10]).await.unwrap();
    }
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let first = reader.read(2).await.unwrap();
    let second = reader.read(2).await.unwrap();
    assert_ne!(first[0].partition, second[0].partition);
}

#[tokio::test(start_paused = true)]
async fn a_board_refuses_a_message_without_a_key() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    let refused = log.publish(BOARD, P0, vec![message("a")]).await;
    assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_publish_that_nobody_attends_to_holds_up_no_other() {
    let (log, _) = in_memory(EmbeddedConfig::default());
    let mut unattended = Vec::new();
    for _ in 0..30 {
        let mut publish = Box::pin(log.publish(LOG, P0, vec![message("unattended")]));
        match futures::poll!(publish.as_mut()) {
            std::task::Poll::Ready(published) => published.unwrap(),
            std::task::Poll::Pending => unattended.push(publish),
        }
    }
    assert!(!unattended.is_empty(), "no commit takes no time");
    for _ in 0..3 {
        let other = tokio::time::timeout(Duration::from_secs(20), say(&log, "other"));
        other.await.expect("it is not held up");
    }
    for publish in unattended {
        publish.await.unwrap();
    }
}
