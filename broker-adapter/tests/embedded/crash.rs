//! What the log is worth when the process, the power or the disk goes.

use std::sync::Arc;

use broker_adapter::{Broker, BrokerError, Embedded, EmbeddedConfig, Start};
use redb::{Database, TableDefinition};

use crate::disk::Disk;
use crate::{LOG, P0, at, heard, message, say};

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_the_loss_of_what_was_not_synced() {
    let disk = Disk::default();
    let log = disk.open().unwrap();
    for (words, so_far) in [("a b", "a b"), ("c", "a b c"), ("d", "a b c d")] {
        say(&log, words).await;
        let after_crash = disk.after_crash().open().unwrap();
        assert_eq!(heard(&after_crash, Start::Oldest).await, so_far);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_open_file_holds_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let database = Arc::new(Database::create(folder.path().join(name)).unwrap());
        Embedded::open(database, EmbeddedConfig::default(), || at(0)).unwrap()
    };
    let log = open("log");
    say(&log, "a b").await;
    say(&log, "c").await;

    std::fs::copy(folder.path().join("log"), folder.path().join("copy")).unwrap();

    assert_eq!(heard(&open("copy"), Start::Oldest).await, "a b c");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_makes_the_log_unavailable_and_costs_nothing_acknowledged() {
    let disk = Disk::default();
    let log = disk.open().unwrap();
    say(&log, "a b").await;

    disk.fill();

    for _ in 0..2 {
        let refused = log.publish(LOG, P0, vec![message("c")]).await;
        assert!(matches!(refused, Err(BrokerError::Unavailable(_))), "{refused:?}");
    }
    let after = disk.after_crash().open().unwrap();
    assert_eq!(heard(&after, Start::Oldest).await, "a b");
}

#[test]
fn a_file_of_another_shape_is_refused() {
    const MESSAGES: TableDefinition<u64, u64> = TableDefinition::new("broker.messages");
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path().join("log")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(MESSAGES).unwrap();
    transaction.commit().unwrap();

    let opened = Embedded::open(Arc::new(database), EmbeddedConfig::default(), || at(0));

    assert!(matches!(opened, Err(BrokerError::Refused(_))), "{opened:?}");
}
