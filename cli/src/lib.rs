//! What the binary shares with the tests and the load tests: the judge of what readers got.

pub mod oracle;
