//! A process that dies at any byte of what it writes: the next one has all that was promised, and each once.

use fastrand::Rng;
use schemas::LogMessage;

use super::super::ahead::{Entry, Kept};
use super::super::commit::Wish;
use super::files::AHEAD;
use super::*;

/// What one acceptance was promised, and the files right after that.
struct Step {
    receipt: Receipt,
    invalidation: Invalidation,
    files: Files,
}

/// A journal that accepts one after the other; now and then somebody else makes the store keep all of it.
async fn live(shared: bool, steps: usize, rng: &mut Rng) -> Vec<Step> {
    let folder = TempDir::new().unwrap();
    // Nobody waits for a broker: the clock stands still, and the store is settled only below.
    let store = JournalStore::open(folder.path()).unwrap();
    let world = Lives { ack_wait: Duration::ZERO, ..Lives::new(store, shared) };
    let life = world.begin();
    let mut lived = Vec::new();
    for step in 0..steps {
        let invalidation = if rng.bool() {
            world.large(rng.usize(..3_000))
        } else {
            world.invalidation(Priority::Critical, "tag")
        };
        let key = asked(u8::try_from(step).unwrap(), 1);
        let receipt = life.journal.accept(invalidation.clone(), Some(key)).await.unwrap();
        if rng.u8(..4) == 0 {
            world.store.database().begin_write().unwrap().commit().unwrap();
        }
        if rng.u8(..8) == 0 {
            life.desk.lock().settle().unwrap();
        }
        lived.push(Step { receipt, invalidation, files: Files::in_folder(folder.path()) });
    }
    life.end().await;
    lived
}

/// What a crash leaves that comes while the next record is written, after some of its bytes.
fn torn(before: &Step, after: &Step, rng: &mut Rng) -> Files {
    let (mut files, mut next) = (before.files.clone(), after.files.clone());
    let (ahead, next) = (files.of(AHEAD), next.of(AHEAD));
    ahead.resize(next.len(), 0);
    let differ = |at: &usize| ahead[*at] != next[*at];
    if let Some(first) = (0..next.len()).find(differ) {
        let end = (first..next.len()).rfind(differ).map_or(first, |last| last + 1);
        let cuts = [first, rng.usize(first..end), rng.usize(first..end), end];
        let cut = cuts[rng.usize(..cuts.len())];
        ahead[first..cut].copy_from_slice(&next[first..cut]);
    }
    files
}

/// Opens these: all of the steps are there and each once, and perhaps the next one.
async fn check(files: &Files, shared: bool, steps: &[Step], next: &Step) -> bool {
    let folder = files.lay_out();
    // What a life takes again, the next one finds, whose file still says it.
    drop(JournalStore::open(folder.path()).unwrap());
    let store = JournalStore::open(folder.path()).unwrap();
    let world = Lives { ack_wait: Duration::ZERO, ..Lives::new(store, shared) };
    let life = world.begin();
    for (key, Step { receipt, invalidation, .. }) in (0..).zip(steps) {
        let kept = life.journal.find(receipt.id).await.unwrap();
        assert_eq!(kept, Some((receipt.place, invalidation.clone())));
        let again = Invalidation { id: Uuid::new_v4(), ..invalidation.clone() };
        let again = life.journal.accept(again, Some(asked(key, 1))).await.unwrap();
        assert_eq!((again.id, again.place), (receipt.id, receipt.place), "a repetition");
    }
    let landed = life.journal.find(next.receipt.id).await.unwrap().is_some();
    let mut framed = 0;
    for stream in [NORMAL, CRITICAL] {
        let stored = life.stored(stream).await;
        framed += stored.len();
        if shared {
            assert_eq!(world.logged(stream).await, stored);
            let Reach { end, forwarded } = *life.journal.watch(stream).borrow();
            assert_eq!((end, forwarded), (stored.len() as u64, end), "nothing waits");
        }
    }
    assert_eq!(framed, steps.len() + usize::from(landed), "each is in one frame");
    life.end().await;
    landed
}

