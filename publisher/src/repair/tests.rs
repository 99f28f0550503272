//! Holes that lanes report, and what they are answered, under paused time.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use schemas::{LineReport, Number, Priority};

use super::*;
use crate::forwarder::tests::bus::{Bus, BusPlan, Judging, NORMAL, log, places, store};
use crate::journal::JournalStore;
use crate::samples::{self, lane_report};
use tokio::time::sleep;

/// Reports that a lane lacks `first` to `last`, and lets a second pass.
async fn report(bus: &Bus, line: LineId, first: Number, last: Number) {
    static SEQUENCE: AtomicU64 = AtomicU64::new(1);
    let lacking = LineReport { holes: vec![NumberRange { first, last }], ..LineReport::new(line) };
    let report = Report {
        sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
        ..samples::report("edge-1", "eu", lane_report(vec![lacking]))
    };
    let body = wire::encode_board(&BoardMessage::Report(Box::new(report)));
    let message = Message { key: Some("edge-1".to_owned()), id: None, body };
    let board = Topic::board(REPORTS_BOARD);
    bus.log.publish(board, Partition::default(), vec![message]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
}

/// What was said to be lost on a stream.
async fn lost(bus: &Bus, stream: Stream) -> Vec<(LineId, Number, Number)> {
    let landed = bus.landed(stream).await;
    let lost = landed.iter().filter_map(|bytes| match wire::decode_log(bytes).unwrap() {
        LogMessage::Lost(Lost { publisher, line, numbers }) => {
            assert_eq!(publisher.as_str(), "p1");
            Some((line, numbers.first, numbers.last))
        }
        _ => None,
    });
    lost.collect()
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_byte_for_byte_and_not_again_for_ten_seconds() {
    let log = log();
    let bus = Bus::start(store(), &log, Arc::new(log.clone()));
    let mut line = LineId::from_bytes([0; 16]);
    for _ in 0..5 {
        line = bus.accept().await.0.line;
    }
    let before = bus.landed(NORMAL).await;
    report(&bus, line, 2, 3).await;
    report(&bus, line, 2, 3).await;
    report(&bus, LineId::random(), 2, 3).await;
    let after = bus.landed(NORMAL).await;
    assert_eq!(after[5..], before[1..3], "sent again once, and only what is missing");
    sleep(Duration::from_secs(10)).await;
    report(&bus, line, 2, 3).await;
    assert_eq!(bus.landed(NORMAL).await.len(), 9, "it is still missing");
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_lands_at_a_broker_that_remembers_the_ids_of_what_it_has_lost() {
    let log = log();
    let ids: Mutex<std::collections::HashSet<String>> = Mutex::default();
    let lossy = Judging::new(&log, Duration::ZERO, move |_, messages: &[Message]| {
        let mut ids = ids.lock();
        let new: Vec<bool> =
            messages.iter().filter_map(|m| m.id.clone()).map(|id| ids.insert(id)).collect();
        // What comes under the id of the first attempt is acknowledged and gone.
        let first_attempt =
            messages.iter().any(|m| m.id.as_ref().is_some_and(|id| id.ends_with(".0")));
        Ok(!first_attempt && new.into_iter().all(|new| new))
    });
    let bus = Bus::start(store(), &log, lossy);
    let place = bus.accept().await.0;
    assert_eq!(bus.landed_places().await, []);
    for times in 1..=2 {
        report(&bus, place.line, 1, 1).await;
        assert_eq!(
            bus.landed_places().await,
            vec![place; times],
            "each repair has an id of its own"
        );
        sleep(Duration::from_secs(10)).await;
    }
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_on_the_partition_of_its_line() {
    let log = log();
    let plan = BusPlan { partitions: 8, ..BusPlan::default() };
    let bus = Bus::planned(plan, store(), &log, Arc::new(log.clone()));
    for site in ["shop", "blog", "news"] {
        let site: schemas::SiteName = site.parse().unwrap();
        let stream = Stream::of_site(Priority::Normal, &site, 8);
        let wish = schemas::Invalidation { site, ..bus.invalidation() };
        let place = bus.accept_this(wish).await.0;
        report(&bus, place.line, 1, 1).await;
        let landed = bus.landed(stream).await;
        assert_eq!(landed.iter().filter(|frame| places(frame) == [place]).count(), 2);
    }
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn numbers_that_have_left_the_journal_are_said_to_be_lost() {
    let log = log();
    let plan = BusPlan { journal_bytes: 100_000, ..BusPlan::default() };
    let bus = Bus::planned(plan, store(), &log, Arc::new(log.clone()));
    let mut line = LineId::from_bytes([0; 16]);
    for _ in 0..5 {
        line = bus.accept_this(bus.large(30_000)).await.0.line;
    }
    report(&bus, line, 1, 3).await;
    report(&bus, line, 1, 3).await;
    assert_eq!(lost(&bus, NORMAL).await, [(line, 1, 2)], "once, and only what is gone");
    let frames = bus.landed(NORMAL).await.len() - 1;
    assert_eq!(frames, 6, "3 was sent again");
    report(&bus, line, 9, 9).await;
    assert_eq!(lost(&bus, NORMAL).await.len(), 1, "9 is yet to come");
    sleep(Duration::from_secs(10)).await;
    report(&bus, line, 1, 3).await;
    assert_eq!(lost(&bus, NORMAL).await.len(), 2, "whoever did not hear it is told again");
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_restored_from_an_older_copy_repairs_what_it_knows_and_says_what_is_lost() {
    let log = log();
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(JournalStore::open(folder.path()).unwrap(), &log, Arc::new(log.clone()));
    let line = bus.accept().await.0.line;
    bus.end().await;
    // The copy of a stopped publisher's folder has the line of its first life only.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let bus = Bus::start(JournalStore::open(folder.path()).unwrap(), &log, Arc::new(log.clone()));
    let newer = bus.accept().await.0;
    bus.accept().await;
    bus.end().await;
    let before = log.bounds(NORMAL.topic()).await.unwrap();
    let bus = Bus::start(JournalStore::open(copy.path()).unwrap(), &log, Arc::new(log.clone()));
    report(&bus, line, 1, 3).await;
    assert_eq!(lost(&bus, NORMAL).await, [(line, 2, 3)], "it never gave more than one number");
    report(&bus, newer.line, 1, 2).await;
    assert_eq!(lost(&bus, NORMAL).await.len(), 1, "of that line it knows nothing");
    let after = log.bounds(NORMAL.topic()).await.unwrap();
    assert_eq!(after[&NORMAL.partition].end.0, before[&NORMAL.partition].end.0 + 2);
    let fresh = bus.accept().await.0;
    assert!(fresh.line != line && fresh.line != newer.line && fresh.number == 1);
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn anyone_says_that_numbers_of_a_retired_publisher_are_lost() {
    let log = log();
    let retired = LineId::random();
    let plan = BusPlan { retired: Arc::new(move |line| line == retired), ..BusPlan::default() };
    let bus = Bus::planned(plan, store(), &log, Arc::new(log.clone()));
    report(&bus, LineId::random(), 4, 6).await;
    report(&bus, retired, 4, 6).await;
    report(&bus, retired, 4, 6).await;
    assert_eq!(lost(&bus, NORMAL).await, [(retired, 4, 6)]);
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_hole_is_filled_at_a_pace_that_lets_live_frames_pass() {
    let log = log();
    let bus = Bus::start(store(), &log, Arc::new(log.clone()));
    let mut line = LineId::from_bytes([0; 16]);
    for _ in 0..280 {
        line = bus.accept_this(bus.large(60_000)).await.0.line;
    }
    let begun = Instant::now();
    let mut again = 0;
    while again < 280 {
        report(&bus, line, 1, 280).await;
        again = bus.landed_places().await.len() - 280;
        assert!(begun.elapsed() < Duration::from_secs(9), "{again}");
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?} for 16 MiB", begun.elapsed());
    assert_eq!(again, 280, "each once");
    bus.end().await;
}
