//! Logs to stderr by `tracing`.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// The variable that overrides the configured level: `debug`, or `info,agent=trace`.
const LEVEL_VARIABLE: &str = "PURGEBUS_LOG";

/// Libraries whose troubles are told by whoever uses them, in words that say more; shown when asked for by name.
const QUIET: &str = "async_nats=error,librdkafka=error";

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(TelemetryError::Format(other.to_owned())),
        }
    }
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No such format.
    #[error("unknown log format \"{0}\"; give text or json")]
    Format(String),
    /// Not a filter of `tracing`.
    #[error(
        "cannot understand the log level \"{0}\"; give error, warn, info, debug or trace, for all or as crate=level"
    )]
    Level(String),
    /// Called twice.
    #[error("logging has begun already")]
    Begun,
    /// Nothing logs any more.
    #[error("logging has ended")]
    Ended,
}

/// What to log, checked.
#[derive(Debug)]
pub struct Level(EnvFilter);

impl FromStr for Level {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        EnvFilter::builder()
            .parse(format!("{QUIET},{text}"))
            .map(Self)
            .map_err(|_| TelemetryError::Level(text.to_owned()))
    }
}

/// Changes what is logged from now on.
pub struct Volume(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Volume {
    /// Logs `level` from now on; `PURGEBUS_LOG` wins over it.
    pub fn set(&self, level: &Level) -> Result<(), TelemetryError> {
        (self.0)(in_force(level)?).map_err(|_| TelemetryError::Ended)
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume").finish_non_exhaustive()
    }
}

fn in_force(level: &Level) -> Result<EnvFilter, TelemetryError> {
    match std::env::var(LEVEL_VARIABLE) {
        Ok(text) => Ok(text.parse::<Level>()?.0),
        Err(_) => Ok(level.0.clone()),
    }
}

/// Begins to log on stderr, in colour on a terminal unless `NO_COLOR` is set. `PURGEBUS_LOG`
/// wins over `level`.
pub fn init(format: Format, level: &Level) -> Result<Volume, TelemetryError> {
    let level = in_force(level)?;
    let colour = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A closed stderr must not end the process: what cannot be logged is lost in silence.
    let builder = Subscriber::builder()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .log_internal_errors(false);
    let (begun, volume) = match format {
        Format::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.finish().try_init(), Volume(Box::new(move |level| handle.reload(level))))
        }
        Format::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.finish().try_init(), Volume(Box::new(move |level| handle.reload(level))))
        }
    };
    begun.map(|()| volume).map_err(|_| TelemetryError::Begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_for_all_and_for_one_crate_are_understood() {
        for text in ["info", "warn,agent=trace"] {
            assert!(text.parse::<Level>().is_ok(), "{text} was refused");
        }
    }

    #[test]
    fn libraries_are_quiet_unless_asked_for() {
        let shown = |text: &str| text.parse::<Level>().expect("a level").0.to_string();
        assert!(shown("info").contains("async_nats=error"));
        let asked = shown("info,async_nats=debug");
        assert!(asked.contains("async_nats=debug") && !asked.contains("async_nats=error"));
    }

    #[test]
    fn a_mistyped_level_is_refused_with_the_levels_there_are() {
        let refusal = "agent=loud".parse::<Level>().expect_err("no such level").to_string();
        assert!(refusal.contains("agent=loud") && refusal.contains("debug"), "{refusal}");
    }
}
