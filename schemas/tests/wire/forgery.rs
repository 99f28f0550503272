//! Envelopes with a right checksum around bodies that no encoder of ours makes.
//!
//! The envelope is built here a second time, from its documentation.

use proptest::prelude::*;
use schemas::wire::{self, WireError};
use schemas::{LogMessage, NumberRange, Selector};

use crate::arbitrary;
use crate::message::{decode, decode_everywhere, invalid};
use crate::samples::{self, samples};

const HEADER_BYTES: usize = 15;
const KINDS: [u8; 7] = [1, 2, 3, 16, 17, 32, 33];

/// `body` in an envelope with a right checksum.
fn forge(kind: u8, schema: u16, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut header = vec![b'P', b'B', 1, kind];
    header.extend(schema.to_be_bytes());
    header.push(flags);
    header.extend(u32::try_from(body.len()).expect("a short body").to_be_bytes());
    let crc = crc32c::crc32c(&[&header, body].concat());
    [&header, crc.to_be_bytes().as_slice(), body].concat()
}

/// A valid message with another body, and its checksum right again.
fn with_body(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = bytes[HEADER_BYTES..].to_vec();
    change(&mut body);
    forge(bytes[3], 1, 0, &body)
}

fn replace(bytes: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("the old bytes");
    bytes.splice(at..at + old.len(), new.iter().copied());
}

#[test]
fn the_envelope_is_as_documented() {
    for (name, message) in samples() {
        let bytes = message.encode();
        assert_eq!(with_body(&bytes, |_| ()), bytes, "{name}");
    }
}

#[test]
fn unknown_versions_kinds_schemas_and_flags_are_named() {
    let body = [0; 3];
    let unknown = |what, value| Err(WireError::Unknown { what, value });
    let mut version = forge(1, 1, 0, &body);
    version[2] = 9;
    assert_eq!(wire::decode_log(&version), unknown("version of the envelope", 9));
    assert_eq!(wire::decode_log(&forge(99, 1, 0, &body)), unknown("kind of log message", 99));
    assert_eq!(wire::decode_log(&forge(1, 700, 0, &body)), unknown("schema", 700));
    assert_eq!(wire::decode_log(&forge(1, 1, 4, &body)), unknown("flags", 4));
    let kind = WireError::Unknown { what: "kind of board message", value: 99 };
    assert_eq!(wire::decode_board(&forge(99, 1, 0, &body)), Err(kind));
    let kind = WireError::Unknown { what: "kind of cursor", value: 99 };
    assert_eq!(wire::decode_cursor(&forge(99, 1, 0, &body)), Err(kind));
}

#[test]
fn a_tail_that_this_build_does_not_know_is_skipped() {
    let with_facts = [
        "v1-report-clocks",
        "v1-heartbeat-agents",
        "v1-cursor-flushed",
        "v1-cursor-obeyed",
        "v1-cursor-behind",
        "v1-cursor-exceptions",
        "v1-retired-publisher-open",
        "v1-report-letters",
    ];
    for (name, message) in samples().into_iter().filter(|(name, _)| !with_facts.contains(name)) {
        let bytes = with_body(&message.encode(), |body| {
            // No extension becomes one: number 7, two bytes.
            assert_eq!(body.pop(), Some(0));
            body.extend([1, 7, 2, 0xaa, 0xbb]);
        });
        assert_eq!(decode(&bytes), Ok(message), "{name}");
    }
}

#[test]
fn a_fact_that_is_known_is_as_strict_as_a_field() {
    let with = |name: &str, number: u8, fact: &[u8]| {
        let sample = samples().into_iter().find(|(known, _)| *known == name).expect("a sample").1;
        with_body(&sample.encode(), |body| {
            assert_eq!(body.pop(), Some(0));
            body.extend([1, number, u8::try_from(fact.len()).expect("short")]);
            body.extend(fact);
        })
    };
    let with_clocks = |fact: &[u8]| with("v1-report", 1, fact);
    let clocks = with_clocks(&[2, 1, b'b', 0, 1, b'a', 0]);
    assert_eq!(invalid(&clocks), "clocks are not in ascending order");
    assert_eq!(invalid(&with_clocks(&[0, 0])), "more bytes than its fields take");
    let exceptions = |of: u8, range: [u8; 2]| {
        let row = [&[of; 16][..], &[1], &range, &[5]].concat();
        with("v1-cursor", 6, &[&[1][..], &row].concat())
    };
    assert!(decode(&exceptions(0x11, [7, 7])).is_ok());
    assert_eq!(invalid(&exceptions(0x11, [7, 6])), "7 to 6 is no range of numbers");
    let unknown = "line 33333333333333333333333333333333 has exceptions and is not there";
    assert_eq!(invalid(&exceptions(0x33, [7, 7])), unknown);
}

