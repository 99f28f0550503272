//! How a process lives: supervised tasks, signals, telemetry, readiness, TLS, the admin port.

mod admin;
mod clock;
mod crew;
mod health;
mod http;
mod stop;
pub mod telemetry;
mod tls;

pub use admin::Admin;
pub use clock::Clock;
pub use crew::{Crew, CrewError};
pub use health::{Condition, Health, Readiness};
pub use http::{BindError, HttpServer, Peer, PortMetrics, PortsMetrics};
pub use stop::{Hangups, Impatient, Stop, stop_on_signals};
pub use tls::{
    Certificates, ClientCertificates, EXPIRES_SOON, TlsBook, TlsConfig, TlsMistake, TlsMistakes,
};

/// Any error of a task.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
