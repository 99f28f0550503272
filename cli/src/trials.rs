//! What `check --connect` tries out: the broker with everything that a role does there, and every cache.
//!
//! Everything is tried, whatever failed before it, within a bounded time, and nothing that is tried leaves a trace that
//! anybody would have to heed.

mod advice;
mod broker;
mod caches;

use serde_json::{Value, json};

use crate::config::Config;

/// Told whenever something has been tried.
pub(crate) type Done<'a> = &'a (dyn Fn() + Sync);

/// One thing tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trial {
    /// What.
    pub(crate) what: String,
    /// And what came of it.
    pub(crate) found: Found,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// It works, and how.
    Fine(String),
    /// It does not.
    Wrong {
        /// Why, with all causes.
        cause: String,
        /// What to do about it, where that can be told.
        fix: Option<String>,
    },
    /// Something else must work first.
    NotTried(String),
}

impl Trial {
    /// Whether nothing is wrong with it.
    pub(crate) fn is_fine(&self) -> bool {
        matches!(self.found, Found::Fine(_))
    }

    /// For scripts.
    pub(crate) fn to_json(&self) -> Value {
        let what = &self.what;
        match &self.found {
            Found::Fine(detail) => json!({"what": what, "result": "ok", "detail": detail}),
            Found::Wrong { cause, fix } => {
                json!({"what": what, "result": "failed", "cause": cause, "fix": fix})
            }
            Found::NotTried(why) => json!({"what": what, "result": "not_tried", "cause": why}),
        }
    }
}

/// Tries all of it, broker and caches at the same time; `done` is called whenever something has been tried.
pub(crate) async fn run(config: &Config, done: Done<'_>) -> Vec<Trial> {
    let (broker, caches) = tokio::join!(broker::run(config, done), caches::run(config, done));
    [broker, caches].concat()
}

/// How many there will be.
pub(crate) fn count(config: &Config) -> usize {
    broker::count(config) + caches::count(config)
}

/// The causes of a seam's error, each said once; the error itself says only what to do next.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let first = error.source().unwrap_or(error);
    let causes = std::iter::successors(Some(first), |error| error.source());
    let mut told = String::new();
    for cause in causes.map(ToString::to_string) {
        if !told.contains(&cause) {
            if !told.is_empty() {
                told.push_str(": ");
            }
            told.push_str(&cause);
        }
    }
    told
}
