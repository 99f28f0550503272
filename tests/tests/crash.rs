//! `kill -9` of a real `purgebus serve` under load, at random moments and at chosen ones, and of its caches: whatever was
//! accepted is purged in the end, and nobody gets old pages after final.

#[path = "crash/caches.rs"]
mod caches;
#[path = "crash/passes.rs"]
mod passes;
#[path = "crash/points.rs"]
mod points;
#[path = "crash/storm.rs"]
mod storm;
#[path = "crash/town.rs"]
mod town;
