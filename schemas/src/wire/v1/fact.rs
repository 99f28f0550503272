//! Facts that came after the schema was frozen, by number in a body's `ext`.

use std::borrow::Cow;

use bincode::{BorrowDecode, Encode};

use super::Ext;
use crate::wire::{WireError, envelope};

/// An `ext` of one fact.
pub(super) fn of<'a>(number: u16, fact: &impl Encode) -> Ext<'a> {
    vec![one(number, fact)]
}

/// One fact for an `ext`.
pub(super) fn one<'a>(number: u16, fact: &impl Encode) -> (u16, Cow<'a, [u8]>) {
    let mut bytes = Vec::new();
    envelope::pack(fact, &mut bytes);
    (number, Cow::Owned(bytes))
}

/// The fact of that number, if it was said.
pub(super) fn find<'e, T: BorrowDecode<'e, ()>>(
    ext: &'e Ext<'_>,
    number: u16,
) -> Result<Option<T>, WireError> {
    let fact = ext.iter().find(|(said, _)| *said == number);
    fact.map(|(_, bytes)| read(bytes)).transpose()
}

/// The fact in these bytes, all of them.
pub(super) fn read<'e, T: BorrowDecode<'e, ()>>(bytes: &'e [u8]) -> Result<T, WireError> {
    envelope::unpack(bytes)
}
