//! The parsers of what comes from outside, for `tests/fuzz`; no part of what this crate offers.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::client::{Message, Reader, retry_after};
use crate::config::{Config, Role};

/// How many mistakes a configuration has, read for the n-th role, or for the one that it is written for.
pub fn configuration(text: &str, role: u8) -> usize {
    let role =
        [None, Some(Role::Serve), Some(Role::Publisher), Some(Role::Agent)][usize::from(role % 4)];
    Config::parse(text, &[], role).map_or_else(|mistakes| mistakes.len(), |_| 0)
}

/// The events in `bytes` that come in two pieces, each with its id.
pub fn events(bytes: &[u8], cut: usize) -> Vec<(Option<String>, String)> {
    let (early, late) = bytes.split_at(cut.min(bytes.len()));
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    for bytes in [early, late] {
        if reader.take(bytes).is_err() {
            break;
        }
        let messages = std::iter::from_fn(|| reader.message());
        events.extend(messages.map(|Message { id, data }| (id, data)));
    }
    events
}

/// How long a publisher asks to be left alone.
pub fn pause(value: &[u8]) -> Option<Duration> {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?)]);
    retry_after(&headers)
}
