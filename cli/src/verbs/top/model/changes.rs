//! What is another way in one snapshot than in the one before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::CircuitState;

use crate::verbs::top::snapshot::{CacheRow, Change, Snapshot};

/// What has changed, found at that time.
pub(super) fn between(before: &Snapshot, after: &Snapshot, at: Timestamp) -> Vec<Change> {
    let known: BTreeMap<String, &CacheRow> = named(before);
    let found: BTreeMap<String, &CacheRow> = named(after);
    let mut changes = Vec::new();
    let mut note = |what: String, bad: bool| changes.push(Change { at, what, bad });
    for (name, lane) in &found {
        match known.get(name) {
            None => note(format!("{name} is new"), false),
            Some(earlier) => {
                if let Some((what, bad)) = turned(earlier, lane) {
                    note(format!("{name} {what}"), bad);
                }
            }
        }
    }
    for name in known.keys().filter(|name| !found.contains_key(*name)) {
        note(format!("{name} is gone"), false);
    }
    let (fewer, more) = (before.all.dead_letters, after.all.dead_letters);
    if more > fewer {
        note(format!("{} more dead letters", more - fewer), true);
    }
    changes
}

fn named(snapshot: &Snapshot) -> BTreeMap<String, &CacheRow> {
    snapshot.caches.iter().map(|lane| (lane.name(), lane)).collect()
}

/// What a lane has become, and whether that is bad.
fn turned(before: &CacheRow, after: &CacheRow) -> Option<(String, bool)> {
    let why = after.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match (before.circuit, after.circuit) {
        (CircuitState::Closed, CircuitState::Open) => {
            Some((format!("opened its circuit{why}"), true))
        }
        (CircuitState::Open, CircuitState::Closed) => {
            Some(("closed its circuit".to_owned(), false))
        }
        _ => match (before.ready, after.ready) {
            (true, false) => Some((format!("is not ready any more{why}"), true)),
            (false, true) => Some(("is ready".to_owned(), false)),
            _ => None,
        },
    }
}
