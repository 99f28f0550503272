//! What the journal promises, over its life and its next ones.

mod crashes;
mod damage;
mod files;
mod keeping;
mod lives;
mod partitions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use broker_adapter::{Broker, Partition, Start, Topic};
use daemon::Stop;
use proptest::prelude::*;
use schemas::{BoardMessage, FRAME_BYTES_MAX, Frame, Incarnation, Number, PUBLISHERS_BOARD, wire};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use files::Files;
use lives::Lives;

/// Runs on one thread under paused time, so that nothing but the test decides what is concurrent.
fn run<F: Future>(test: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.unwrap(), test)
}

const NORMAL: Stream = Stream { priority: Priority::Normal, partition: Partition(0) };
const CRITICAL: Stream = Stream { priority: Priority::Critical, partition: Partition(0) };

fn asked(key: u8, request: u8) -> Idempotency {
    Idempotency { key: [key; 32], request: [request; 32] }
}

fn announced(message: &Bytes) -> Incarnation {
    match wire::decode_board(message).unwrap() {
        BoardMessage::Incarnation(incarnation) => incarnation,
        other => panic!("{other:?} is not an incarnation"),
    }
}

/// What a random user does.
#[derive(Debug, Clone)]
enum Act {
    /// Accepts this many at once, with this priority each.
    Accept(Vec<bool>),
    /// Asks for the same twice at once, and once more.
    Repeat(u8),
    /// Restarts.
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop::collection::vec(any::<bool>(), 1..40).prop_map(Act::Accept),
        1 => (0_u8..3).prop_map(Act::Repeat),
        1 => Just(Act::Reopen),
    ];
    prop::collection::vec(act, 1..12)
}

async fn numbers_hold(acts: Vec<Act>, shared: bool) {
    let world = Lives::new(JournalStore::in_memory().unwrap(), shared);
    let mut life = world.begin();
    let mut accepted: HashMap<Uuid, (Place, Invalidation)> = HashMap::new();
    let mut keys: BTreeMap<u8, Uuid> = BTreeMap::new();
    let mut lines_of_lives = vec![BTreeSet::new()];
    for act in acts {
        let (wishes, key): (Vec<Invalidation>, _) = match act {
            Act::Accept(priorities) => {
                let priority =
                    |critical| if critical { Priority::Critical } else { Priority::Normal };
                let wish = |critical| world.invalidation(priority(critical), "tag");
                (priorities.into_iter().map(wish).collect(), None)
            }
            Act::Repeat(key) => {
                let wish = || world.invalidation(Priority::Normal, "same");
                (vec![wish(), wish(), wish()], Some(key))
            }
            Act::Reopen => {
                life.end().await;
                life = world.begin();
                lines_of_lives.push(BTreeSet::new());
                continue;
            }
        };
        let idempotency = key.map(|key| asked(key, 7));
        let all = wishes.iter().map(|wish| life.journal.accept(wish.clone(), idempotency));
        let receipts = futures::future::join_all(all).await;
        for (wish, receipt) in wishes.into_iter().zip(receipts) {
            let receipt = receipt.unwrap();
            match key {
                None => assert_eq!((receipt.id, receipt.accepted_at), (wish.id, wish.accepted_at)),
                Some(key) => assert_eq!(*keys.entry(key).or_insert(receipt.id), receipt.id),
            }
            if receipt.id == wish.id {
                lines_of_lives.last_mut().unwrap().insert(receipt.place.line);
                assert_eq!(accepted.insert(wish.id, (receipt.place, wish)), None, "a second time");
            }
        }
    }
    let mut lines: BTreeMap<LineId, Vec<Number>> = BTreeMap::new();
    let mut framed = 0;
    for stream in life.journal.streams() {
        for frame in life.stored(stream).await {
            assert_eq!(frame.publisher, "p1".parse().unwrap());
            for (number, invalidation) in (frame.first..).zip(&frame.invalidations) {
                let place = Place { line: frame.line, number };
                assert_eq!(accepted[&invalidation.id], (place, invalidation.clone()));
                assert_eq!(invalidation.priority, stream.priority);
                lines.entry(frame.line).or_default().push(number);
                framed += 1;
            }
        }
        if shared {
            assert_eq!(world.logged(stream).await, life.stored(stream).await);
        }
    }
    assert_eq!(framed, accepted.len(), "each is in one frame");
    for numbers in lines.values() {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a gap in {numbers:?}");
    }
    for (id, found) in &accepted {
        assert_eq!(life.journal.find(*id).await.unwrap().as_ref(), Some(found));
    }
    for (at, lines) in lines_of_lives.iter().enumerate() {
        assert!(lines_of_lives[..at].iter().all(|earlier| earlier.is_disjoint(lines)));
    }
    life.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn numbers_run_without_a_gap_over_every_life(acts in acts(), shared in any::<bool>()) {
        run(numbers_hold(acts, shared));
    }
}

