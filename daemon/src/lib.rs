//! How a process lives: supervised tasks, signals, telemetry, readiness, the admin port.

mod admin;
mod clock;
mod crew;
mod health;
mod http;
mod stop;
pub mod telemetry;

pub use admin::Admin;
pub use clock::Clock;
pub use crew::{Crew, CrewError};
pub use health::{Condition, Health, Readiness};
pub use http::{BindError, HttpServer};
pub use stop::{Hangups, Impatient, Stop, stop_on_signals};

/// Any error of a task.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
