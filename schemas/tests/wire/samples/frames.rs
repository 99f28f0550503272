//! Frames and what stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::{
    Audience, Frame, Gate, Invalidation, Mode, Priority, QueryMatch, Recipients, SIGNATURE_BYTES,
    Scheme, Selector,
};
use uuid::Uuid;

use super::{line, text, time};

pub(crate) fn frame() -> Frame {
    Frame {
        publisher: text("publisher-1"),
        line: line(0x11),
        first: 70_000,
        committed_at: time("2026-11-21T10:00:00.123456789Z"),
        invalidations: vec![invalidation(), smallest_invalidation()],
        signature: Some([0x5a; SIGNATURE_BYTES]),
    }
}

pub(crate) fn invalidation() -> Invalidation {
    Invalidation {
        id: Uuid::from_u128(0x0193_4d2e_5b00_7abc_8def_0123_4567_89ab),
        site: text("main"),
        selectors: selectors(),
        mode: Mode::Soft,
        priority: Priority::Critical,
        audience: Audience::Regions(BTreeSet::from([text("eu-west"), text("us-east")])),
        recipients: Recipients::default(),
        accepted_at: time("2026-11-21T10:00:00.12Z"),
        expires_in: Some(Duration::new(86_400, 5)),
        after: Some(Gate::PostgresLsn("0/3015FF0".into())),
        reason: Some("editor published “article 7”".into()),
        labels: BTreeMap::from([("cms".into(), "wagtail".into()), ("user".into(), "7".into())]),
        origin: None,
    }
}

/// The first is for some only; the second says nothing but that it is published again.
pub(crate) fn replayed_frame() -> Frame {
    let recipients = Recipients {
        agents: BTreeSet::from([text("edge-1"), text("edge-2")]),
        caches: BTreeSet::from([text("varnish")]),
    };
    let origin = Some(Uuid::from_u128(0x0193_4d2e_5b00_7abc_8def_0123_4567_89aa));
    let first = Invalidation { recipients, origin, ..invalidation() };
    let second = Invalidation { origin, ..smallest_invalidation() };
    Frame { invalidations: vec![first, second], ..frame() }
}

fn smallest_invalidation() -> Invalidation {
    Invalidation {
        id: Uuid::from_u128(0x0193_4d2e_5b00_7abc_8def_0123_4567_89ac),
        site: text("m"),
        selectors: vec![Selector::Everything],
        mode: Mode::Hard,
        priority: Priority::Normal,
        audience: Audience::All,
        recipients: Recipients::default(),
        accepted_at: Timestamp::UNIX_EPOCH,
        expires_in: None,
        after: Some(Gate::MysqlGtid("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5".into())),
        reason: None,
        labels: BTreeMap::new(),
        origin: None,
    }
}

pub(crate) fn selectors() -> Vec<Selector> {
    let url = |query| Selector::Url {
        scheme: Scheme::Https,
        host: text("www.example.com"),
        path: text("/caf%C3%A9/a"),
        query,
    };
    vec![
        url(QueryMatch::Exact(None)),
        url(QueryMatch::Exact(Some(text("")))),
        url(QueryMatch::Exact(Some(text("page=2&sort=a%26b")))),
        url(QueryMatch::Any),
        Selector::Url {
            scheme: Scheme::Http,
            host: text("example.com:8080"),
            path: text("/"),
            query: QueryMatch::Any,
        },
        Selector::Prefix { host: text("www.example.com"), path: text("/blog/") },
        Selector::Tag(text("article-7")),
        Selector::Key(text("user:42")),
        Selector::Everything,
    ]
}
