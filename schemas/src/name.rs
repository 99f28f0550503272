//! Names of sites, regions, agents, caches and publishers: short, lower-case, safe in file names and metric labels.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Longest name in bytes; leaves room for suffixes in file names and NATS subjects.
const NAME_BYTES_MAX: usize = 63;

fn check(what: &'static str, text: &str) -> Result<(), Refusal> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(
            what,
            format!("is {} bytes long; give 1 to {NAME_BYTES_MAX}", text.len()),
        ));
    }
    if !starts_well || !text.chars().all(allowed) {
        return Err(Refusal::new(
            what,
            "may hold a-z, 0-9, '-', '_' and '.', and starts with a letter or a digit",
        ));
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                check($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refusal;

            fn try_from(text: String) -> Result<Self, Refusal> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )+};
}

names! {
    /// The unit of tenancy.
    SiteName = "site";
    /// A place with caches of its own, such as `eu-west`.
    Region = "region";
    /// One agent process, unique on the bus.
    AgentName = "agent";
    /// One cache of an agent.
    CacheName = "cache";
    /// One publisher process, unique on the bus.
    PublisherName = "publisher";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken_as_written() {
        for name in ["main", "eu-west", "edge-1.example_2", "0"] {
            assert_eq!(name.parse::<Region>().map(String::from).as_deref(), Ok(name));
        }
    }

    #[test]
    fn names_that_would_break_a_file_or_a_label_are_refused() {
        let long = "a".repeat(64);
        for name in ["", "Main", "a b", "../x", "-a", "ü", long.as_str()] {
            assert!(name.parse::<SiteName>().is_err(), "{name:?} was taken");
        }
    }
}