#[test]
fn bytes_behind_the_last_field_are_refused() {
    for (name, message) in samples() {
        let bytes = with_body(&message.encode(), |body| body.push(0));
        assert_eq!(invalid(&bytes), "more bytes than its fields take", "{name}");
    }
}

#[test]
fn a_huge_claim_is_refused_before_anything_is_allocated() {
    // Publisher "p", time 0, then the number of lines.
    let claim = |count: &[u8]| forge(2, 1, 0, &[&[1, b'p', 0], count, &[0; 4]].concat());
    let huge = [&[253][..], &(u64::MAX / 2).to_le_bytes()].concat();
    assert_eq!(invalid(&claim(&huge)), "LimitExceeded");
    let million = [&[252][..], &1_000_000_u32.to_le_bytes()].concat();
    assert_eq!(invalid(&claim(&million)), "LimitExceeded");
}

#[test]
fn a_huge_claim_anywhere_is_survived() {
    for (name, message) in samples() {
        let bytes = message.encode();
        for at in 0..bytes.len() - HEADER_BYTES {
            let claiming = with_body(&bytes, |body| {
                body.splice(at..=at, [253, 255, 255, 255, 255, 255, 255, 255, 63]);
            });
            assert!(taken_only_if_valid(&claiming).is_ok(), "{name} at byte {at}");
        }
    }
}

#[test]
fn text_that_is_not_canonical_is_refused_never_repaired() {
    let frame = wire::encode_log(&LogMessage::Frame(samples::frame()));
    for (old, new, what) in [
        ("publisher-1", "Publisher-1", "publisher may hold a-z"),
        ("www.example.com", "WWW.example.com", "host is not canonical; write www.example.com"),
        ("www.example.com", "www.example.co.", "host ends with a dot"),
        ("example.com:8080", "xexample.com:080", "host has no valid port"),
        ("/caf%C3%A9/a", "/caf%c3%a9/a", "path is not canonical; write /caf%C3%A9/a"),
        ("/caf%C3%A9/a", "/caf%61xxx/a", "path is not canonical; write /cafaxxx/a"),
        ("/caf%C3%A9/a", "/caf%C0%AF/a", "path encodes bytes that are not UTF-8"),
        ("/caf%C3%A9/a", "/cafxxxx/../", "path holds a dot segment"),
        ("/caf%C3%A9/a", "/caf%0D%0A/a", "path encodes the control character"),
        ("/caf%C3%A9/a", "/cafxx\r\nxx/a", "path holds '\\r'"),
        ("/caf%C3%A9/a", "/cafxxx\u{e9}x/a", "path holds 'é'"),
        ("page=2&sort=a%26b", "page=2&sort=a%41b", "query is not canonical"),
        ("page=2&sort=a%26b", "page=2&sort=a#26b", "query holds '#'"),
        ("/blog/", "/b og/", "path holds ' '"),
        ("/blog/", "/%62o/", "path is not canonical; write /bo/"),
        ("www.example.com\u{6}/b", "WWW.example.com\u{6}/b", "host is not canonical"),
        ("article-7", "article,7", "tag holds a comma"),
        ("user:42", "user 42", "key holds ' '"),
        ("eu-west", "eu west", "region may hold a-z"),
        ("eu-west", "zz-west", "regions are not in ascending order"),
    ] {
        assert_eq!(old.len(), new.len());
        let forged = with_body(&frame, |body| replace(body, old.as_bytes(), new.as_bytes()));
        let reason = invalid(&forged);
        assert!(reason.starts_with(what), "{new:?}: {reason}");
    }
}

