//! Schema 1: the frozen structs of every body. Their fields, order and types never change; a later need goes into
//! `ext`, or into a new schema beside this one.
//!
//! They borrow: encoding from the domain's values, decoding from the bytes. Text becomes a domain value only through
//! `from_canonical`: what is not canonical is refused, never repaired.

mod cursor;
mod fact;
mod frame;
mod invalidation;
mod letter;
mod line;
mod order;
mod pause;
mod report;
mod retirement;
mod selector;
mod time;
mod word;

pub(super) use self::cursor::Cursor;
pub(super) use self::frame::Frame;
pub(super) use self::letter::KeptLetter;
pub(super) use self::line::{Heartbeat, Incarnation, Lost};
pub(super) use self::order::Orders;
pub(super) use self::report::Report;
pub(super) use self::retirement::Retirement;
use std::borrow::Cow;

use super::WireError;

/// The number of this schema in the envelope.
pub(super) const SCHEMA: u16 = 1;

/// What later releases add without a new schema: numbered facts; readers skip those they do not know.
type Ext<'a> = Vec<(u16, Cow<'a, [u8]>)>;

/// Refuses a set or map that is not in strictly ascending order, so that equal values have equal bytes.
fn ascending<T, K: Ord>(what: &str, items: &[T], key: impl Fn(&T) -> K) -> Result<(), WireError> {
    if items.is_sorted_by(|a, b| key(a) < key(b)) {
        Ok(())
    } else {
        Err(WireError::Invalid(format!("{what} are not in ascending order")))
    }
}

/// Converts each item; the first refusal is the answer.
fn each<T, U: TryFrom<T, Error = WireError>>(items: Vec<T>) -> Result<Vec<U>, WireError> {
    each_by(items, U::try_from)
}

/// The same by a function.
fn each_by<T, U>(
    items: Vec<T>,
    mut convert: impl FnMut(T) -> Result<U, WireError>,
) -> Result<Vec<U>, WireError> {
    // Collecting results would not know how many there are, and most lists hold one.
    let mut converted = Vec::with_capacity(items.len());
    for item in items {
        converted.push(convert(item)?);
    }
    Ok(converted)
}
