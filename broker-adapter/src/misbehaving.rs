//! A broker that misbehaves as real ones were seen to.

/// What goes wrong, each as a probability from 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct Misbehaviour {}

/// A broker around a broker that duplicates, delays, loses, reorders, fails, and times out publishes that still land.
#[derive(Debug)]
pub struct Misbehaving {}
