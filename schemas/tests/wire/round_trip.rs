//! What is encoded decodes to itself, however large.

use proptest::prelude::*;
use schemas::wire::{self, BODY_BYTES_MAX, LogDecoder};
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

proptest! {
    #[test]
    fn a_decoder_tells_names_apart_whatever_it_decoded_before(
        messages in proptest::collection::vec(arbitrary::log_message(), 1..9),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let mut decoder = LogDecoder::default();
        for index in order {
            let message = index.get(&messages);
            let bytes = wire::encode_log(message);
            prop_assert!(decoder.decode(&bytes[..bytes.len() - 1]).is_err());
            let decoded = decoder.decode(&bytes);
            prop_assert_eq!(decoded.as_ref(), Ok(message));
        }
    }
}

#[test]
fn names_said_again_share_their_memory() {
    let mut frame = samples::frame();
    frame.invalidations.truncate(1);
    frame.invalidations.push(frame.invalidations[0].clone());
    let bytes = wire::encode_log(&LogMessage::Frame(frame));
    let mut decoder = LogDecoder::default();
    let sites: Vec<*const u8> = (0..2)
        .flat_map(|_| match decoder.decode(&bytes) {
            Ok(LogMessage::Frame(frame)) => frame.invalidations,
            other => panic!("{other:?}"),
        })
        .map(|invalidation| invalidation.site.as_str().as_ptr())
        .collect();
    assert_eq!(sites, vec![sites[0]; 4]);
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
