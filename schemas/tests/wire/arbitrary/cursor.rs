//! Cursors.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use schemas::{ClosedLine, Cursor, Flushed, LineCursor, ResumeHint};

use super::{exceptions, host, line, name, obeyed, range, time};

pub(super) fn cursor() -> impl Strategy<Value = Cursor> {
    let numbers = (any::<u64>(), any::<u64>(), vec(range(), 0..3));
    let ended = (vec((any::<u64>(), any::<String>()), 0..3), exceptions());
    let line = (line(), numbers, ended).prop_map(
        |(line, (base, floor, settled), (refused, exceptions))| LineCursor {
            line,
            base,
            floor,
            settled,
            refused,
            exceptions,
        },
    );
    let hint = (any::<u32>(), any::<u64>(), time())
        .prop_map(|(partition, position, time)| ResumeHint { partition, position, time });
    (
        any::<u64>(),
        name(),
        btree_set(name(), 0..3),
        btree_set(any::<String>(), 0..3),
        vec(line, 0..3),
        vec(hint, 0..3),
        option::of(flushed()),
        (closed(), obeyed(), any::<bool>(), btree_map(name(), btree_set(host(), 0..3), 0..3)),
    )
        .prop_map(|(life, region, sites, parts, lines, hints, flushed, since)| Cursor {
            life,
            region,
            sites,
            parts,
            lines,
            hints,
            flushed,
            closed: since.0,
            obeyed: since.1,
            behind: since.2,
            hosts: since.3,
        })
}

fn flushed() -> impl Strategy<Value = Flushed> {
    (btree_set(name(), 0..3), any::<bool>(), vec((line(), range()), 0..3))
        .prop_map(|(sites, bases, numbers)| Flushed { sites, bases, numbers })
}

fn closed() -> impl Strategy<Value = Vec<ClosedLine>> {
    btree_map(line(), (any::<u64>(), time()), 0..3).prop_map(|lines| {
        lines.into_iter().map(|(line, (last, since))| ClosedLine { line, last, since }).collect()
    })
}
