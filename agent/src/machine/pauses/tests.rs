//! A lane, or one site of it, that a human holds up.

use std::sync::Arc;

use schemas::{Audience, LineId, LogMessage, Selector, Site, Sites};

use super::super::{Failure, samples};
use super::*;
use crate::config::LaneConfig;
use crate::driver::Fetches;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A lane of two sites, with one later pass.
fn lane() -> (Machine, Moment) {
    let config = LaneConfig { starts_empty: true, window: 10, ..LaneConfig::default() };
    let mut purpose = samples::purpose(config, vec![SECOND]);
    let site = |name: &str, host: &str| Site {
        name: name.parse().expect("a name"),
        hosts: [host.parse().expect("a host")].into(),
        regions: Audience::All,
    };
    let sites = [site("main", "www.example.com"), site("shop", "shop.example.com")];
    purpose.sites = Arc::new(Sites::new(sites));
    samples::lane(purpose)
}

fn hear(lane: &mut Machine, number: u64, site: &str, now: Moment) {
    let tag = Selector::Tag(format!("t{number}").parse().expect("a tag"));
    let frame = samples::frame(LineId::from_bytes([1; 16]), number, vec![tag]);
    let LogMessage::Frame(mut frame) = frame else { panic!("a frame") };
    frame.invalidations[0].site = site.parse().expect("a name");
    let at = samples::located(usize::try_from(number).expect("small"), Timestamp::UNIX_EPOCH);
    lane.hear(LogMessage::Frame(frame), at, now).expect("fit to be heard");
    lane.tick(now);
}

fn pause(id: u128, site: Option<&str>, left: Duration, whole: Duration) -> Bidding {
    let site = site.map(|site| site.parse().expect("a name"));
    let what = Bidden::Pause { site, span: Span { left, whole } };
    Bidding { id: Uuid::from_u128(id), expires_at: Timestamp::UNIX_EPOCH + whole, what }
}

/// All that goes out now, and is purged.
fn purged(lane: &mut Machine, now: Moment) -> usize {
    lane.tick(now);
    let mut purges = 0;
    while let Some(job) = lane.take(now) {
        purges += job.batch.purges.len();
        lane.done(job.id, Ok(Fetches::Unfenced), now);
        lane.tick(now);
    }
    purges
}

#[test]
fn nothing_goes_out_of_a_paused_lane_not_even_a_later_pass_and_all_of_it_afterwards() {
    let (mut lane, mut now) = lane();
    hear(&mut lane, 1, "main", now);
    assert_eq!(purged(&mut lane, now), 1);
    let until = now + MINUTE;
    lane.heed(vec![pause(7, None, MINUTE, HOUR)], now);
    for number in 2..=10 {
        hear(&mut lane, number, "main", now);
    }
    now += 30 * SECOND;
    assert_eq!(purged(&mut lane, now), 0);
    assert_eq!(lane.deadline(now), Some(until), "nothing else is to be done by itself");
    let told = lane.report(now).paused;
    assert_eq!((told.len(), told[0].id, &told[0].site), (1, Uuid::from_u128(7), &None));
    assert!(lane.room() > 0 && lane.is_paused());
    assert_eq!(purged(&mut lane, until), 10, "nine, and the later pass of the first");
    assert_eq!(lane.report(until).lines[0].applied, 10);
    assert!(lane.report(until).paused.is_empty());
}

#[test]
fn what_is_under_way_ends_and_what_failed_waits() {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, "main", now);
    let job = lane.take(now).expect("a batch");
    lane.heed(vec![pause(7, None, MINUTE, HOUR)], now);
    lane.done(job.id, Err(Failure::Unavailable { after: None, error: "down".into() }), now);
    assert_eq!(purged(&mut lane, now + 30 * SECOND), 0);
    lane.heed(Vec::new(), now + 30 * SECOND);
    assert_eq!(purged(&mut lane, now + 30 * SECOND), 1);
}

#[test]
fn a_paused_site_waits_and_others_go_on_until_the_window_is_full() {
    let (mut lane, now) = lane();
    lane.heed(vec![pause(7, Some("shop"), MINUTE, HOUR)], now);
    for number in 1..=8 {
        hear(&mut lane, number, if number % 2 == 0 { "shop" } else { "main" }, now);
    }
    assert!(!lane.is_paused());
    assert_eq!(purged(&mut lane, now), 4);
    let told = lane.report(now).lines.remove(0);
    assert_eq!((told.applied, told.applied_above.len()), (1, 3), "numbers settle above the floor");
    for number in 9..=14 {
        hear(&mut lane, number, "shop", now);
    }
    assert_eq!(lane.room(), 0, "ten of the paused site fill the window");
    lane.heed(Vec::new(), now);
    assert_eq!(purged(&mut lane, now), 10);
    assert_eq!(lane.report(now).lines[0].applied, 14);
}

