//! The `purgebus` binary, and what it shares with the tests and the load tests: the judge of what readers got.

mod client;
mod command;
mod config;
mod connection;
mod consent;
mod demo;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod installation;
mod keys;
pub mod oracle;
mod output;
mod secret;
mod trials;
mod verbs;

pub(crate) use command::Command;
pub use command::run;
