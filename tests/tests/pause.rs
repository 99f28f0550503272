//! The stop buttons, on real caches and real brokers: how soon a runaway stops, and that nothing of it is lost.

#[path = "pause/alone.rs"]
mod alone;
#[path = "pause/runaway.rs"]
mod runaway;
#[path = "pause/stage.rs"]
mod stage;
