//! Many agents in one region: a number counts once the last of them has settled it, whoever that is.

use super::*;

const FLEET: usize = 6;

fn fleet(bus: &mut Bus) -> Vec<Agent> {
    let mut fleet: Vec<_> =
        (0..FLEET).map(|agent| Agent::new(&format!("edge-{agent}"), "eu")).collect();
    for agent in &mut fleet {
        bus.hear(agent);
    }
    fleet
}

/// How many numbers all of `eu` has settled.
fn applied(bus: &Bus) -> u64 {
    let regions = bus.tracker.regions(at(bus.now));
    let eu = regions.iter().find(|region| region.region.as_str() == "eu");
    eu.expect("it has agents").applied.since_start.count
}

#[test]
fn a_number_counts_with_the_last_lane_in_whatever_order_they_report() {
    for seed in 0..50 {
        let mut bus = Bus::new();
        let mut fleet = fleet(&mut bus);
        for number in 1..=20 {
            bus.tracker.accepted(place(number), &invalidation());
        }
        let mut floors = [0; FLEET];
        let mut order = fastrand::Rng::with_seed(seed);
        while floors.iter().any(|floor| *floor < 20) {
            let (agent, more) = (order.usize(..FLEET), order.u64(1..=7));
            floors[agent] = (floors[agent] + more).min(20);
            bus.hear(fleet[agent].floors(floors[agent], floors[agent]));
            assert_eq!(Some(applied(&bus)), floors.iter().min().copied(), "{floors:?}");
        }
        assert_eq!(bus.tracker.own_lines[&own_line()].pending.entries(), 0);
    }
}

#[test]
fn who_has_left_the_region_is_waited_for_no_longer() {
    for leaves in 0..FLEET {
        let mut bus = Bus::new();
        let mut fleet = fleet(&mut bus);
        bus.tracker.accepted(place(1), &invalidation());
        bus.tracker.accepted(place(2), &invalidation());
        let others = (0..FLEET).filter(|agent| *agent != leaves);
        others.clone().for_each(|agent| bus.hear(fleet[agent].floors(1, 0)));
        assert_eq!(applied(&bus), 0, "edge-{leaves} owes it");
        fleet[leaves].report.region = "us".parse().unwrap();
        bus.hear(&mut fleet[leaves]);
        others.for_each(|agent| bus.hear(fleet[agent].floors(2, 0)));
        assert_eq!(applied(&bus), 1, "the second, which they have settled since");
    }
}
