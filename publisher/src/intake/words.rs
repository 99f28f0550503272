//! The parts of a request that are for humans and their tools, and the expiry.

use std::collections::BTreeMap;
use std::time::Duration;

use humantime_serde::re::humantime::parse_duration;
use jiff::Timestamp;

use super::{Mistakes, Pointer};

const TEXT_BYTES_MAX: usize = 512;
const LABELS_MAX: usize = 16;
const LABEL_NAME_BYTES_MAX: usize = 63;
const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Longer than any log keeps an invalidation.
const EXPIRY_MAX: Duration = Duration::from_hours(365 * 24);

/// How old an invalidation may get.
pub(super) fn expiry(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Err(error) => Err(format!("is not a duration such as \"90s\" or \"24h\": {error}")),
        Ok(Duration::ZERO) => Err("is no time at all; leave it out for no expiry".to_owned()),
        Ok(expiry) if expiry > EXPIRY_MAX => {
            Err("is longer than 365 days; leave it out for no expiry".to_owned())
        }
        Ok(expiry) => Ok(expiry),
    }
}

/// A moment: RFC 3339, or so long before `now`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, &'static str> {
    let ago = |text: &str| now.checked_sub(parse_duration(text).ok()?).ok();
    text.parse()
        .ok()
        .or_else(|| ago(text))
        .ok_or("cannot be read; give a time such as 2026-01-01T12:00:00Z, or 15m for so long ago")
}

/// A reason, or as long a text.
pub(crate) fn check_text(pointer: &str, text: Option<&str>, mistakes: &mut Mistakes) {
    if let Some(mistake) = text.and_then(|text| wrong_text(text, TEXT_BYTES_MAX)) {
        mistakes.add(pointer, mistake);
    }
}

pub(super) fn check_labels(labels: &BTreeMap<String, String>, mistakes: &mut Mistakes) {
    if labels.len() > LABELS_MAX {
        let detail = format!("holds {} labels; give at most {LABELS_MAX}", labels.len());
        return mistakes.add("/labels", detail);
    }
    for (name, value) in labels {
        let pointer = Pointer::Member("labels", name);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if !(1..=LABEL_NAME_BYTES_MAX).contains(&name.len()) || !name.chars().all(allowed) {
            let detail = format!(
                "a label's name is 1 to {LABEL_NAME_BYTES_MAX} letters, digits, '-', '_', '.' and '/'"
            );
            mistakes.add(pointer, detail);
        }
        if let Some(mistake) = wrong_text(value, LABEL_VALUE_BYTES_MAX) {
            mistakes.add(pointer, mistake);
        }
    }
}

/// Text ends up in logs and on terminals.
fn wrong_text(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() > bytes_max {
        return Some(format!("is {} bytes long; give at most {bytes_max}", text.len()));
    }
    let control = text.char_indices().find(|(_, c)| c.is_control());
    control.map(|(at, c)| format!("holds {c:?} at byte {at}; leave out control characters"))
}