#[test]
fn whenever_it_dies_what_was_promised_is_there_and_once() {
    run(async {
        let mut rng = Rng::with_seed(11);
        let mut landed = 0;
        for shared in [false, true] {
            let steps = live(shared, 25, &mut rng).await;
            for done in 1..steps.len() {
                let files = torn(&steps[done - 1], &steps[done], &mut rng);
                landed += usize::from(check(&files, shared, &steps[..done], &steps[done]).await);
            }
        }
        assert!((5..43).contains(&landed), "{landed} of 48 that nobody was told of");
    });
}

/// What such a record says may be at the broker by then: its numbers must never be given again.
#[test]
fn nothing_is_committed_after_a_record_that_the_store_has_not_taken() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = JournalStore::open(folder.path()).unwrap();
        let world = Lives { ack_wait: Duration::ZERO, ..Lives::new(store, false) };
        let life = world.begin();
        life.journal.accept(world.large(1), None).await.unwrap();
        let last = life.journal.accept(world.large(1), None).await.unwrap().place;
        let (owed, now) = (world.large(1), world.clock.now());
        let frame = Frame {
            publisher: "p1".parse().unwrap(),
            line: last.line,
            first: last.number + 1,
            committed_at: now,
            invalidations: vec![owed.clone()],
            signature: None,
        };
        let bytes = wire::encode_log(&LogMessage::Frame(frame));
        let kept = Kept { stream: NORMAL, sequence: 2, forwarded: 0, bytes };
        let entry = Entry { at: now, shared: false, frames: vec![kept], keys: Vec::new() };
        {
            let mut desk = life.desk.lock();
            let ahead = Arc::clone(desk.ahead.as_ref().unwrap());
            assert!(ahead.lock().write(&entry).unwrap(), "it is durable");
            let weighed = desk.scales.weigh(world.large(1));
            assert!(desk.commit(vec![Wish { weighed, idempotency: None }], now).is_err());
            assert!(desk.tidy(now, 1).is_err());
            assert!(desk.settle().is_err());
        }
        let folder = Files::in_folder(folder.path()).lay_out();
        let world = Lives::new(JournalStore::open(folder.path()).unwrap(), false);
        let next = world.begin();
        let place = Place { line: last.line, number: last.number + 1 };
        assert_eq!(next.journal.find(owed.id).await.unwrap(), Some((place, owed)));
        next.end().await;
    });
}

/// A store that was put back from an older copy is not what the file belongs to.
#[test]
fn a_file_that_another_life_of_the_store_has_left_is_void() {
    run(async {
        let folder = TempDir::new().unwrap();
        let accept = async |files: Option<Files>| {
            let world = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
            let life = world.begin();
            for _ in 0..3 {
                life.journal.accept(world.large(100), None).await.unwrap();
            }
            let mut killed = Files::in_folder(folder.path());
            life.end().await;
            let frames = world.logged(NORMAL).await.len();
            if let Some(mut older) = files {
                *older.of(AHEAD) = killed.of(AHEAD).clone();
                return (older, frames);
            }
            drop(world);
            (Files::in_folder(folder.path()), frames)
        };
        let (older, before) = accept(None).await;
        let (mixed, after) = accept(Some(older)).await;
        assert_eq!((before, after), (3, 6));
        let folder = mixed.lay_out();
        let world = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
        assert_eq!(world.logged(NORMAL).await.len(), 3);
    });
}

/// What does not fit into the file any more is durable in the store, and the file begins anew.
#[test]
fn a_file_that_is_full_begins_anew_and_what_it_held_is_in_the_store() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = JournalStore::open(folder.path()).unwrap();
        let world = Lives { ack_wait: Duration::ZERO, ..Lives::new(store, true) };
        let life = world.begin();
        let mut promised = Vec::new();
        for _ in 0..50 {
            promised.push(life.journal.accept(world.large(400_000), None).await.unwrap());
        }
        let mut killed = Files::in_folder(folder.path());
        life.end().await;
        assert!(killed.of(AHEAD).len() <= 8 << 20);
        let folder = killed.lay_out();
        let reborn = Lives::new(JournalStore::open(folder.path()).unwrap(), true);
        let life = reborn.begin();
        for receipt in &promised {
            let (place, _) = life.journal.find(receipt.id).await.unwrap().expect("promised");
            assert_eq!(place, receipt.place);
        }
        life.end().await;
    });
}
