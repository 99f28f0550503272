//! What is encoded decodes to itself, however large.

use proptest::prelude::*;
use schemas::wire::{self, BODY_BYTES_MAX};
use schemas::{BoardMessage, Cursor, LogMessage, NumberRange, QueryMatch, Scheme, Selector};

use crate::arbitrary;
use crate::message::{Message, decode};
use crate::samples;

proptest! {
    #[test]
    fn every_message_comes_back_as_it_went(message in arbitrary::message()) {
        let bytes = message.encode();
        if let Message::Log(LogMessage::Frame(frame)) = &message {
            prop_assert_eq!(wire::frame_bytes(frame), bytes.len());
        }
        prop_assert_eq!(decode(&bytes), Ok(message));
    }
}

/// The worst order to settle a window in: every second number.
fn scattered(window: u64) -> Vec<NumberRange> {
    (0..window).map(|n| u64::MAX / 2 + 2 * n).map(|n| NumberRange { first: n, last: n }).collect()
}

#[test]
fn the_report_of_twenty_scattered_caches_comes_back() {
    let mut report = samples::report();
    let mut cache = report.caches.swap_remove(0);
    for lane in &mut cache.lanes {
        lane.lines[0].applied_above = scattered(10_000);
        lane.lines[0].finished_above = scattered(10_000);
    }
    report.caches = vec![cache; 20];
    let message = BoardMessage::Report(Box::new(report));
    let bytes = wire::encode_board(&message);
    assert!(bytes.len() < BODY_BYTES_MAX, "{} bytes", bytes.len());
    assert!(wire::decode_board(&bytes) == Ok(message));
}

#[test]
fn a_cursor_with_ten_thousand_dead_letters_comes_back() {
    let mut cursor: Cursor = samples::cursor();
    cursor.lines[0].settled = scattered(10_000);
    cursor.lines[0].refused = (1..=10_000).map(|number| (number, "r".repeat(1_024))).collect();
    assert!(wire::decode_cursor(&wire::encode_cursor(&cursor)) == Ok(cursor));
}

#[test]
fn the_largest_invalidation_comes_back() {
    let mut frame = samples::frame();
    let longest = Selector::Url {
        scheme: Scheme::Https,
        host: "www.example.com".parse().unwrap(),
        path: format!("/{}", "%C3%A9".repeat(341)).parse().unwrap(),
        query: QueryMatch::Any,
    };
    frame.invalidations[0].selectors = vec![longest; 1_000];
    // As many labels as 256 KiB of JSON can hold: `"a":"",` each.
    frame.invalidations[0].labels = (0..37_000).map(|n| (n.to_string(), String::new())).collect();
    let message = LogMessage::Frame(frame);
    assert!(wire::decode_log(&wire::encode_log(&message)) == Ok(message));
}
