//! What the tracker shows to Prometheus.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use schemas::Region;
use schemas::api::{AgentState, PublisherState};

/// From below a millisecond to a quarter of an hour, with the later passes' times among them.
const SECONDS: [f64; 20] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 12.0, 30.0, 66.0, 70.0,
    90.0, 180.0, 300.0, 900.0,
];

type PerRegion = Family<RegionLabel, Histogram, fn() -> Histogram>;

/// The tracker's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TrackerMetrics {
    applied: PerRegion,
    finished: PerRegion,
    /// Numbers that lanes know of and have not received for longer than the grace.
    pub(super) holes: Gauge,
    /// Messages on the board that were not understood.
    pub(super) parked: Counter,
    agents: Family<StateLabel, Gauge>,
    publishers: Family<StateLabel, Gauge>,
    /// The largest distance of a live agent's clock from ours, in seconds.
    pub(super) clock_offset: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegionLabel {
    region: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

impl TrackerMetrics {
    pub(super) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            applied: Family::new_with_constructor(histogram),
            finished: Family::new_with_constructor(histogram),
            holes: Gauge::default(),
            parked: Counter::default(),
            agents: Family::default(),
            publishers: Family::default(),
            clock_offset: Gauge::default(),
        }
    }

    /// Shows them in `registry`, under their full names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let names = [
            (
                "purgebus_applied_seconds",
                "Accepted to applied by a region's last cache",
                &self.applied,
            ),
            (
                "purgebus_final_seconds",
                "Accepted to the last pass of a region's last cache",
                &self.finished,
            ),
        ];
        for (name, help, family) in names {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "purgebus_holes",
            "Numbers that lanes know of and have not received for longer than the grace",
            self.holes.clone(),
        );
        registry.register(
            "purgebus_reports_parked",
            "Messages on the boards that were not understood",
            self.parked.clone(),
        );
        registry.register("purgebus_agents", "Agents, by how they stand", self.agents.clone());
        registry.register(
            "purgebus_publishers",
            "Publishers, by how they stand",
            self.publishers.clone(),
        );
        registry.register(
            "purgebus_clock_offset_seconds",
            "Largest distance of a live agent's clock from this publisher's",
            self.clock_offset.clone(),
        );
    }

    /// So many agents stand so.
    pub(super) fn agents(&self, counts: BTreeMap<AgentState, usize>) {
        for (state, count) in counts {
            show(&self.agents, state.as_str(), count);
        }
    }

    /// So many publishers stand so.
    pub(super) fn publishers(&self, counts: BTreeMap<PublisherState, usize>) {
        for (state, count) in counts {
            show(&self.publishers, state.as_str(), count);
        }
    }

    pub(super) fn applied(&self, region: &Region, latency: SignedDuration, count: u64) {
        observe(&self.applied, region, latency, count);
    }

    pub(super) fn finished(&self, region: &Region, latency: SignedDuration, count: u64) {
        observe(&self.finished, region, latency, count);
    }
}

fn show(family: &Family<StateLabel, Gauge>, state: &'static str, count: usize) {
    family.get_or_create_owned(&StateLabel { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
}

fn observe(family: &PerRegion, region: &Region, latency: SignedDuration, count: u64) {
    let label = RegionLabel { region: region.to_string() };
    let histogram = family.get_or_create_owned(&label);
    for _ in 0..count {
        histogram.observe(latency.as_secs_f64());
    }
}
