//! What streams and subjects are called.
//!
//! ```text
//! log    stream PREFIX-TOPIC   subjects PREFIX.TOPIC.PARTITION
//! board  stream PREFIX-TOPIC   subjects PREFIX.TOPIC.KEY, each byte of KEY outside [A-Za-z0-9_-] as =HH
//! ```

use std::fmt::Write;

use crate::{Partition, Topic};

/// The names of one installation.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream of a topic.
    pub(super) fn stream(&self, topic: Topic) -> String {
        format!("{}-{topic}", self.prefix)
    }

    /// All subjects of a topic.
    pub(super) fn subjects(&self, topic: Topic) -> String {
        format!("{}.{topic}.*", self.prefix)
    }

    /// The subject of a partition of a log.
    pub(super) fn of_partition(&self, topic: Topic, partition: Partition) -> String {
        format!("{}.{topic}.{}", self.prefix, partition.0)
    }

    /// The subject of a key of a board.
    pub(super) fn of_key(&self, topic: Topic, key: &str) -> String {
        format!("{}.{topic}.{}", self.prefix, escape(key))
    }
}

/// The partition of a log's subject; none where it is not one of ours.
pub(super) fn partition(subject: &str) -> Option<Partition> {
    let token = last_token(subject);
    let number = token.parse().ok().map(Partition)?;
    // "007" and "+7" are not what we write.
    (token == number.0.to_string()).then_some(number)
}

/// The key of a board's subject; none where it is not one of ours.
pub(super) fn key(subject: &str) -> Option<String> {
    let token = last_token(subject);
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let [high, low] =
                [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    // The empty key is written as a token that no other key has.
    let bytes = if bytes == EMPTY_KEY { Vec::new() } else { bytes };
    let key = String::from_utf8(bytes).ok()?;
    (escape(&key) == token).then_some(key)
}

/// A subject's token cannot be empty; no text has this byte.
const EMPTY_KEY: [u8; 1] = [0xFF];

fn escape(key: &str) -> String {
    let bytes = if key.is_empty() { &EMPTY_KEY } else { key.as_bytes() };
    let mut escaped = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "={byte:02X}").expect("a string takes all text");
        }
    }
    escaped
}

fn last_token(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_that_an_operator_grants() {
        let names = Names::new("purgebus");
        assert_eq!(names.stream(Topic::log("critical")), "purgebus-critical");
        assert_eq!(names.subjects(Topic::log("critical")), "purgebus.critical.*");
        assert_eq!(names.of_partition(Topic::log("normal"), Partition(2)), "purgebus.normal.2");
        let subject = names.of_key(Topic::board("reports"), "eu west.α_-");
        assert_eq!(subject, "purgebus.reports.eu=20west=2E=CE=B1_-");
    }

    #[test]
    fn foreign_subjects_are_none_of_ours() {
        for subject in ["p.t.x", "p.t.-1", "p.t.+1", "p.t.01", "p.t.4294967296", "p.t.", ""] {
            assert_eq!(partition(subject), None, "{subject}");
        }
        for subject in ["p.t.a b", "p.t.=4", "p.t.=G0", "p.t.=41", "p.t.=ff", "p.t.=C3", "p.t.é"] {
            assert_eq!(key(subject), None, "{subject}");
        }
        assert_eq!(partition("p.t.7"), Some(Partition(7)));
    }

    proptest! {
        #[test]
        fn every_key_comes_back_from_one_token(text in ".*") {
            let subject = Names::new("p").of_key(Topic::board("b"), &text);
            prop_assert_eq!(subject.split('.').count(), 3);
            prop_assert!(subject.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(key(&subject), Some(text));
        }
    }
}
