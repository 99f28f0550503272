//! What a healthy cache refused: kept, told, purged again, dropped.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use schemas::{
    ChosenLetters, DeadLetter, LaneReport, LetterState, Mode, Ordered, Outcome, Priority, Selector,
};

use crate::bench::{Behaviour, Bench, OneLine, number, tag};

const SECOND: Duration = Duration::from_secs(1);

/// A lane whose cache has refused one tag, long enough ago for that to be stored.
async fn refused() -> (Bench, u64) {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Refuses("bad".to_owned()));
    let bad = bench.publish(&[tag("bad")]).await;
    bench.until(|lane| lane.dead_letters.count == 1).await;
    bench.pass(3 * SECOND).await;
    (bench, bad)
}

async fn the_letter(bench: &Bench) -> DeadLetter {
    let mut told = bench.report("web", Priority::Normal).await.dead_letters;
    assert_eq!((told.count, told.newest.len()), (1, 1));
    told.newest.remove(0)
}

fn files(bench: &Bench) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(bench.state().join("dead-letters/web.normal")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

fn retry(letters: ChosenLetters) -> Ordered {
    Ordered::Retry { letters }
}

fn drop_all(reason: &str) -> Ordered {
    let (letters, reason) = (ChosenLetters::default(), reason.to_owned());
    Ordered::Drop { letters, reason, by: "ops".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_says_what_was_refused_and_survives_a_crash() {
    let (mut bench, bad) = refused().await;
    let letter = the_letter(&bench).await;
    assert_eq!((letter.selector.clone(), letter.mode), (tag("bad"), Mode::Hard));
    assert_eq!((letter.place.number, letter.invalidations, letter.tries), (bad, 1, 1));
    assert_eq!((&*letter.reason, letter.state), ("bad selector", LetterState::Refused));
    assert!(letter.first_seen > jiff::Timestamp::UNIX_EPOCH, "{}", letter.first_seen);
    assert_eq!(files(&bench).len(), 1);
    for clean in [false, true] {
        if clean {
            bench.stop().await;
        } else {
            bench.kill().await;
        }
        bench.pass(30 * SECOND).await;
        bench.start().await;
        assert_eq!(the_letter(&bench).await, letter);
    }
    let again = bench.publish(&[tag("bad")]).await;
    bench.until(|lane| lane.line().applied == again).await;
    let letter = the_letter(&bench).await;
    assert_eq!((letter.place.number, letter.invalidations, letter.tries), (again, 2, 2));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_a_report_has_no_room_for_are_counted_and_told_once_there_is() {
    let (mut bench, _) = refused().await;
    for number in 1..=120 {
        bench.publish(&[tag(&format!("bad-{number}"))]).await;
        bench.pass(SECOND / 10).await;
    }
    bench.until(|lane| lane.dead_letters.count == 121).await;
    let told = bench.report("web", Priority::Normal).await.dead_letters.newest;
    let first_and_last = [&told[0].selector, &told[99].selector];
    assert_eq!((told.len(), first_and_last), (100, [&tag("bad-120"), &tag("bad-21")]));
    assert_eq!(bench.metric("dead_letters", "web"), 121);

    let text = Some("bad-1".to_owned());
    let letters = ChosenLetters { text, ..ChosenLetters::default() };
    let what = Ordered::Drop { letters, reason: "gone".to_owned(), by: "ops".to_owned() };
    bench.orders(vec![bench.order_of(1, what)]).await;
    // bad-1, bad-10 to bad-19, and bad-100 to bad-120.
    bench.until(|lane| lane.dead_letters.count == 89).await;
    let told = bench.report("web", Priority::Normal).await.dead_letters.newest;
    assert_eq!((told.len(), &told[88].selector), (89, &tag("bad")), "the oldest too");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_counts_while_the_cache_refuses_and_settles_once_it_is_mended() {
    let (mut bench, bad) = refused().await;
    let letter = the_letter(&bench).await;
    let by_name = ChosenLetters { ids: vec![letter.id], ..ChosenLetters::default() };
    let first = bench.order_of(1, retry(by_name));
    bench.orders(vec![first.clone()]).await;
    bench.until(|lane| lane.obeyed == [first.id]).await;
    let tried = the_letter(&bench).await;
    assert_eq!((tried.id, tried.tries, tried.state), (letter.id, 2, LetterState::Refused));
    assert!(tried.last_tried > tried.first_seen && tried.first_seen == letter.first_seen);

    bench.behave("web", Behaviour::Works);
    bench.pass(600 * SECOND).await;
    assert_eq!(the_letter(&bench).await, tried, "an order is carried out once");
    let filter = ChosenLetters { text: Some("selector".to_owned()), ..ChosenLetters::default() };
    let second = bench.order_of(2, retry(filter));
    bench.orders(vec![first, second.clone()]).await;
    bench.until(|lane| lane.obeyed.contains(&second.id)).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert_eq!(lane.dead_letters.count, 0);
    assert_eq!((lane.line().exceptions, lane.line().finished), (Vec::new(), bad));
    assert_eq!(bench.purges("web"), ["tag bad", "tag bad"], "with its later pass");
    assert_eq!(files(&bench), Vec::<PathBuf>::new());
    bench.kill().await;
    bench.start().await;
    assert_eq!(bench.metric("dead_letters", "web"), 0);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_crash_interrupts_is_carried_out_after_it() {
    let (mut bench, _) = refused().await;
    bench.behave("web", Behaviour::Down);
    let order = bench.order_of(1, retry(ChosenLetters::default()));
    bench.orders(vec![order.clone()]).await;
    bench.until(|lane| lane.dead_letters.newest[0].state == LetterState::Retrying).await;
    bench.pass(5 * SECOND).await;
    bench.kill().await;
    bench.behave("web", Behaviour::Works);
    bench.start().await;
    bench.until(|lane| lane.obeyed == [order.id]).await;
    assert_eq!(bench.report("web", Priority::Normal).await.dead_letters.count, 0);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_letter_ends_as_cancelled_for_good_and_one_that_came_later_stays() {
    let (mut bench, bad) = refused().await;
    let order = bench.order_of(1, drop_all("the page is gone"));
    bench.pass(SECOND).await;
    bench.behave("web", Behaviour::Refuses("worse".to_owned()));
    let worse = bench.publish(&[tag("worse")]).await;
    bench.until(|lane| lane.dead_letters.count == 2).await;
    bench.orders(vec![order.clone()]).await;
    bench.until(|lane| lane.obeyed == [order.id]).await;
    bench.kill().await;
    bench.start().await;
    assert_eq!(the_letter(&bench).await.selector, tag("worse"), "nobody has seen it yet");
    let exceptions = bench.report("web", Priority::Normal).await.line().exceptions;
    assert!(!exceptions.contains(&(number(bad), Outcome::Refused)), "{exceptions:?}");
    assert!(exceptions.contains(&(number(worse), Outcome::Refused)), "{exceptions:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drop_is_told_as_cancelled() {
    let (mut bench, bad) = refused().await;
    bench.orders(vec![bench.order_of(1, drop_all("the page is gone"))]).await;
    bench.until(|lane| lane.dead_letters.count == 0).await;
    let exceptions = bench.report("web", Priority::Normal).await.line().exceptions;
    assert_eq!(exceptions, [(number(bad), Outcome::Cancelled)]);
    assert_eq!(bench.purges("web"), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_purge_that_includes_it_settles_a_letter() {
    for (wider, outcome) in [(tag("bad"), None), (Selector::Everything, Some(Outcome::Covered))] {
        let (mut bench, bad) = refused().await;
        bench.behave("web", Behaviour::Works);
        let last = bench.publish(&[wider]).await;
        bench.until(|lane| lane.line().finished == last && lane.dead_letters.count == 0).await;
        let exceptions = bench.report("web", Priority::Normal).await.line().exceptions;
        let expected: Vec<_> = outcome.map(|outcome| (number(bad), outcome)).into_iter().collect();
        assert_eq!(exceptions, expected);
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_settles_every_letter() {
    let (mut bench, bad) = refused().await;
    bench.behave("web", Behaviour::Works);
    bench.orders(vec![bench.order_flush(1, "local", None, Mode::Hard)]).await;
    bench.until(|lane| lane.dead_letters.count == 0).await;
    let exceptions = bench.report("web", Priority::Normal).await.line().exceptions;
    assert_eq!(exceptions, [(number(bad), Outcome::Flushed)]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_a_letter_that_is_damaged_or_lost_are_done_again() {
    for lost in [true, false] {
        let (mut bench, bad) = refused().await;
        let letter = the_letter(&bench).await;
        let last = bench.publish(&[tag("good")]).await;
        bench.until(|lane| lane.line().finished == last).await;
        bench.pass(3 * SECOND).await;
        bench.kill().await;
        let file = files(&bench).remove(0);
        if lost {
            fs::remove_file(&file).expect("a letter");
        } else {
            let mut bytes = fs::read(&file).expect("a letter");
            bytes[40] ^= 1;
            fs::write(&file, bytes).expect("written");
        }
        bench.start().await;
        let done = |lane: &LaneReport| lane.dead_letters.count == 1 && lane.line().applied == last;
        // The report of the life before says as much.
        bench.until(|lane| lane.life > 1 && done(lane)).await;
        let again = the_letter(&bench).await;
        assert_ne!(again.id, letter.id);
        assert_eq!((again.selector, again.place.number), (tag("bad"), bad));
        let damaged = |file: &PathBuf| file.to_string_lossy().ends_with(".letter.damaged");
        assert_eq!(files(&bench).iter().any(damaged), !lost);
        assert!(!bench.purges("web").contains(&"everything".to_owned()), "the log still has it");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn letters_that_the_cursor_does_not_know_are_gone() {
    let (mut bench, _) = refused().await;
    bench.kill().await;
    fs::remove_file(bench.state().join("web.normal.cursor")).expect("a cursor");
    bench.start().await;
    bench.pass(3 * SECOND).await;
    assert_eq!(bench.report("web", Priority::Normal).await.dead_letters.count, 0);
    assert_eq!(files(&bench), Vec::<PathBuf>::new());
    bench.stop().await;
}
