//! Cursors.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{ClosedLine, Cursor, Flushed, LineCursor, Outcome, ResumeHint};

use super::orders::order;
use super::{line, range, text, time};

pub(crate) fn cursor() -> Cursor {
    Cursor {
        life: 3,
        region: text("eu-west"),
        sites: BTreeSet::from([text("main"), text("shop")]),
        parts: BTreeSet::from(["tag=tag:{tag}".into(), "url=page:{host}{path}".into()]),
        lines: vec![LineCursor {
            line: line(0x11),
            base: 10,
            floor: 69_000,
            settled: vec![range(69_002, 69_002), range(69_010, 70_000)],
            refused: vec![(69_011, "key is longer than the cache takes".into())],
            exceptions: Vec::new(),
        }],
        hints: vec![ResumeHint {
            partition: 0,
            position: 123_456,
            time: time("2026-11-21T09:58:00Z"),
        }],
        flushed: None,
        closed: Vec::new(),
        obeyed: Vec::new(),
        behind: false,
        hosts: BTreeMap::new(),
    }
}

pub(crate) fn cursor_of_obeyed() -> Cursor {
    Cursor {
        obeyed: vec![
            (order(1), time("2026-11-22T10:00:00Z")),
            (order(2), time("2026-11-22T11:00:00.5Z")),
        ],
        ..cursor()
    }
}

pub(crate) fn cursor_with_exceptions() -> Cursor {
    let mut cursor = cursor();
    cursor.lines[0].exceptions = vec![
        (range(68_000, 68_500), Outcome::Covered),
        (range(68_990, 68_990), Outcome::Cancelled),
        (range(69_010, 69_011), Outcome::Expired),
    ];
    cursor.lines.push(LineCursor {
        line: line(0x22),
        exceptions: Vec::new(),
        ..cursor.lines[0].clone()
    });
    cursor
}

pub(crate) fn cursor_behind() -> Cursor {
    let hosts = |names: &[&str]| names.iter().map(|name| text(name)).collect();
    let hosts =
        [(text("main"), hosts(&["example.com", "www.example.com"])), (text("shop"), hosts(&[]))];
    Cursor { behind: true, hosts: hosts.into(), ..cursor() }
}

pub(crate) fn cursor_of_flushed_cache() -> Cursor {
    let closed =
        |digit, last| ClosedLine { line: line(digit), last, since: time("2026-11-20T09:58:00.5Z") };
    Cursor {
        flushed: Some(Flushed {
            sites: BTreeSet::from([text("main"), text("shop")]),
            bases: true,
            numbers: vec![(line(0x11), range(69_001, 69_001)), (line(0x22), range(1, 7))],
        }),
        closed: vec![closed(0x11, 70_001), closed(0x22, 0)],
        ..cursor()
    }
}
