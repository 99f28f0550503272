//! `[log]`: what the process tells about itself on stderr.

use std::fmt::Display;
use std::str::FromStr;

use daemon::telemetry::{Format, Level};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// `[log]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// For all or as `crate=level`; `PURGEBUS_LOG` wins over it.
    #[serde(deserialize_with = "parsed")]
    pub(crate) level: Level,
    /// How a line looks.
    #[serde(deserialize_with = "parsed")]
    pub(crate) format: Format,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".parse().expect("a level"), format: Format::Text }
    }
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