#[test]
fn concurrent_requests_share_a_frame() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        let life = world.begin();
        let wishes = (0..30).map(|_| world.invalidation(Priority::Normal, "t"));
        let all = wishes.map(|wish| life.journal.accept(wish, None));
        let receipts = futures::future::join_all(all).await;
        assert!(receipts.iter().all(|receipt| receipt.unwrap().durable == Durable::Broker));
        let frames = life.stored(NORMAL).await;
        assert_eq!(frames.len(), 1);
        assert_eq!(*life.numbered.lock(), frames_places(&frames), "told in the order of numbers");
        life.end().await;
    });
}

fn frames_places(frames: &[Frame]) -> Vec<Place> {
    let places = frames.iter().flat_map(|frame| {
        let numbers = frame.numbers();
        (numbers.first..=numbers.last).map(|number| Place { line: frame.line, number })
    });
    places.collect()
}

#[test]
fn frames_stay_below_their_limit_but_for_one_larger_invalidation() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), false);
        let life = world.begin();
        let sizes = [10, 30_000, 40_000, 10, 100_000, 10, 65_000, 400, 10, 10, 33_000, 32_000];
        let all = sizes.map(|bytes| life.journal.accept(world.large(bytes), None));
        futures::future::join_all(all).await;
        let frames = life.journal.frames_from(NORMAL, 0, usize::MAX).await.unwrap();
        for (stored, frame) in frames.iter().zip(life.stored(NORMAL).await) {
            let within = stored.bytes.len() <= FRAME_BYTES_MAX;
            assert!(within || frame.invalidations.len() == 1, "{} bytes", stored.bytes.len());
        }
        assert_eq!(frames.len(), 6, "no more frames than needed");
        life.end().await;
    });
}

#[test]
fn one_key_is_one_invalidation_and_another_body_under_it_is_a_conflict() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        let life = world.begin();
        let wish = |tag| world.invalidation(Priority::Normal, tag);
        let (first, second) = futures::join!(
            life.journal.accept(wish("a"), Some(asked(1, 1))),
            life.journal.accept(wish("a"), Some(asked(1, 1))),
        );
        assert_eq!(first, second);
        let conflict = life.journal.accept(wish("b"), Some(asked(1, 2))).await;
        assert_eq!(conflict, Err(Refusal::Conflict));
        life.end().await;

        let life = world.begin();
        assert_eq!(
            life.journal.accept(wish("a"), Some(asked(1, 1))).await,
            first,
            "in the next life too"
        );
        tokio::time::advance(Duration::from_hours(24) + Duration::from_millis(1)).await;
        life.desk.lock().tidy(world.clock.now(), 1_000).unwrap();
        let later = life.journal.accept(wish("a"), Some(asked(1, 1))).await.unwrap();
        assert_ne!(later.id, first.unwrap().id, "a day later it is another one");
        life.end().await;
    });
}

