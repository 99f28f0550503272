//! Reports.

use std::collections::BTreeSet;

use schemas::{
    Abilities, Ability, CacheReport, CircuitState, ClockReading, DeadLetters, LanePause,
    LaneReport, LineReport, Outcome, OutcomeCounts, Priority, Report,
};
use uuid::Uuid;

use super::letters::letter;
use super::orders::order;
use super::{line, range, text, time};

pub(crate) fn report() -> Report {
    Report {
        agent: text("edge-1"),
        instance: Uuid::from_u128(0x9f1d_0000_0000_4000_8000_0000_0000_0001),
        sequence: 900,
        region: text("eu-west"),
        at: time("2026-11-21T10:00:02.000001Z"),
        caches: vec![
            CacheReport {
                cache: text("varnish"),
                driver: "varnish".into(),
                sites: Some(BTreeSet::from([text("main")])),
                abilities: Some(abilities()),
                lanes: vec![lane(Priority::Critical), lane(Priority::Normal)],
            },
            CacheReport {
                cache: text("redis"),
                driver: "redis".into(),
                sites: None,
                abilities: None,
                lanes: Vec::new(),
            },
        ],
        clocks: Vec::new(),
    }
}

pub(crate) fn report_with_clocks() -> Report {
    let clock = |name, heard_after_us| ClockReading { publisher: text(name), heard_after_us };
    Report { clocks: vec![clock("publisher-1", -1_500), clock("publisher-2", 250)], ..report() }
}

pub(crate) fn report_of_obeyed() -> Report {
    let mut report = report();
    report.caches[0].lanes[1].obeyed = vec![order(1), order(2)];
    report
}

pub(crate) fn report_of_letters() -> Report {
    let mut report = report_of_obeyed();
    let newest = vec![letter().letter];
    report.caches[0].lanes[1].dead_letters = DeadLetters { count: 7, newest };
    report
}

pub(crate) fn report_of_paused() -> Report {
    let mut report = report_of_letters();
    let pause = |digit, site: Option<&str>| LanePause {
        id: order(digit),
        site: site.map(text),
        until: time("2026-11-21T10:15:00Z"),
    };
    report.caches[0].lanes[1].paused = vec![pause(5, Some("main")), pause(6, None)];
    report
}

fn abilities() -> Abilities {
    Abilities {
        url: Ability::Supported,
        url_any_query: Ability::Unsupported,
        prefix: Ability::Supported,
        tag: Ability::Supported,
        key: Ability::NotHeld,
        everything: Ability::Supported,
        soft: true,
        batch_selectors_max: 100,
        manner: "xkey".into(),
    }
}

fn lane(priority: Priority) -> LaneReport {
    let critical = priority == Priority::Critical;
    LaneReport {
        priority,
        life: 1,
        ready: critical,
        circuit: if critical { CircuitState::Closed } else { CircuitState::Open },
        last_error: (!critical).then(|| "connection refused".into()),
        lag: 12,
        oldest_unsettled_us: (!critical).then_some(1_500_000),
        outcomes: OutcomeCounts::from_array([9, 8, 7, 6, 5, 4, 3, 2, 1]),
        lines: vec![LineReport {
            line: line(0x11),
            base: 10,
            applied: 69_990,
            applied_above: vec![range(69_992, 69_999)],
            finished: 69_000,
            finished_above: vec![range(69_002, 69_002), range(69_010, 69_011)],
            exceptions: Outcome::ALL
                .into_iter()
                .zip(1..)
                .map(|(outcome, number)| (range(number, number), outcome))
                .collect(),
            holes: vec![range(69_991, 69_991)],
        }],
        obeyed: Vec::new(),
        dead_letters: DeadLetters::default(),
        paused: Vec::new(),
    }
}
