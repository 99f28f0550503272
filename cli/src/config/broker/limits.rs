//! What both real brokers have in common: names and sizes of what they shall keep.

use std::time::Duration;

use bytesize::ByteSize;

use crate::config::mistake::Field;
use crate::config::reader::Reader;

/// Each partition is a line with heartbeats of its own; more bring nothing.
const PARTITIONS_MAX: u32 = 64;
/// Room for the names of topics behind it.
const PREFIX_LENGTH_MAX: usize = 63;
/// The brokers' own least.
const RETENTION_MIN: Duration = Duration::from_secs(1);
/// Ten years: beyond it, times overflow somewhere.
const RETENTION_MAX: Duration = Duration::from_hours(10 * 365 * 24);
const RETENTION_BYTES_MIN: ByteSize = ByteSize::mib(1);
const RETENTION_BYTES_MAX: ByteSize = ByteSize::pib(1);

/// What a log shall be, whichever broker keeps it.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub(super) prefix: &'a str,
    /// Whether it may hold a dot beside letters, digits, `-` and `_`.
    pub(super) prefix_dots: bool,
    pub(super) partitions: u32,
    pub(super) retention: Duration,
    pub(super) retention_bytes: ByteSize,
}

/// Notes what is wrong with it.
pub(super) fn check(reader: &mut Reader<'_, '_>, field: &Field, shape: &Shape<'_>) {
    check_prefix(reader, &field.key("prefix"), shape);
    if shape.partitions == 0 || shape.partitions > PARTITIONS_MAX {
        let problem = format!("is {}; give 1 to {PARTITIONS_MAX}", shape.partitions);
        reader.object(&field.key("partitions"), problem);
    }
    if !(RETENTION_MIN..=RETENTION_MAX).contains(&shape.retention) {
        let problem = "is out of reach of brokers; give \"1s\" to \"10y\", such as \"7d\"";
        reader.object(&field.key("retention"), problem);
    }
    if !(RETENTION_BYTES_MIN..=RETENTION_BYTES_MAX).contains(&shape.retention_bytes) {
        let problem = "is out of reach; give \"1MiB\" to \"1PiB\", such as \"4GiB\"";
        reader.object(&field.key("retention_bytes"), problem);
    }
}

fn check_prefix(reader: &mut Reader<'_, '_>, field: &Field, shape: &Shape<'_>) {
    let Shape { prefix, prefix_dots, .. } = *shape;
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || (prefix_dots && c == '.');
    let starts_well = prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
    if let Some(odd) = prefix.chars().find(|c| !allowed(*c)) {
        let also = if prefix_dots { ", '.'" } else { "" };
        let problem = format!(
            "holds {odd:?}; a prefix is made of letters, digits, '-', '_'{also}, such as \"purgebus\""
        );
        reader.object(field, problem);
    } else if !starts_well {
        reader.object(field, "starts with neither letter nor digit; write such as \"purgebus\"");
    } else if prefix.len() > PREFIX_LENGTH_MAX {
        let problem = format!("is longer than {PREFIX_LENGTH_MAX} characters; write a shorter one");
        reader.object(field, problem);
    }
}
