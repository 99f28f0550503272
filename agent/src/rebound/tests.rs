//! When passes are due, and what is left to do in them.

use schemas::{LineId, Mode, Place, Selector};

use super::*;

fn number(number: u64) -> Waiter {
    let place = Place { line: LineId::from_bytes([7; 16]), number };
    Waiter::Number { place, expires_at: None }
}

fn tag() -> Purge {
    let (site, selector) = ("main".parse().expect("a name"), "a".parse().expect("a tag"));
    Purge::new(site, Selector::Tag(selector), Mode::Hard)
}

fn seconds(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn rebounds(fenced: Option<Duration>) -> Rebounds {
    Rebounds::new([1, 11, 65].map(Duration::from_secs).to_vec(), fenced)
}

#[test]
fn what_was_purged_behind_fences_has_one_later_pass() {
    let mut rebounds = rebounds(Some(FENCED_REBOUND));
    let waiting = rebounds.settled(&tag(), vec![number(1)], Fetches::Fenced, seconds(0));
    assert!(waiting.is_empty());
    assert_eq!((rebounds.len(), rebounds.next_due()), (1, Some(seconds(2))));
    assert_eq!(rebounds.take_due(seconds(2), 9), [tag()]);
    assert_eq!(rebounds.purged(&tag(), seconds(2)), [number(1)]);
    assert_eq!((rebounds.len(), rebounds.next_due()), (0, None));
}

#[test]
fn each_number_of_a_selector_has_the_passes_that_it_needs() {
    let mut rebounds = rebounds(Some(FENCED_REBOUND));
    rebounds.settled(&tag(), vec![number(1)], Fetches::Unfenced, seconds(0));
    rebounds.settled(&tag(), vec![number(2)], Fetches::Fenced, seconds(9));
    assert!(rebounds.purged(&tag(), seconds(10)).is_empty());
    assert_eq!(rebounds.next_due(), Some(seconds(11)));
    assert_eq!(rebounds.purged(&tag(), seconds(11)), [number(2)]);
    assert_eq!(rebounds.waiters(), 1);
    assert_eq!(rebounds.purged(&tag(), seconds(65)), [number(1)]);
}

#[test]
fn where_passes_were_asked_for_a_fence_spares_none() {
    let mut rebounds = rebounds(None);
    rebounds.settled(&tag(), vec![number(1)], Fetches::Fenced, seconds(0));
    assert!(rebounds.purged(&tag(), seconds(64)).is_empty());
    assert_eq!(rebounds.purged(&tag(), seconds(65)), [number(1)]);
    let mut none = Rebounds::new(Vec::new(), Some(FENCED_REBOUND));
    let final_now = none.settled(&tag(), vec![number(1)], Fetches::Fenced, seconds(0));
    assert_eq!(final_now, [number(1)]);
}

#[test]
fn a_selector_that_nobody_will_purge_again_is_abandoned_by_all_who_wait() {
    let mut rebounds = rebounds(Some(FENCED_REBOUND));
    for (at, fetches) in [(1, Fetches::Unfenced), (2, Fetches::Fenced)] {
        rebounds.settled(&tag(), vec![number(at)], fetches, seconds(0));
    }
    assert_eq!(rebounds.abandon(&tag()), [number(1), number(2)]);
    assert_eq!((rebounds.len(), rebounds.waiters(), rebounds.next_due()), (0, 0, None));
}
