//! Streams of several partitions, and journals that were written with others.

use super::*;

/// A site of each of two partitions.
const SITES: [&str; 2] = ["site-0", "site-1"];

fn stream(site: &str, partitions: u32) -> Stream {
    Stream::of_site(Priority::Normal, &site.parse().unwrap(), partitions)
}

fn announced(message: &Bytes) -> Incarnation {
    match wire::decode_board(message).unwrap() {
        BoardMessage::Incarnation(incarnation) => incarnation,
        other => panic!("{other:?} is not an incarnation"),
    }
}

#[test]
fn sites_are_spread_over_lines_of_their_own_and_one_incarnation_names_them_all() {
    run(async {
        for shared in [false, true] {
            let mut world = Lives::new(JournalStore::in_memory().unwrap(), shared);
            world.partitions = 4;
            let life = world.begin();
            let wishes: Vec<_> =
                (0..40).map(|n| world.of_site(Priority::Normal, &format!("site-{n}"))).collect();
            let all = wishes.iter().map(|wish| life.journal.accept(wish.clone(), None));
            let receipts = futures::future::join_all(all).await;
            let mut lines: BTreeMap<Stream, BTreeSet<LineId>> = BTreeMap::new();
            for (wish, receipt) in wishes.iter().zip(receipts) {
                let receipt = receipt.unwrap();
                lines.entry(stream(wish.site.as_str(), 4)).or_default().insert(receipt.place.line);
                let found = life.journal.find(receipt.id).await.unwrap();
                assert_eq!(found, Some((receipt.place, wish.clone())));
            }
            assert_eq!(lines.len(), 4);
            for (stream, lines) in &lines {
                assert_eq!(lines.len(), 1, "one line per stream");
                let frames = life.stored(*stream).await;
                assert_eq!(frames.len(), 1, "one frame per commit");
                assert_eq!(BTreeSet::from([frames[0].line]), *lines);
                let logged = if shared { frames } else { Vec::new() };
                assert_eq!(world.logged(*stream).await, logged);
            }
            let said = announced(&life.journal.announced().await.unwrap().unwrap());
            assert_eq!(said.lines.len(), 8, "four partitions of two priorities");
            assert!(lines.values().flatten().all(|line| said.lines.contains(line)));
            life.end().await;
        }
    });
}

#[test]
fn lines_of_partitions_that_are_gone_are_forwarded_repaired_and_closed() {
    run(async {
        let mut world = Lives::new(JournalStore::in_memory().unwrap(), false);
        world.partitions = 2;
        let [zero, one] = SITES.map(|site| stream(site, 2));
        assert_ne!(zero, one, "the sites of this test lie apart");
        let life = world.begin();
        let mut old = Vec::new();
        for site in SITES.into_iter().chain(SITES) {
            let wish = world.of_site(Priority::Normal, site);
            old.push(life.journal.accept(wish, None).await.unwrap().place);
        }
        life.end().await;

        world.partitions = 1;
        let life = world.begin();
        let far = [zero, one].into_iter().find(|stream| stream.partition == Partition(1)).unwrap();
        assert!(life.journal.streams().contains(&far), "it is still forwarded");
        let standing = life.journal.standing(world.clock.now()).await.unwrap();
        assert_eq!((standing.unforwarded, standing.heads[&far].as_slice()), (4, &[][..]));
        life.journal.forwarded(far, 2);
        let standing = life.journal.standing(world.clock.now()).await.unwrap();
        let [(far_line, 2)] = standing.heads[&far][..] else { panic!("{standing:?}") };
        let kept = life.journal.kept(far_line, NumberRange { first: 1, last: 2 }, 9_999).await;
        let kept = kept.unwrap().unwrap();
        assert_eq!((kept.stream, kept.frames.len()), (far, 2), "repaired where it was spoken");

        for site in SITES {
            let new = life.journal.accept(world.of_site(Priority::Normal, site), None).await;
            let new = new.unwrap().place;
            assert!(old.iter().all(|old| old.line != new.line));
        }
        let said = announced(&life.journal.announced().await.unwrap().unwrap());
        let both: BTreeSet<_> = old[..2].iter().map(|place| (place.line, 2)).collect();
        assert_eq!((said.lines.len(), said.closes.into_iter().collect()), (2, both));
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
