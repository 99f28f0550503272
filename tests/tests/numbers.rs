//! The numbers at work: whatever a real broker loses, reorders, repeats or restores from an old copy, and whatever
//! publishers and agents lose, ends repaired from the journal, or flushed and said. Never in silence.

#[path = "numbers/figures.rs"]
mod figures;
#[path = "numbers/folders.rs"]
mod folders;
#[path = "numbers/forged.rs"]
mod forged;
#[path = "numbers/hostile.rs"]
mod hostile;
#[path = "numbers/kafka.rs"]
mod kafka;
#[path = "numbers/misbehaving.rs"]
mod misbehaving;
#[path = "numbers/nats.rs"]
mod nats;
#[path = "numbers/stream.rs"]
mod stream;
#[path = "numbers/stretches.rs"]
mod stretches;
#[path = "numbers/topic.rs"]
mod topic;
#[path = "numbers/village.rs"]
mod village;
