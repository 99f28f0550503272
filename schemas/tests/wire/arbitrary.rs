//! Arbitrary valid messages.

mod cursor;
mod letters;
mod log;
mod orders;
mod report;

use jiff::Timestamp;
use proptest::collection::btree_map;
use proptest::prelude::*;
use schemas::{BoardMessage, LineId, LogMessage, NumberRange};
use uuid::Uuid;

use self::cursor::cursor;
use self::letters::{dead_letters, kept_letter};
use self::log::{frame, heartbeat, lost, mode, priority, selector};
use self::orders::{incarnation, orders, retirement};
use self::report::{exceptions, report};
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

fn obeyed() -> impl Strategy<Value = Vec<(Uuid, Timestamp)>> {
    btree_map(any::<u128>().prop_map(Uuid::from_u128), time(), 0..3)
        .prop_map(|orders| orders.into_iter().collect())
}
