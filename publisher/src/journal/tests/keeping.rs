//! What a journal keeps, for how long, and what it takes no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[test]
fn heads_tell_what_the_broker_has_of_every_line() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), false);
        let wish = || world.invalidation(Priority::Normal, "t");
        let life = world.begin();
        let old = life.journal.accept(wish(), None).await.unwrap();
        assert_eq!(old.durable, Durable::Journal, "nobody forwards");
        life.journal.forwarded(NORMAL, 1);
        life.end().await;
        let life = world.begin();
        let mut new = Vec::new();
        for _ in 0..3 {
            new.push(life.journal.accept(wish(), None).await.unwrap().place);
        }
        let heads = async || {
            let standing = life.journal.standing(world.clock.now()).await.unwrap();
            (standing.heads[&NORMAL].clone(), standing.unforwarded)
        };
        assert_eq!(heads().await, (vec![(old.place.line, 1)], 3));
        life.journal.forwarded(NORMAL, 3);
        let (mut lines, waiting) = heads().await;
        lines.sort();
        let mut expected = vec![(old.place.line, 1), (new[0].line, 2)];
        expected.sort();
        assert_eq!((lines, waiting), (expected, 1));
        life.end().await;
    });
}

#[test]
fn frames_are_found_by_any_number_they_carry() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        let life = world.begin();
        let mut one_line = None;
        for count in [3, 1, 4] {
            let all = (0..count).map(|_| world.invalidation(Priority::Critical, "t"));
            let all = all.map(|wish| life.journal.accept(wish, None));
            one_line = futures::future::join_all(all).await.pop().map(|r| r.unwrap().place.line);
        }
        let one_line = one_line.unwrap();
        let kept = async |first, last, bytes_max| {
            let numbers = NumberRange { first, last };
            let kept = life.journal.kept(one_line, numbers, bytes_max).await.unwrap().unwrap();
            assert_eq!((kept.stream, kept.gone), (CRITICAL, vec![]));
            let found = kept.frames.iter().map(|frame| frame.first.number).collect::<Vec<_>>();
            (found, kept.rest.map(|rest| (rest.first, rest.last)))
        };
        assert_eq!(kept(2, 2, 9_999).await, (vec![1], None));
        assert_eq!(kept(3, 5, 9_999).await, (vec![1, 4, 5], None));
        assert_eq!(kept(6, 100, 9_999).await, (vec![5], None), "what comes later is not gone");
        assert_eq!(kept(1, 100, 1).await, (vec![1], Some((4, 100))));
        let stranger = NumberRange { first: 1, last: 1 };
        assert_eq!(life.journal.kept(LineId::random(), stranger, 9).await.unwrap(), None);
        life.end().await;
    });
}

#[test]
fn forwarded_frames_make_room_and_unforwarded_ones_are_never_dropped() {
    run(async {
        let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
        world.limits.bytes = 100_000;
        let life = world.begin();
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(life.journal.accept(world.large(30_000), None).await.unwrap().id);
        }
        let full = life.journal.accept(world.large(30_000), Some(asked(1, 1))).await;
        assert_eq!(full, Err(Refusal::Full));
        for id in &kept {
            assert!(life.journal.find(*id).await.unwrap().is_some(), "{id} was dropped");
        }
        life.journal.forwarded(NORMAL, 1);
        let taken = life.journal.accept(world.large(30_000), Some(asked(1, 1))).await.unwrap();
        assert_eq!(taken.place.number, 4, "it takes again, and the refused one took no number");
        assert_eq!(life.journal.find(kept[0]).await.unwrap(), None);
        assert!(life.journal.find(kept[1]).await.unwrap().is_some());
        life.end().await;
    });
}

#[test]
fn old_frames_leave_once_the_broker_has_them() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), false);
        let life = world.begin();
        let old = life.journal.accept(world.large(10), None).await.unwrap().id;
        let waiting = life.journal.accept(world.large(10), None).await.unwrap().id;
        life.journal.forwarded(NORMAL, 1);
        tokio::time::sleep(Duration::from_mins(59)).await;
        assert!(life.journal.find(old).await.unwrap().is_some(), "it is not old yet");
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert_eq!(life.journal.find(old).await.unwrap(), None);
        assert!(life.journal.find(waiting).await.unwrap().is_some());
        life.end().await;
    });
}

#[test]
fn a_disk_without_room_is_refused_until_it_has_some() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), true);
        let life = world.begin();
        let free = Arc::new(AtomicU64::new(1 << 20));
        let told = Arc::clone(&free);
        life.desk.lock().disk = Arc::new(disk::Disk::pretend(move || told.load(Ordering::Relaxed)));
        let refused = life.journal.accept(world.large(10), None).await;
        assert_eq!(refused, Err(Refusal::DiskFull));
        free.store(1 << 30, Ordering::Relaxed);
        assert_eq!(life.journal.accept(world.large(10), None).await.unwrap().place.number, 1);
        life.end().await;
    });
}

