//! One message of each kind with every field in use: the values that the golden bytes stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::{
    Abilities, Ability, Audience, BoardMessage, CacheReport, ChosenLetters, CircuitState,
    ClockReading, ClosedLine, Cursor, DeadLetter, DeadLetters, Exchange, Flushed, Frame, Gate,
    Heartbeat, Incarnation, Invalidation, KeptLetter, LanePause, LaneReport, LetterState,
    LineCursor, LineId, LineReport, LogMessage, Lost, Mode, NumberRange, OpenLine, Order, Ordered,
    Orders, Outcome, OutcomeCounts, Paused, Place, Priority, QueryMatch, Recipients, Report,
    ResumeHint, Retired, Retirement, SIGNATURE_BYTES, Scheme, Selector,
};
use uuid::Uuid;

use crate::message::Message;

/// Every sample with the name of its golden file. A released sample never changes: add another.
pub(crate) fn samples() -> [(&'static str, Message); 25] {
    [
        ("v1-frame", Message::Log(LogMessage::Frame(frame()))),
        ("v1-frame-replayed", Message::Log(LogMessage::Frame(replayed_frame()))),
        ("v1-heartbeat", Message::Log(LogMessage::Heartbeat(heartbeat()))),
        ("v1-heartbeat-agents", Message::Log(LogMessage::Heartbeat(heartbeat_with_agents()))),
        ("v1-lost", Message::Log(LogMessage::Lost(lost()))),
        ("v1-report", Message::Board(BoardMessage::Report(Box::new(report())))),
        ("v1-report-clocks", Message::Board(BoardMessage::Report(Box::new(report_with_clocks())))),
        ("v1-incarnation", Message::Board(BoardMessage::Incarnation(incarnation()))),
        ("v1-retired-agent", Message::Board(BoardMessage::Retirement(retired_agent()))),
        ("v1-retired-publisher", Message::Board(BoardMessage::Retirement(retired_publisher()))),
        (
            "v1-retired-publisher-open",
            Message::Board(BoardMessage::Retirement(retired_publisher_with_open_lines())),
        ),
        ("v1-orders", Message::Board(BoardMessage::Orders(orders()))),
        ("v1-report-obeyed", Message::Board(BoardMessage::Report(Box::new(report_of_obeyed())))),
        ("v1-orders-letters", Message::Board(BoardMessage::Orders(orders_about_letters()))),
        ("v1-report-letters", Message::Board(BoardMessage::Report(Box::new(report_of_letters())))),
        ("v1-letter", Message::Letter(Box::new(letter()))),
        ("v1-orders-stops", Message::Board(BoardMessage::Orders(orders_to_stop()))),
        ("v1-report-paused", Message::Board(BoardMessage::Report(Box::new(report_of_paused())))),
        ("v1-letter-exchange", Message::Letter(Box::new(letter_with_exchange()))),
        ("v1-letter-status", Message::Letter(Box::new(letter_with_status()))),
        ("v1-cursor", Message::Cursor(cursor())),
        ("v1-cursor-obeyed", Message::Cursor(cursor_of_obeyed())),
        ("v1-cursor-behind", Message::Cursor(cursor_behind())),
        ("v1-cursor-flushed", Message::Cursor(cursor_of_flushed_cache())),
        ("v1-cursor-exceptions", Message::Cursor(cursor_with_exceptions())),
    ]
}

fn line(digit: u8) -> LineId {
    LineId::from_bytes([digit; 16])
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn range(first: u64, last: u64) -> NumberRange {
    NumberRange { first, last }
}

fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("canonical text")
}

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
fn replayed_frame() -> Frame {
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

fn selectors() -> Vec<Selector> {
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

fn heartbeat() -> Heartbeat {
    Heartbeat {
        publisher: text("publisher-1"),
        at: time("2026-11-21T10:00:01Z"),
        lines: vec![(line(0x11), 70_001), (line(0x22), 0), (line(0x33), u64::MAX)],
        agents: None,
    }
}

fn heartbeat_with_agents() -> Heartbeat {
    Heartbeat { agents: Some(1_200), ..heartbeat() }
}

pub(crate) fn lost() -> Lost {
    Lost { publisher: text("publisher-1"), line: line(0x11), numbers: range(250, 300) }
}

fn incarnation() -> Incarnation {
    Incarnation {
        publisher: text("publisher-1"),
        since: time("2026-11-21T09:59:59.5Z"),
        lines: vec![line(0x33), line(0x44)],
        closes: vec![(line(0x11), 70_001), (line(0x22), 0)],
    }
}

fn retired_agent() -> Retirement {
    let id = |digit| Uuid::from_u128(digit);
    Retirement {
        retired: Retired::Agent { name: text("edge-1"), instances: vec![(id(1), 900), (id(2), 7)] },
        at: time("2026-11-21T10:05:00Z"),
        by: text("publisher-1"),
    }
}

fn retired_publisher() -> Retirement {
    Retirement {
        retired: Retired::Publisher {
            name: text("publisher-2"),
            lines: vec![(line(0x11), 70_001), (line(0x22), 0)],
            open: Vec::new(),
        },
        at: time("2026-11-21T10:06:00Z"),
        by: text("publisher-1"),
    }
}

fn retired_publisher_with_open_lines() -> Retirement {
    let open = |digits, priority, partition| OpenLine { line: line(digits), priority, partition };
    let open = vec![open(0x11, Priority::Normal, 3), open(0x22, Priority::Critical, 0)];
    let Retirement { retired: Retired::Publisher { name, lines, .. }, at, by } =
        retired_publisher()
    else {
        panic!("not a publisher")
    };
    Retirement { retired: Retired::Publisher { name, lines, open }, at, by }
}

fn report_with_clocks() -> Report {
    let clock = |name, heard_after_us| ClockReading { publisher: text(name), heard_after_us };
    Report { clocks: vec![clock("publisher-1", -1_500), clock("publisher-2", 250)], ..report() }
}

pub(crate) fn cursor() -> Cursor {
    Cursor {
        life: 3,
        region: text("eu-west"),
        sites: BTreeSet::from([text("main"), text("shop")]),
        templates: BTreeSet::from(["tag=tag:{tag}".into(), "url=page:{host}{path}".into()]),
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

fn cursor_of_obeyed() -> Cursor {
    Cursor {
        obeyed: vec![
            (order(1), time("2026-11-22T10:00:00Z")),
            (order(2), time("2026-11-22T11:00:00.5Z")),
        ],
        ..cursor()
    }
}

fn cursor_with_exceptions() -> Cursor {
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

fn cursor_behind() -> Cursor {
    let hosts = |names: &[&str]| names.iter().map(|name| text(name)).collect();
    let hosts =
        [(text("main"), hosts(&["example.com", "www.example.com"])), (text("shop"), hosts(&[]))];
    Cursor { behind: true, hosts: hosts.into(), ..cursor() }
}

fn report_of_obeyed() -> Report {
    let mut report = report();
    report.caches[0].lanes[1].obeyed = vec![order(1), order(2)];
    report
}

fn order(digit: u128) -> Uuid {
    Uuid::from_u128(0x0193_4d2e_5b00_7abc_8def_0123_4567_8900 + digit)
}

fn orders() -> Orders {
    let flush = |digit, cache: Option<&str>, mode| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-22T10:00:00Z"),
        what: Ordered::Flush { region: text("eu-west"), cache: cache.map(text), mode },
    };
    let orders = vec![flush(1, Some("varnish"), Mode::Soft), flush(2, None, Mode::Hard)];
    Orders { by: text("publisher-1"), orders }
}

fn orders_about_letters() -> Orders {
    let order = |digit, what| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-22T10:00:00Z"),
        what,
    };
    let retry = ChosenLetters { ids: vec![letter().letter.id], ..ChosenLetters::default() };
    let dropped = ChosenLetters {
        ids: Vec::new(),
        region: Some(text("eu-west")),
        agent: Some(text("edge-1")),
        cache: Some(text("varnish")),
        site: Some(text("main")),
        text: Some("405".into()),
    };
    let (reason, by) = ("the page is gone".into(), "ops".into());
    let drop = Ordered::Drop { letters: dropped, reason, by };
    let orders = vec![order(3, Ordered::Retry { letters: retry }), order(4, drop)];
    Orders { by: text("publisher-1"), orders }
}

fn report_of_letters() -> Report {
    let mut report = report_of_obeyed();
    let newest = vec![letter().letter];
    report.caches[0].lanes[1].dead_letters = DeadLetters { count: 7, newest };
    report
}

fn letter() -> KeptLetter {
    let letter = DeadLetter {
        id: Uuid::from_u128(0x5f1d_0000_0000_4000_8000_0000_0000_0002),
        site: text("main"),
        selector: selectors().swap_remove(2),
        mode: Mode::Soft,
        reason: "the cache answered 405 Not Allowed".into(),
        first_seen: time("2026-11-21T10:00:00.25Z"),
        last_tried: time("2026-11-21T10:05:00Z"),
        tries: 2,
        state: LetterState::Retrying,
        place: Place { line: line(0x22), number: 4 },
        invalidations: 3,
        exchange: None,
    };
    let numbers = vec![(line(0x11), range(69_011, 69_012)), (line(0x22), range(4, 4))];
    KeptLetter { letter, numbers }
}
fn orders_to_stop() -> Orders {
    let order = |digit, what| Order {
        id: order(digit),
        at: time("2026-11-21T10:00:00Z"),
        expires_at: time("2026-11-21T10:15:00Z"),
        what,
    };
    let by = || "ops".to_owned();
    let pause = |what, reason: Option<&str>| Ordered::Pause {
        what,
        reason: reason.map(ToOwned::to_owned),
        by: by(),
    };
    let cache =
        |region: Option<&str>| Paused::Cache { cache: text("varnish"), region: region.map(text) };
    let cancel = Ordered::Cancel {
        invalidation: invalidation().id,
        place: Place { line: line(0x11), number: 70_000 },
        priority: Priority::Critical,
        by: by(),
    };
    let orders = [
        pause(Paused::Site(text("main")), Some("a runaway import")),
        pause(Paused::Agent(text("edge-1")), None),
        pause(cache(None), None),
        pause(cache(Some("eu-west")), None),
        pause(Paused::Token("Nightly import".into()), None),
        Ordered::Resume { pause: self::order(1), by: by() },
        cancel,
    ];
    let orders = (5..).zip(orders).map(|(digit, what)| order(digit, what)).collect();
    Orders { by: text("publisher-1"), orders }
}

fn report_of_paused() -> Report {
    let mut report = report_of_letters();
    let pause = |digit, site: Option<&str>| LanePause {
        id: order(digit),
        site: site.map(text),
        until: time("2026-11-21T10:15:00Z"),
    };
    report.caches[0].lanes[1].paused = vec![pause(5, Some("main")), pause(6, None)];
    report
}

fn letter_with_exchange() -> KeptLetter {
    let mut kept = letter();
    let answer = b"Server: Varnish\r\n\r\n\x1b[31mno\xff";
    kept.letter.exchange = Some(Exchange::new(b"HTTP/1.1 405 Not Allowed", answer));
    kept
}

fn letter_with_status() -> KeptLetter {
    let mut kept = letter_with_exchange();
    kept.letter.exchange = kept.letter.exchange.map(Exchange::without_answer);
    kept
}

fn cursor_of_flushed_cache() -> Cursor {
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
