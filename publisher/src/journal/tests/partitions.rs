//! Streams of several partitions, and journals that were written with others.

use super::*;

/// A site of each of two partitions.
const SITES: [&str; 2] = ["site-0", "site-1"];

fn stream(site: &str, partitions: u32) -> Stream {
    Stream::of_site(Priority::Normal, &site.parse().unwrap(), partitions)
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