#[test]
fn a_default_port_on_the_wire_is_refused() {
    let frame = wire::encode_log(&LogMessage::Frame(samples::frame()));
    let forged = with_body(&frame, |body| {
        replace(body, b"\x10example.com:8080", b"\x0eexample.com:80");
    });
    assert_eq!(invalid(&forged), "url names the default port of its scheme; leave it out");
}

#[test]
fn frames_with_impossible_numbers_or_counts_are_refused() {
    let refused = |change: fn(&mut schemas::Frame)| {
        let mut frame = samples::frame();
        change(&mut frame);
        invalid(&wire::encode_log(&LogMessage::Frame(frame)))
    };
    assert_eq!(refused(|frame| frame.invalidations.clear()), "a frame without invalidations");
    assert_eq!(refused(|frame| frame.first = 0), "a frame whose first number is 0");
    assert_eq!(
        refused(|frame| frame.first = u64::MAX),
        "a frame whose first number is 18446744073709551615"
    );
    assert_eq!(
        refused(|frame| frame.invalidations[1].selectors.clear()),
        "0 selectors; there are 1 to 1000"
    );
    assert_eq!(
        refused(|frame| frame.invalidations[0].selectors = vec![Selector::Everything; 1_001]),
        "1001 selectors; there are 1 to 1000"
    );
}

#[test]
fn ranges_that_run_backwards_or_begin_at_zero_are_refused() {
    for (first, last) in [(2, 1), (0, 5), (0, 0)] {
        let mut lost = samples::lost();
        lost.numbers = NumberRange { first, last };
        let reason = invalid(&wire::encode_log(&LogMessage::Lost(lost)));
        assert_eq!(reason, format!("{first} to {last} is no range of numbers"));
    }
}

#[test]
fn sets_out_of_order_are_refused() {
    let cursor = wire::encode_cursor(&samples::cursor());
    for (old, new, what) in [
        ("main", "tail", "sites are not in ascending order"),
        ("main", "shop", "sites are not in ascending order"),
        ("tag=tag", "zag=tag", "parts are not in ascending order"),
    ] {
        let forged = with_body(&cursor, |body| replace(body, old.as_bytes(), new.as_bytes()));
        assert_eq!(invalid(&forged), what);
    }
    let frame = wire::encode_log(&LogMessage::Frame(samples::frame()));
    let forged = with_body(&frame, |body| replace(body, b"cms", b"xms"));
    assert_eq!(invalid(&forged), "labels are not in ascending order");
}

#[test]
fn times_and_spans_out_of_range_are_refused() {
    // Publisher "p", then the largest i128.
    let heartbeat = forge(2, 1, 0, &[&[1, b'p', 254], &[0xff; 16][..], &[0, 0]].concat());
    let reason = invalid(&heartbeat);
    assert!(reason.starts_with("time -1701") && reason.ends_with("is out of range"), "{reason}");
    let frame = wire::encode_log(&LogMessage::Frame(samples::frame()));
    let second = [&[252][..], &1_000_000_000_u32.to_le_bytes()].concat();
    let day = [&[252][..], &86_400_u32.to_le_bytes()].concat();
    let forged = with_body(&frame, |body| {
        replace(body, &[&day[..], &[5]].concat(), &[&day[..], &second].concat());
    });
    assert_eq!(invalid(&forged), "1000000000 ns are a second or more");
}

#[test]
fn a_body_beyond_the_limit_is_refused_unread() {
    let forged = forge(2, 1, 0, &vec![0; wire::BODY_BYTES_MAX + 1]);
    let refusal = WireError::Malformed("its body is longer than the limit");
    assert_eq!(wire::decode_log(&forged), Err(refusal));
}

/// Whatever is taken is valid: it can be said again and means the same.
fn taken_only_if_valid(bytes: &[u8]) -> Result<(), TestCaseError> {
    for message in decode_everywhere(bytes).into_iter().flatten() {
        prop_assert_eq!(decode(&message.encode()), Ok(message));
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bodies_never_panic(
        kind in prop::sample::select(&KINDS[..]), body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        taken_only_if_valid(&forge(kind, 1, 0, &body))?;
    }

    #[test]
    fn altered_bodies_never_panic(
        message in arbitrary::message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let forged = with_body(&message.encode(), |body| {
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
        });
        taken_only_if_valid(&forged)?;
    }
}
