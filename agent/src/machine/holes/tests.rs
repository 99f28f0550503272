//! When what is missing counts as missing, and when the log is looked through first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use schemas::{Audience, Cursor, LineCursor, LineId, NumberRange, Site, Sites};

use super::super::{Machine, Purpose, samples};
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::Fetches;

const SECOND: Duration = Duration::from_secs(1);

fn line() -> LineId {
    LineId::from_bytes([3; 16])
}

fn two_sites() -> Arc<Sites> {
    let site = |name: &str| Site {
        name: name.parse().expect("a name"),
        hosts: [format!("{name}.example.com").parse().expect("a host")].into(),
        regions: Audience::All,
    };
    Arc::new(Sites::new(["main", "other"].map(site)))
}

/// A lane without hints: nothing is in doubt yet. 2 is settled, 1 is not.
fn resumed() -> Machine {
    resumed_knowing(&["main", "other"])
}

/// The same with a cursor that knows these sites.
fn resumed_knowing(sites: &[&str]) -> Machine {
    let config = LaneConfig { hole_deadline: 60 * SECOND, ..LaneConfig::default() };
    let two = NumberRange { first: 2, last: 2 };
    let missed = LineCursor {
        line: line(),
        base: 0,
        floor: 0,
        settled: vec![two],
        refused: Vec::new(),
        exceptions: Vec::new(),
    };
    let purpose = Purpose { sites: two_sites(), ..samples::purpose(config, Vec::new()) };
    let cursor = Cursor {
        life: 1,
        region: purpose.region.clone(),
        sites: sites.iter().map(|site| site.parse().expect("a name")).collect(),
        parts: purpose.parts.clone(),
        lines: vec![missed],
        hints: Vec::new(),
        closed: Vec::new(),
        obeyed: Vec::new(),
        hosts: BTreeMap::new(),
        behind: false,
        flushed: None,
    };
    let rng = fastrand::Rng::with_seed(5);
    let mut lane = Machine::new(purpose, Some(&cursor), None, rng, Moment::ZERO);
    lane.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
    lane.able(samples::abilities(100), Moment::ZERO);
    lane
}

fn hear(lane: &mut Machine, position: usize, now: Moment) {
    let heartbeat = samples::heartbeat(vec![(line(), 2)]);
    let at = samples::located(position, Timestamp::UNIX_EPOCH);
    lane.hear(heartbeat, at, now).expect("fit to be heard");
    lane.tick(now);
}

fn reports_a_hole(lane: &mut Machine, now: Moment) -> bool {
    lane.tick(now);
    lane.report(now).lines.iter().any(|line| !line.holes.is_empty())
}

#[test]
fn what_is_missing_counts_from_when_the_log_was_first_heard() {
    let mut lane = resumed();
    let begun = 600 * SECOND;
    lane.tick(begun);
    hear(&mut lane, 0, begun);
    assert!(!reports_a_hole(&mut lane, begun + 9 * SECOND), "the log may bring it yet");
    assert!(reports_a_hole(&mut lane, begun + 10 * SECOND));
    lane.tick(begun + 59 * SECOND);
    assert!(lane.take(begun + 59 * SECOND).is_none(), "no flush for the time before");
}

#[test]
fn while_positions_are_in_doubt_a_hole_is_reported_later() {
    for (doubts, reported) in [(false, true), (true, false)] {
        let mut lane = resumed();
        hear(&mut lane, 0, SECOND);
        if doubts {
            lane.doubt(2 * SECOND);
        }
        assert_eq!(reports_a_hole(&mut lane, 12 * SECOND), reported, "in doubt: {doubts}");
        assert!(reports_a_hole(&mut lane, 21 * SECOND), "in doubt: {doubts}");
    }
}

#[test]
fn a_log_that_jumps_back_is_looked_through_for_what_is_missing() {
    for (position, searched) in [(11, false), (3, true)] {
        let mut lane = resumed();
        hear(&mut lane, 10, SECOND);
        hear(&mut lane, position, 2 * SECOND);
        assert_eq!(lane.look_up(5 * SECOND).is_some(), searched, "then at {position}");
    }
}

#[test]
fn a_flush_of_some_sites_makes_up_for_nothing_that_is_missing() {
    for (known, floor) in [(&["main"][..], 0), (&[], 2)] {
        let mut lane = resumed_knowing(known);
        hear(&mut lane, 0, SECOND);
        while let Some(job) = lane.take(2 * SECOND) {
            lane.done(job.id, Ok(Fetches::Unfenced), 2 * SECOND);
        }
        let [told] = &lane.report(2 * SECOND).lines[..] else { panic!("one line") };
        assert_eq!(told.applied, floor, "the cursor knew {known:?}");
    }
}
