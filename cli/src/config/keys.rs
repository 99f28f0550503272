//! The keys that a struct takes, asked of serde, so that no list of them can go out of date.

use serde::Deserialize;
use serde::de::value::Error as Enough;
use serde::de::{Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// The keys of `T`, a struct without flattened parts.
pub(crate) fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It fails by design: there is nothing to read, and the keys are told before reading begins.
    T::deserialize(Listener(&mut keys)).err();
    keys
}

struct Listener<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Enough;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Enough> {
        *self.0 = fields;
        Err(Enough::custom("keys are known"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Enough> {
        Err(Enough::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_tells_its_keys() {
        assert_eq!(keys_of::<agent::BatchConfig>(), ["selectors", "wait"]);
    }
}