#[test]
fn an_incarnation_is_announced_with_the_last_numbers_of_those_before() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        let wish = || world.invalidation(Priority::Normal, "t");
        let life = world.begin();
        assert_eq!(life.journal.announced().await.unwrap(), None, "nothing accepted yet");
        let first = life.journal.accept(wish(), None).await.unwrap();
        let second = life.journal.accept(wish(), None).await.unwrap();
        life.end().await;
        let life = world.begin();
        let third = life.journal.accept(wish(), None).await.unwrap();
        assert_eq!((first.place.number, second.place.number, third.place.number), (1, 2, 1));

        let mut board =
            world.log.subscribe(Topic::board(PUBLISHERS_BOARD), Start::Oldest).await.unwrap();
        let said = board.read(10).await.unwrap().pop().unwrap();
        assert_eq!(said.key.as_deref(), Some("p1"));
        assert_eq!(life.journal.announced().await.unwrap(), Some(said.body.clone()));
        let Incarnation { lines, closes, .. } = announced(&said.body);
        assert!(lines.contains(&third.place.line) && lines.len() == 2);
        assert_eq!(closes, [(first.place.line, 2)], "the line nobody used is forgotten");
        life.end().await;
    });
}

#[test]
fn what_is_in_the_queue_at_a_stop_is_still_committed() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        for round in 0..10 {
            let life = world.begin();
            let all = (0..5).map(|_| world.invalidation(Priority::Normal, "t"));
            let all = all.map(|wish| life.journal.accept(wish, None));
            let mut all = futures::future::join_all(all);
            assert!(futures::poll!(&mut all).is_pending(), "all are in the queue");
            life.stop.request();
            for receipt in all.await {
                let id = receipt.unwrap_or_else(|error| panic!("round {round}: {error}")).id;
                assert!(life.journal.find(id).await.unwrap().is_some());
            }
            let late = life.journal.accept(world.invalidation(Priority::Normal, "t"), None).await;
            assert_eq!(late, Err(Refusal::Stopping));
            life.end().await;
        }
    });
}

#[test]
fn however_a_writer_ends_whoever_waits_for_the_broker_is_told_at_once() {
    run(async {
        for asked in [true, false] {
            let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
            world.ack_wait = Duration::from_hours(1);
            let (journal, writer) = world.open(Box::new(|_, _| {}));
            let stop = Stop::new();
            let mut writing = Box::pin(writer.run(stop.clone()));
            let mut accepting = Box::pin(journal.accept(world.large(10), None));
            let both = futures::future::select(&mut writing, &mut accepting);
            let committed = timeout(Duration::from_secs(1), both).await;
            assert!(committed.is_err(), "nobody forwards it");
            if asked {
                stop.request();
                writing.await.unwrap();
            } else {
                drop(writing);
            }
            let receipt = timeout(Duration::from_secs(1), accepting).await.expect("it is told");
            assert_eq!(receipt.unwrap().durable, Durable::Journal);
        }
    });
}

#[test]
fn a_copy_taken_at_any_moment_opens_with_everything_that_was_promised() {
    run(async {
        let folder = TempDir::new().unwrap();
        let world = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
        let life = world.begin();
        for round in 0..5 {
            let mut promised = Vec::new();
            for _ in 0..10 {
                promised.push(life.journal.accept(world.large(3_000), None).await.unwrap());
            }
            let other = Files::in_folder(folder.path()).lay_out();
            let reborn = Lives::new(JournalStore::open(other.path()).unwrap(), true);
            let next = reborn.begin();
            for receipt in &promised {
                let (place, _) = next.journal.find(receipt.id).await.unwrap().expect("promised");
                assert_eq!(place, receipt.place);
            }
            let fresh = next.journal.accept(reborn.large(10), None).await.unwrap();
            assert_ne!(fresh.place.line, promised[0].place.line, "round {round} reused a line");
            next.end().await;
        }
        life.end().await;
    });
}

#[test]
fn a_journal_in_use_or_damaged_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let open = JournalStore::open(folder.path()).unwrap();
    let path = folder.path().join("journal.redb");
    let second = JournalStore::open(folder.path()).unwrap_err().to_string();
    assert_eq!(
        second,
        format!(
            "another process uses the journal {}; give each publisher a folder of its own",
            path.display()
        )
    );
    drop(open);
    std::fs::write(&path, "not a journal at all, but longer than any header of one".repeat(99))
        .unwrap();
    let damaged = JournalStore::open(folder.path()).unwrap_err();
    assert!(matches!(&damaged, JournalError::Damaged { .. }), "{damaged:?}");
    assert!(damaged.to_string().contains(&path.display().to_string()));
}
