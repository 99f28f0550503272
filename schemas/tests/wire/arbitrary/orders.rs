//! What publishers say on the board.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{
    ChosenLetters, Incarnation, Mode, OpenLine, Order, Ordered, Orders, Paused, Place, Retired,
    Retirement,
};
use uuid::Uuid;

use super::{line, name, priority, time};

pub(super) fn incarnation() -> impl Strategy<Value = Incarnation> {
    (name(), time(), vec(line(), 0..3), vec((line(), any::<u64>()), 0..3)).prop_map(
        |(publisher, since, lines, closes)| Incarnation { publisher, since, lines, closes },
    )
}

pub(super) fn retirement() -> impl Strategy<Value = Retirement> {
    let agent = (name(), btree_map(any::<u128>().prop_map(Uuid::from_u128), any::<u64>(), 0..3));
    let open = (line(), priority(), any::<u32>())
        .prop_map(|(line, priority, partition)| OpenLine { line, priority, partition });
    let publisher = (name(), btree_map(line(), any::<u64>(), 0..3), btree_set(open, 0..3));
    let retired = prop_oneof![
        agent.prop_map(|(name, instances)| Retired::Agent {
            name,
            instances: instances.into_iter().collect(),
        }),
        publisher.prop_map(|(name, lines, open)| Retired::Publisher {
            name,
            lines: lines.into_iter().collect(),
            open: open.into_iter().collect(),
        }),
    ];
    (retired, time(), name()).prop_map(|(retired, at, by)| Retirement { retired, at, by })
}

pub(super) fn orders() -> impl Strategy<Value = Orders> {
    let mode = select(&[Mode::Soft, Mode::Hard][..]);
    let flush = (name(), option::of(name()), mode)
        .prop_map(|(region, cache, mode)| Ordered::Flush { region, cache, mode });
    let drop = (chosen(), any::<String>(), any::<String>())
        .prop_map(|(letters, reason, by)| Ordered::Drop { letters, reason, by });
    let retry = chosen().prop_map(|letters| Ordered::Retry { letters });
    let what = prop_oneof![flush, retry, drop, stop()];
    let orders = btree_map(any::<u128>(), (time(), time(), what), 0..3);
    (name(), orders).prop_map(|(by, orders)| Orders {
        by,
        orders: orders
            .into_iter()
            .map(|(id, (at, expires_at, what))| Order {
                id: Uuid::from_u128(id),
                at,
                expires_at,
                what,
            })
            .collect(),
    })
}

fn stop() -> impl Strategy<Value = Ordered> {
    let paused = prop_oneof![
        name().prop_map(Paused::Site),
        name().prop_map(Paused::Agent),
        (name(), option::of(name())).prop_map(|(cache, region)| Paused::Cache { cache, region }),
        any::<String>().prop_map(Paused::Token),
    ];
    let id = || any::<u128>().prop_map(Uuid::from_u128);
    let pause = (paused, option::of(any::<String>()), any::<String>())
        .prop_map(|(what, reason, by)| Ordered::Pause { what, reason, by });
    let cancel = (id(), line(), any::<u64>(), priority(), any::<String>()).prop_map(
        |(invalidation, line, number, priority, by)| {
            let place = Place { line, number };
            Ordered::Cancel { invalidation, place, priority, by }
        },
    );
    let resume = (id(), any::<String>()).prop_map(|(pause, by)| Ordered::Resume { pause, by });
    prop_oneof![pause, resume, cancel]
}

fn chosen() -> impl Strategy<Value = ChosenLetters> {
    let ids = btree_set(any::<u128>().prop_map(Uuid::from_u128), 0..3);
    let whose = (option::of(name()), option::of(name()), option::of(name()), option::of(name()));
    (ids, whose, option::of(any::<String>())).prop_map(
        |(ids, (region, agent, cache, site), text)| ChosenLetters {
            ids: ids.into_iter().collect(),
            region,
            agent,
            cache,
            site,
            text,
        },
    )
}
