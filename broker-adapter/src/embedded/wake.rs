//! Wakes the readers of a topic after a commit.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Topic;

/// One bell per topic. A reader marks its bell as heard *before* it looks, so no commit is missed.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<HashMap<&'static str, watch::Sender<()>>>);

impl Wakes {
    /// A bell that rings from now on.
    pub(super) fn subscribe(&self, topic: Topic) -> watch::Receiver<()> {
        self.0.lock().entry(topic.name()).or_default().subscribe()
    }

    /// Rings.
    pub(super) fn wake(&self, topic: Topic) {
        if let Some(bell) = self.0.lock().get(topic.name()) {
            bell.send_replace(());
        }
    }
}