#[test]
fn halves_of_a_refused_batch_wait_too_once_their_site_is_paused() {
    let (mut lane, now) = lane();
    for number in 1..=6 {
        hear(&mut lane, number, if number % 2 == 0 { "shop" } else { "main" }, now);
    }
    let job = lane.take(now).expect("a batch");
    let refused = || Err(Failure::Refused { error: "no".to_owned(), exchange: None });
    lane.done(job.id, refused(), now);
    lane.heed(vec![pause(7, Some("shop"), MINUTE, HOUR)], now);
    let job = lane.take(now).expect("the rest of a half");
    let of_shop = |site: &SiteName| site.as_str() == "shop";
    assert!(job.batch.purges.iter().all(|purge| !of_shop(&purge.site)), "{job:?}");
    lane.done(job.id, refused(), now);
    assert_eq!(purged(&mut lane, now), 3);
    lane.heed(Vec::new(), now);
    assert_eq!(purged(&mut lane, now), 3);
    assert_eq!(lane.report(now).lines[0].applied, 6);
}

#[test]
fn a_pause_ends_by_itself_within_its_length_and_an_hour_whatever_clocks_say() {
    for (whole, ends_after) in [(MINUTE, MINUTE), (9 * HOUR, HOUR)] {
        let (mut lane, begun) = lane();
        let mut now = begun;
        hear(&mut lane, 1, "main", now);
        while now < begun + ends_after {
            // As said by a clock that stands still.
            lane.heed(vec![pause(7, None, whole, whole)], now);
            assert_eq!(purged(&mut lane, now), 0, "{now:?}");
            now += 30 * SECOND;
        }
        for (number, after) in [(2, Moment::ZERO), (3, SECOND), (4, MINUTE)] {
            lane.heed(vec![pause(7, None, whole, whole)], now + after);
            hear(&mut lane, number, "main", now + after);
            assert!(purged(&mut lane, now + after) > 0, "it does not begin anew");
            assert!(lane.report(now + after).paused.is_empty() && !lane.is_paused());
        }
    }
}

#[test]
fn a_clock_that_jumps_ahead_and_back_makes_no_pause_longer() {
    let (mut lane, begun) = lane();
    lane.heed(vec![pause(7, None, MINUTE, MINUTE)], begun);
    hear(&mut lane, 1, "main", begun);
    let ahead = begun + 10 * SECOND;
    lane.heed(vec![pause(7, None, Moment::ZERO, MINUTE)], ahead);
    assert_eq!(purged(&mut lane, ahead), 1, "it is over, for all that is known");
    let back = begun + 20 * SECOND;
    lane.heed(vec![pause(7, None, MINUTE, MINUTE)], back);
    hear(&mut lane, 2, "main", back);
    assert_eq!((purged(&mut lane, back), lane.deadline(back)), (0, Some(begun + MINUTE)));
    assert!(purged(&mut lane, begun + MINUTE) > 0);
}

#[test]
fn of_two_pauses_that_are_ordered_at_once_each_holds_until_its_own_end() {
    let (mut lane, now) = lane();
    let (one, other) = (pause(7, None, MINUTE, HOUR), pause(8, None, 2 * MINUTE, HOUR));
    let of_shop = pause(9, Some("shop"), HOUR, HOUR);
    lane.heed(vec![one, other.clone(), of_shop.clone()], now);
    hear(&mut lane, 1, "main", now);
    hear(&mut lane, 2, "shop", now);
    lane.heed(vec![other, of_shop], now);
    assert_eq!(purged(&mut lane, now + MINUTE), 0, "one was resumed, the other was not");
    assert_eq!(purged(&mut lane, now + 2 * MINUTE), 1);
    assert!(!lane.is_paused());
    lane.heed(Vec::new(), now + 2 * MINUTE);
    assert_eq!(purged(&mut lane, now + 2 * MINUTE + SECOND), 2, "and a later pass");
}

#[test]
fn what_is_paused_already_at_the_start_is_waited_for_and_not_for_ever() {
    let (mut lane, now) = lane();
    hear(&mut lane, 1, "main", now);
    lane.await_orders(3 * SECOND, now);
    assert_eq!(purged(&mut lane, now + SECOND), 0);
    lane.heed(vec![pause(7, None, MINUTE, HOUR)], now + SECOND);
    lane.orders_are_known();
    assert_eq!(purged(&mut lane, now + 4 * SECOND), 0);
    lane.await_orders(3 * SECOND, now + MINUTE);
    assert_eq!(purged(&mut lane, now + 2 * MINUTE), 1);
}

#[test]
fn a_paused_cache_is_asked_what_it_can_do_only_while_nobody_knows() {
    let (mut lane, now) = lane();
    lane.heed(vec![pause(7, None, HOUR, HOUR)], now);
    let mut stranger = Machine::new(
        samples::purpose(LaneConfig::default(), Vec::new()),
        None,
        None,
        fastrand::Rng::with_seed(1),
        now,
    );
    stranger.heed(vec![pause(7, None, HOUR, HOUR)], now);
    assert!(stranger.ask(now));
    lane.unable(Failure::Unavailable { after: None, error: "down".into() }, now);
    assert!(!lane.ask(now + MINUTE));
    lane.heed(Vec::new(), now + MINUTE);
    assert!(lane.ask(now + MINUTE));
}
