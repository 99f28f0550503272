//! Reports.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{
    Abilities, Ability, CacheReport, CircuitState, ClockReading, LanePause, LaneReport, LineReport,
    NumberRange, Outcome, OutcomeCounts, Report,
};
use uuid::Uuid;

use super::{dead_letters, line, name, obeyed, priority, range, time};

pub(super) fn report() -> impl Strategy<Value = Report> {
    let clocks = btree_map(name(), any::<i64>(), 0..3);
    (name(), any::<u128>(), any::<u64>(), name(), time(), vec(cache(), 0..3), clocks).prop_map(
        |(agent, instance, sequence, region, at, caches, clocks)| Report {
            agent,
            instance: Uuid::from_u128(instance),
            sequence,
            region,
            at,
            caches,
            clocks: clocks
                .into_iter()
                .map(|(publisher, heard_after_us)| ClockReading { publisher, heard_after_us })
                .collect(),
        },
    )
}

fn cache() -> impl Strategy<Value = CacheReport> {
    let sites = option::of(btree_set(name(), 0..3));
    (name(), any::<String>(), sites, option::of(abilities()), vec(lane(), 0..3)).prop_map(
        |(cache, driver, sites, abilities, lanes)| CacheReport {
            cache,
            driver,
            sites,
            abilities,
            lanes,
        },
    )
}

fn abilities() -> impl Strategy<Value = Abilities> {
    let ability = || select(&[Ability::Supported, Ability::Unsupported, Ability::NotHeld][..]);
    let kinds = (ability(), ability(), ability(), ability(), ability(), ability());
    (kinds, any::<bool>(), any::<u32>(), any::<String>()).prop_map(
        |(
            (url, url_any_query, prefix, tag, key, everything),
            soft,
            batch_selectors_max,
            manner,
        )| {
            Abilities {
                url,
                url_any_query,
                prefix,
                tag,
                key,
                everything,
                soft,
                batch_selectors_max,
                manner,
            }
        },
    )
}

fn lane() -> impl Strategy<Value = LaneReport> {
    let state = (
        priority(),
        any::<u64>(),
        any::<bool>(),
        select(&[CircuitState::Closed, CircuitState::Open][..]),
        option::of(any::<String>()),
    );
    let figures = (any::<u64>(), option::of(any::<u64>()), any::<[u64; 9]>());
    (state, figures, vec(line_report(), 0..3), obeyed(), dead_letters(), pauses()).prop_map(
        |(
            (priority, life, ready, circuit, last_error),
            (lag, oldest_unsettled_us, outcomes),
            lines,
            obeyed,
            dead_letters,
            paused,
        )| LaneReport {
            priority,
            life,
            ready,
            circuit,
            last_error,
            lag,
            oldest_unsettled_us,
            outcomes: OutcomeCounts::from_array(outcomes),
            lines,
            obeyed: obeyed.into_iter().map(|(id, _)| id).collect(),
            dead_letters,
            paused,
        },
    )
}

fn pauses() -> impl Strategy<Value = Vec<LanePause>> {
    btree_map(any::<u128>(), (option::of(name()), time()), 0..3).prop_map(|pauses| {
        let pause = |(id, (site, until))| LanePause { id: Uuid::from_u128(id), site, until };
        pauses.into_iter().map(pause).collect()
    })
}

fn line_report() -> impl Strategy<Value = LineReport> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let above = (vec(range(), 0..3), vec(range(), 0..3), vec(range(), 0..3));
    (line(), numbers, above, exceptions()).prop_map(
        |(line, (base, applied, finished), (applied_above, finished_above, holes), exceptions)| {
            LineReport {
                line,
                base,
                applied,
                applied_above,
                finished,
                finished_above,
                exceptions,
                holes,
            }
        },
    )
}

pub(super) fn exceptions() -> impl Strategy<Value = Vec<(NumberRange, Outcome)>> {
    vec((range(), select(&Outcome::ALL[..])), 0..3)
}
