//! One message of each kind with every field in use: the values that the golden bytes stand for.

mod cursors;
mod frames;
mod letters;
mod lines;
mod orders;
mod reports;

use jiff::Timestamp;
use schemas::{BoardMessage, LineId, LogMessage, NumberRange};

use crate::message::Message;

pub(crate) use self::cursors::cursor;
use self::cursors::{
    cursor_behind, cursor_of_flushed_cache, cursor_of_obeyed, cursor_with_exceptions,
};
pub(crate) use self::frames::frame;
use self::frames::replayed_frame;
use self::letters::{letter, letter_with_exchange, letter_with_status};
pub(crate) use self::lines::lost;
use self::lines::{
    heartbeat, heartbeat_with_agents, incarnation, retired_agent, retired_publisher,
    retired_publisher_with_open_lines,
};
use self::orders::{orders, orders_about_letters, orders_to_stop};
pub(crate) use self::reports::report;
use self::reports::{report_of_letters, report_of_obeyed, report_of_paused, report_with_clocks};

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
