//! The cursor that lies inside Redis: whatever a real Redis loses, of its contents or of its cursor, is purged again or
//! flushed, and nothing else is.

#![expect(clippy::unwrap_used, reason = "a step that fails here fails its test")]

#[path = "cursor/configuration.rs"]
mod configuration;
#[path = "cursor/evicted.rs"]
mod evicted;
#[path = "cursor/lost.rs"]
mod lost;
#[path = "cursor/restored.rs"]
mod restored;
#[path = "cursor/shared.rs"]
mod shared;
#[path = "cursor/store.rs"]
mod store;
