//! Names of sites, regions, agents, caches and publishers: short, lower-case, safe in file names and metric labels.

use std::borrow::Cow;

use crate::Refusal;
use crate::text::text;

/// Longest name in bytes; leaves room for suffixes in file names and NATS subjects.
const NAME_BYTES_MAX: usize = 63;

text! {
    /// The unit of tenancy.
    SiteName = "site", canonical;
    /// A place with caches of its own, such as `eu-west`.
    Region = "region", canonical;
    /// One agent process, unique on the bus.
    AgentName = "agent", canonical;
    /// One cache of an agent.
    CacheName = "cache", canonical;
    /// One publisher process, unique on the bus.
    PublisherName = "publisher", canonical;
}

fn canonical<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
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
    Ok(text.into())
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
        for name in ["", "Main", "a b", "../x", "-a", "ü", "a\n", long.as_str()] {
            assert!(name.parse::<SiteName>().is_err(), "{name:?} was taken");
        }
    }
}
