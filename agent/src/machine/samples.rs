//! What the tests of a lane have in common: what it is for, what its cache can do, and what it hears.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Partition, Position};
use jiff::Timestamp;
use schemas::{
    Abilities, Audience, Frame, Heartbeat, Invalidation, LineId, LogMessage, Number, Priority,
    PublisherName, Selector, Site, Sites,
};

use super::{Machine, Purpose};
use crate::Moment;
use crate::config::LaneConfig;
use crate::ledger::Located;

/// The normal lane of a cache that holds the one site there is.
pub(super) fn purpose(config: LaneConfig, rebounds: Vec<Duration>) -> Purpose {
    let site = Site {
        name: "main".parse().expect("a name"),
        hosts: ["www.example.com".parse().expect("a host")].into(),
        regions: Audience::All,
    };
    Purpose {
        region: "local".parse().expect("a name"),
        agent: "edge-1".parse().expect("a name"),
        cache: "varnish".parse().expect("a name"),
        sites: Arc::new(Sites::new([site])),
        priority: Priority::Normal,
        config,
        rebounds,
        fenced_rebound: None,
        parts: BTreeSet::new(),
        ready_fail_open_after: None,
        retention: Duration::from_hours(1),
    }
}

/// A lane that has joined the bus and knows its cache, and the moment.
pub(super) fn lane(purpose: Purpose) -> (Machine, Moment) {
    let now = Duration::from_secs(3);
    let mut lane = Machine::new(purpose, None, None, fastrand::Rng::with_seed(1), Moment::ZERO);
    lane.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
    lane.tick(now);
    assert!(lane.ask(now));
    lane.able(abilities(100), now);
    (lane, now)
}

/// Everything can be purged, but for raw keys, which the cache does not hold.
pub(super) fn abilities(batch_selectors_max: u32) -> Abilities {
    Abilities::of_pages(batch_selectors_max, "a model")
}

/// The one publisher.
pub(super) fn publisher() -> PublisherName {
    "p".parse().expect("a name")
}

/// A frame of one invalidation.
pub(super) fn frame(line: LineId, number: Number, selectors: Vec<Selector>) -> LogMessage {
    LogMessage::Frame(Frame {
        publisher: publisher(),
        line,
        first: number,
        committed_at: Timestamp::UNIX_EPOCH,
        invalidations: vec![Invalidation::new(
            uuid::Uuid::nil(),
            "main".parse().expect("a name"),
            selectors,
            Timestamp::UNIX_EPOCH,
        )],
        signature: None,
    })
}

/// The last numbers of these lines.
pub(super) fn heartbeat(lines: Vec<(LineId, Number)>) -> LogMessage {
    let at = Timestamp::UNIX_EPOCH;
    LogMessage::Heartbeat(Heartbeat { publisher: publisher(), at, lines, agents: None })
}

/// A place on the one partition.
pub(super) fn located(position: usize, time: Timestamp) -> Located {
    Located { partition: Partition(0), position: Position(position as u64), time }
}
