//! Who was away for too long flushes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemas::{Cursor, LineId, ResumeHint};

use super::super::{Machine, samples};
use crate::Moment;
use crate::config::LaneConfig;
use crate::flush::Cause;

const HOUR: Duration = Duration::from_hours(1);

/// A lane on a log of an hour that reads again, after so long, what is kept of it.
fn reads_again_after(away: Duration) -> Machine {
    let purpose = samples::purpose(LaneConfig::default(), Vec::new());
    let left = Timestamp::UNIX_EPOCH + 1_000 * HOUR;
    let hint = |partition, time| ResumeHint { partition, position: 7, time };
    let cursor = Cursor {
        life: 1,
        region: purpose.region.clone(),
        sites: ["main".parse().expect("a name")].into(),
        parts: purpose.parts.clone(),
        lines: Vec::new(),
        // Nobody has written to the second partition for long.
        hints: vec![hint(0, left), hint(1, Timestamp::UNIX_EPOCH)],
        flushed: None,
        closed: Vec::new(),
        obeyed: Vec::new(),
        hosts: BTreeMap::new(),
        behind: false,
    };
    let rng = fastrand::Rng::with_seed(5);
    let mut lane = Machine::new(purpose, Some(&cursor), None, rng, Moment::ZERO);
    let heartbeat = samples::heartbeat(vec![(LineId::from_bytes([3; 16]), 0)]);
    let at = samples::located(7, left + away);
    lane.hear(heartbeat, at, Moment::ZERO).expect("fit to be heard");
    lane
}

#[test]
fn who_was_away_for_longer_than_it_is_told_where_lines_end_flushes() {
    assert_eq!(reads_again_after(25 * HOUR).flush_cause(), None);
    let lane = reads_again_after(25 * HOUR + Duration::from_secs(1));
    assert_eq!(lane.flush_cause(), Some(Cause::Away));
    assert!(!lane.has_cursor(), "a restart until then flushes again");
}

#[test]
fn only_the_first_message_after_a_resume_tells_of_an_absence() {
    let mut lane = reads_again_after(HOUR);
    let heartbeat = samples::heartbeat(vec![(LineId::from_bytes([3; 16]), 0)]);
    let later = samples::located(8, Timestamp::UNIX_EPOCH + 9_000 * HOUR);
    lane.hear(heartbeat, later, Moment::ZERO).expect("fit to be heard");
    assert_eq!(lane.flush_cause(), None);
}
