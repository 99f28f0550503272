//! Arbitrary valid messages.

use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use schemas::{
    Abilities, Ability, Audience, BoardMessage, CacheReport, ChosenLetters, CircuitState,
    ClockReading, ClosedLine, Cursor, DeadLetter, DeadLetters, Flushed, Frame, Gate, Heartbeat,
    Incarnation, Invalidation, KeptLetter, LaneReport, LetterState, LineCursor, LineId, LineReport,
    LogMessage, Lost, Mode, NumberRange, OpenLine, Order, Ordered, Orders, Outcome, OutcomeCounts,
    Place, Priority, QueryMatch, Report, ResumeHint, Retired, Retirement, Selector, Url,
};
use uuid::Uuid;

use crate::message::Message;

pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => log_message().prop_map(Message::Log),
        1 => report().prop_map(|report| Message::Board(BoardMessage::Report(Box::new(report)))),
        1 => incarnation().prop_map(BoardMessage::Incarnation).prop_map(Message::Board),
        1 => retirement().prop_map(BoardMessage::Retirement).prop_map(Message::Board),
        1 => orders().prop_map(BoardMessage::Orders).prop_map(Message::Board),
        1 => cursor().prop_map(Message::Cursor),
        1 => kept_letter().prop_map(|letter| Message::Letter(Box::new(letter))),
    ]
}

pub(crate) fn log_message() -> impl Strategy<Value = LogMessage> {
    prop_oneof![
        frame().prop_map(LogMessage::Frame),
        heartbeat().prop_map(LogMessage::Heartbeat),
        lost().prop_map(LogMessage::Lost),
    ]
}

fn parsed<T: std::str::FromStr + std::fmt::Debug>(
    pattern: &str,
) -> impl Strategy<Value = T> + use<T> {
    proptest::string::string_regex(pattern)
        .expect("a pattern")
        .prop_filter_map("canonical text", |text| text.parse().ok())
}

fn name<T: std::str::FromStr + std::fmt::Debug>() -> impl Strategy<Value = T> {
    parsed("[a-z0-9][a-z0-9._-]{0,5}")
}

fn host() -> impl Strategy<Value = schemas::Host> {
    parsed("[a-z0-9]{1,4}(\\.[a-z0-9]{1,4})?")
}

fn line() -> impl Strategy<Value = LineId> {
    any::<[u8; 16]>().prop_map(LineId::from_bytes)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond())
        .prop_map(|ns| Timestamp::from_nanosecond(ns).expect("a time within range"))
}

fn range() -> impl Strategy<Value = NumberRange> {
    (1..u64::MAX, any::<u16>())
        .prop_map(|(first, more)| NumberRange { first, last: first.saturating_add(more.into()) })
}

fn selector() -> impl Strategy<Value = Selector> {
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
    let rest = (
        audience,
        time(),
        option::of(any::<Duration>()),
        option::of(gate),
        option::of(any::<String>()),
        btree_map(any::<String>(), any::<String>(), 0..3),
    );
    (what, rest).prop_map(
        |(
            (id, site, selectors, mode, priority),
            (audience, accepted_at, expires_in, after, reason, labels),
        )| Invalidation {
            id: Uuid::from_u128(id),
            site,
            selectors,
            mode,
            priority,
            audience,
            accepted_at,
            expires_in,
            after,
            reason,
            labels,
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    select(&[Mode::Soft, Mode::Hard][..])
}

fn priority() -> impl Strategy<Value = Priority> {
    select(&Priority::ALL[..])
}

fn frame() -> impl Strategy<Value = Frame> {
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

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    (name(), time(), vec((line(), any::<u64>()), 0..4), option::of(any::<u32>()))
        .prop_map(|(publisher, at, lines, agents)| Heartbeat { publisher, at, lines, agents })
}

fn lost() -> impl Strategy<Value = Lost> {
    (name(), line(), range()).prop_map(|(publisher, line, numbers)| Lost {
        publisher,
        line,
        numbers,
    })
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    (name(), time(), vec(line(), 0..3), vec((line(), any::<u64>()), 0..3)).prop_map(
        |(publisher, since, lines, closes)| Incarnation { publisher, since, lines, closes },
    )
}

fn retirement() -> impl Strategy<Value = Retirement> {
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

fn orders() -> impl Strategy<Value = Orders> {
    let mode = select(&[Mode::Soft, Mode::Hard][..]);
    let flush = (name(), option::of(name()), mode)
        .prop_map(|(region, cache, mode)| Ordered::Flush { region, cache, mode });
    let drop = (chosen(), any::<String>(), any::<String>())
        .prop_map(|(letters, reason, by)| Ordered::Drop { letters, reason, by });
    let what = prop_oneof![flush, chosen().prop_map(|letters| Ordered::Retry { letters }), drop];
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

fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let states = &[LetterState::Refused, LetterState::Retrying, LetterState::Purged][..];
    let what = (any::<u128>(), name(), selector(), mode(), any::<String>());
    let when = (time(), time(), any::<u32>(), select(states));
    (what, when, line(), any::<u64>(), any::<u64>()).prop_map(
        |(
            (id, site, selector, mode, reason),
            (first_seen, last_tried, tries, state),
            line,
            number,
            invalidations,
        )| DeadLetter {
            id: Uuid::from_u128(id),
            site,
            selector,
            mode,
            reason,
            first_seen,
            last_tried,
            tries,
            state,
            place: Place { line, number },
            invalidations,
        },
    )
}

fn kept_letter() -> impl Strategy<Value = KeptLetter> {
    (dead_letter(), vec((line(), range()), 0..3))
        .prop_map(|(letter, numbers)| KeptLetter { letter, numbers })
}

fn dead_letters() -> impl Strategy<Value = DeadLetters> {
    let told = (1..u64::MAX, vec(dead_letter(), 0..3))
        .prop_map(|(count, newest)| DeadLetters { count, newest });
    prop_oneof![Just(DeadLetters::default()), told]
}

fn obeyed() -> impl Strategy<Value = Vec<(Uuid, Timestamp)>> {
    btree_map(any::<u128>().prop_map(Uuid::from_u128), time(), 0..3)
        .prop_map(|orders| orders.into_iter().collect())
}

fn cursor() -> impl Strategy<Value = Cursor> {
    let numbers = (any::<u64>(), any::<u64>(), vec(range(), 0..3));
    let line = (line(), numbers, vec((any::<u64>(), any::<String>()), 0..3)).prop_map(
        |(line, (base, floor, settled), refused)| LineCursor {
            line,
            base,
            floor,
            settled,
            refused,
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
        .prop_map(|(life, region, sites, templates, lines, hints, flushed, since)| Cursor {
            life,
            region,
            sites,
            templates,
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

fn report() -> impl Strategy<Value = Report> {
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
    (state, figures, vec(line_report(), 0..3), obeyed(), dead_letters()).prop_map(
        |(
            (priority, life, ready, circuit, last_error),
            (lag, oldest_unsettled_us, outcomes),
            lines,
            obeyed,
            dead_letters,
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
        },
    )
}

fn line_report() -> impl Strategy<Value = LineReport> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let above = (vec(range(), 0..3), vec(range(), 0..3), vec(range(), 0..3));
    let exceptions = vec((range(), select(&Outcome::ALL[..])), 0..3);
    (line(), numbers, above, exceptions).prop_map(
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
