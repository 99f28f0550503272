//! Replays, by the name of who asks.

use schemas::api::{Replay, ReplayRequest};
use uuid::Uuid;

use super::{PublisherHandle, Repeatable};
use crate::caller::Caller;
use crate::replays::{NotReplayed, Replays};

impl PublisherHandle {
    /// Begins, shows and stops replays.
    pub(crate) fn replays(&self) -> &Replays {
        &self.0.replays
    }

    /// Begins a replay. A repetition by the same caller under the same key is the same replay.
    pub(crate) async fn replay(
        &self,
        caller: &Caller,
        request: &ReplayRequest,
        key: Option<&str>,
    ) -> Result<Replay, NotReplayed> {
        self.unless_paused(caller).map_err(NotReplayed::Paused)?;
        let repeatable = key.map(|key| Repeatable { caller: caller.name(), key });
        let id = self.order_id(repeatable, request);
        self.0.replays.begin(caller, request, id).await
    }

    /// Goes on with a replay that was cancelled or failed, where it stopped.
    pub(crate) async fn resume_replay(
        &self,
        caller: &Caller,
        id: Uuid,
    ) -> Result<Replay, NotReplayed> {
        self.unless_paused(caller).map_err(NotReplayed::Paused)?;
        self.0.replays.resume(caller, id).await
    }
}