#[test]
fn numbers_are_gone_that_left_or_that_only_a_newer_copy_of_the_journal_gave() {
    run(async {
        let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
        world.limits.bytes = 100_000;
        let life = world.begin();
        let mut places = Vec::new();
        for n in 1..=4 {
            places.push(life.journal.accept(world.large(30_000), None).await.unwrap().place);
            life.journal.forwarded(NORMAL, n);
        }
        let of = places[0].line;
        let hole = NumberRange { first: 1, last: 9 };
        let gone = async |life: &lives::Life| {
            let kept = life.journal.kept(of, hole, 1 << 20).await.unwrap().unwrap();
            let frames = kept.frames.iter().map(|frame| frame.first.number).collect::<Vec<_>>();
            (kept.gone.iter().map(|gone| (gone.first, gone.last)).collect::<Vec<_>>(), frames)
        };
        assert_eq!(gone(&life).await, (vec![(1, 1)], vec![2, 3, 4]), "5 is yet to come");
        life.end().await;
        let life = world.begin();
        assert_eq!(
            gone(&life).await,
            (vec![(1, 1), (5, 9)], vec![2, 3, 4]),
            "nobody gives 5 any more, whether or not this life has begun to number"
        );
        life.end().await;
    });
}

#[test]
fn lines_closed_for_long_are_told_of_no_more_but_while_the_broker_lacks_some() {
    run(async {
        let world = Lives::new(JournalStore::in_memory().unwrap(), false);
        let life = world.begin();
        let wish = || world.invalidation(Priority::Normal, "t");
        let old = life.journal.accept(wish(), None).await.unwrap().place.line;
        life.end().await;
        let life = world.begin();
        let new = life.journal.accept(wish(), None).await.unwrap().place.line;
        let lines = async || {
            let standing = life.journal.standing(world.clock.now()).await.unwrap();
            standing.heads[&NORMAL].iter().map(|(line, _)| *line).collect::<BTreeSet<_>>()
        };
        let unforwarded =
            async || life.journal.standing(world.clock.now()).await.unwrap().unforwarded;
        tokio::time::sleep(Duration::from_hours(26)).await;
        assert_eq!((lines().await, unforwarded().await), (BTreeSet::new(), 2));
        life.journal.forwarded(NORMAL, 2);
        assert_eq!(lines().await, [new].into(), "an hour and a day after {old} was closed");
        life.end().await;
    });
}

#[test]
fn a_line_closed_for_long_is_forgotten_only_when_its_last_frame_has_left() {
    run(async {
        let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
        world.limits.age = Duration::from_hours(1_000);
        let wish = || world.invalidation(Priority::Normal, "t");
        let life = world.begin();
        let old = life.journal.accept(wish(), None).await.unwrap().place.line;
        life.end().await;
        let mut closed = Vec::new();
        for forwarded in [0, 0, 1] {
            let life = world.begin();
            life.journal.accept(wish(), None).await.unwrap();
            let said = announced(&life.journal.announced().await.unwrap().unwrap());
            closed.push(said.closes.iter().any(|(line, _)| *line == old));
            life.journal.forwarded(NORMAL, forwarded);
            tokio::time::sleep(Duration::from_hours(26)).await;
            life.end().await;
        }
        assert_eq!(closed, [true, true, true], "the broker lacks its frame");
        let life = world.begin();
        life.journal.accept(wish(), None).await.unwrap();
        let said = announced(&life.journal.announced().await.unwrap().unwrap());
        assert!(said.closes.iter().all(|(line, _)| *line != old), "nobody needs it any more");
        life.end().await;
    });
}

#[test]
fn while_something_waits_for_too_long_nothing_more_is_taken() {
    run(async {
        let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
        world.limits.age = Duration::from_mins(10);
        let life = world.begin();
        let wish = || world.invalidation(Priority::Normal, "t");
        life.journal.accept(wish(), Some(asked(1, 1))).await.unwrap();
        tokio::time::sleep(Duration::from_mins(9)).await;
        life.journal.accept(wish(), None).await.unwrap();
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(life.journal.accept(wish(), None).await, Err(Refusal::Overdue));
        assert!(life.journal.accept(wish(), Some(asked(1, 1))).await.is_ok(), "it is known");
        life.journal.forwarded(NORMAL, 1);
        assert_eq!(life.journal.accept(wish(), None).await.unwrap().place.number, 3);
        life.end().await;
    });
}
