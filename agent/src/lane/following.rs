//! A lane goes back with the cursor of the lane that it comes after.

use std::sync::Arc;

use tracing::warn;

use super::Lane;
use crate::Moment;
use crate::progress::{Followed, Progress};

/// How far a lane has followed its inner one.
#[derive(Debug)]
pub(super) struct Following {
    inner: Arc<Progress>,
    returns: u64,
}

impl Following {
    /// The first so many returns were followed by an earlier lane.
    pub(super) fn new(inner: Arc<Progress>, returns: u64) -> Self {
        Self { inner, returns }
    }
}

impl Lane {
    /// How far it has followed.
    pub(super) fn followed(&self) -> Followed {
        let returns = self.following.as_ref().map_or(0, |following| following.returns);
        Followed { flushes: self.machine.followed(), returns }
    }

    /// Goes back where the inner lane has done so. A lane without a cursor has nothing to go back to: it is flushed.
    pub(super) fn follow(&mut self, now: Moment) {
        let Some(following) = &mut self.following else { return };
        if !self.machine.has_cursor() {
            return;
        }
        let (returns, cursors) = following.inner.returned_since(following.returns);
        following.returns = returns;
        for inner in cursors {
            if let Some(back) = self.machine.taken_back_with(&inner) {
                warn!(lane = self.name, "the inner lane has gone back: back with it");
                self.metrics.relapsed("inner");
                self.go_back(Some(back), now);
            }
        }
    }
}
