//! What the log holds is published again: through the embedded log, NATS and Kafka; whoever is killed meanwhile.

#[path = "replay/command.rs"]
mod command;
#[path = "replay/crashes.rs"]
mod crashes;
#[path = "replay/missed.rs"]
mod missed;
#[path = "replay/two_regions.rs"]
mod two_regions;
