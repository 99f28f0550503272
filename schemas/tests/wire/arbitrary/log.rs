//! What stands on the log.

use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{
    Audience, Frame, Gate, Heartbeat, Invalidation, Lost, Mode, Priority, QueryMatch, Recipients,
    Selector, Url,
};
use uuid::Uuid;

use super::{line, name, parsed, range, time};

pub(super) fn selector() -> impl Strategy<Value = Selector> {
    let url = parsed::<Url>(
        "https?://[a-z0-9]{1,4}(\\.[a-z0-9-]{1,4})?(:[1-9][0-9]{1,3})?(/([a-z.!;|{]|%[2-7][0-9A-F]){0,4}){1,3}(\\?[!-~]{0,5})?",
    );
    prop_oneof![
        (url, any::<bool>()).prop_map(|(Url { scheme, host, path, query }, exact)| {
            let query = if exact { QueryMatch::Exact(query) } else { QueryMatch::Any };
            Selector::Url { scheme, host, path, query }
        }),
        parsed::<Url>("http://[a-z]{1,3}(/[a-z]{0,3}){1,3}")
            .prop_map(|Url { host, path, .. }| Selector::Prefix { host, path }),
        parsed("[!-~]{1,9}").prop_map(Selector::Tag),
        parsed("[!-~]{1,9}").prop_map(Selector::Key),
        Just(Selector::Everything),
    ]
}

fn invalidation() -> impl Strategy<Value = Invalidation> {
    let what = (any::<u128>(), name(), vec(selector(), 1..4), mode(), priority());
    let gate = prop_oneof![
        any::<String>().prop_map(Gate::PostgresLsn),
        any::<String>().prop_map(Gate::MysqlGtid),
    ];
    let audience =
        prop_oneof![Just(Audience::All), btree_set(name(), 0..3).prop_map(Audience::Regions),];
    let recipients = (btree_set(name(), 0..3), btree_set(name(), 0..3));
    let recipients = recipients.prop_map(|(agents, caches)| Recipients { agents, caches });
    let rest = (
        audience,
        recipients,
        time(),
        option::of(any::<Duration>()),
        option::of(gate),
        option::of(any::<String>()),
        btree_map(any::<String>(), any::<String>(), 0..3),
        option::of(any::<u128>().prop_map(Uuid::from_u128)),
    );
    (what, rest).prop_map(
        |(
            (id, site, selectors, mode, priority),
            (audience, recipients, accepted_at, expires_in, after, reason, labels, origin),
        )| Invalidation {
            id: Uuid::from_u128(id),
            site,
            selectors,
            mode,
            priority,
            audience,
            recipients,
            accepted_at,
            expires_in,
            after,
            reason,
            labels,
            origin,
        },
    )
}

pub(super) fn mode() -> impl Strategy<Value = Mode> {
    select(&[Mode::Soft, Mode::Hard][..])
}

pub(super) fn priority() -> impl Strategy<Value = Priority> {
    select(&Priority::ALL[..])
}

pub(super) fn frame() -> impl Strategy<Value = Frame> {
    let signature = option::of([any::<u8>(); 64]);
    (name(), line(), 1..u64::MAX - 4, time(), vec(invalidation(), 1..4), signature).prop_map(
        |(publisher, line, first, committed_at, invalidations, signature)| Frame {
            publisher,
            line,
            first,
            committed_at,
            invalidations,
            signature,
        },
    )
}

pub(super) fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    (name(), time(), vec((line(), any::<u64>()), 0..4), option::of(any::<u32>()))
        .prop_map(|(publisher, at, lines, agents)| Heartbeat { publisher, at, lines, agents })
}

pub(super) fn lost() -> impl Strategy<Value = Lost> {
    (name(), line(), range()).prop_map(|(publisher, line, numbers)| Lost {
        publisher,
        line,
        numbers,
    })
}
