//! What the benchmarks have in common: one site, one line, and who says what.

use agent::driver::{Batch, Purge};
use jiff::Timestamp;
use schemas::{
    Abilities, CacheReport, LaneReport, LineId, LineReport, Mode, Number, Priority, Report,
    Selector,
};
use tests::record;
use uuid::Uuid;

/// Numbers of a batch of the default configuration.
pub(crate) const BATCH: usize = 100;
/// Numbers that a lane of the default configuration holds at once.
pub(crate) const WINDOW: Number = 10_000;

pub(crate) fn line() -> LineId {
    LineId::from_bytes([1; 16])
}

pub(crate) fn purge(selector: Selector) -> Purge {
    Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
}

/// So many pages.
pub(crate) fn batch(count: Number) -> Batch {
    Batch { purges: (1..=count).map(|number| purge(record::page(number))).collect() }
}

/// The word number `sequence` of an agent with one cache, whose normal lane has this to say of its one line.
pub(crate) fn report(agent: u32, sequence: u64, line: LineReport) -> Report {
    let normal =
        LaneReport { ready: true, lines: vec![line], ..LaneReport::new(Priority::Normal, 1) };
    let cache = CacheReport {
        cache: "varnish".parse().expect("a name"),
        driver: "varnish".to_owned(),
        sites: None,
        abilities: Some(Abilities::of_pages(100, "all")),
        lanes: vec![normal, LaneReport::new(Priority::Critical, 1)],
    };
    Report {
        agent: format!("edge-{agent}").parse().expect("a name"),
        instance: Uuid::from_u128(u128::from(agent) + 1),
        sequence,
        region: "local".parse().expect("a name"),
        at: Timestamp::UNIX_EPOCH,
        caches: vec![cache],
        clocks: Vec::new(),
    }
}

/// All up to `last` has been purged, and had its last pass.
pub(crate) fn settled(last: Number) -> LineReport {
    LineReport { applied: last, finished: last, ..LineReport::new(line()) }
}
