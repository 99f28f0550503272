//! Finds all mistakes of a table at once: what serde stumbles over is noted and taken out, until the rest passes.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue, Error, ValueDeserializer};

use super::document::Value;
use super::mistake::Step;

/// What serde would not take.
#[derive(Debug)]
pub(super) struct Stumble {
    pub(super) span: Range<usize>,
    /// The way there from the table that was read.
    pub(super) steps: Vec<Step>,
    /// In serde's words.
    pub(super) message: String,
}

/// Reads a `T` from what is right in `table`, if that is enough for one, and tells all that is wrong.
pub(super) fn sift<'i, T: Deserialize<'i>>(
    table: &DeTable<'i>,
    span: &Range<usize>,
) -> (Option<T>, Vec<Stumble>) {
    let mut rest = table.clone();
    let mut stumbles = Vec::new();
    let mut taken = Vec::<Taken>::new();
    loop {
        let error = match read::<T>(&rest, span) {
            Ok(read) => return (Some(read), stumbles),
            Err(error) => error,
        };
        let at = error.span().unwrap_or_else(|| span.clone());
        let at = culprit::<T>(&rest, &at, span).unwrap_or(at);
        if !taken.iter().any(|taken| taken.explains(&at, error.message())) {
            let steps = way(table, &at).unwrap_or_default();
            stumbles.push(Stumble { span: at.clone(), steps, message: error.message().to_owned() });
        }
        if let Some(out) = take_out(&mut rest, &at, span) {
            taken.push(out);
            continue;
        }
        if let Some(first) = missing_key(&error) {
            let beyond = missing_beyond::<T>(rest, span, first).into_iter();
            let untold = |it: &Stumble| !taken.iter().any(|out| out.explains(span, &it.message));
            stumbles.extend(beyond.filter(untold));
        }
        return (None, stumbles);
    }
}

/// Further keys that the table lacks: serde names one at a time, so each gets a stand-in of some type that
/// lets it go on to the next.
fn missing_beyond<'i, T: Deserialize<'i>>(
    mut rest: DeTable<'i>,
    span: &Range<usize>,
    first: &str,
) -> Vec<Stumble> {
    let nowhere = usize::MAX..usize::MAX;
    let mut missing = Vec::new();
    let mut lacking = first.to_owned();
    loop {
        let next = stand_ins().into_iter().find_map(|stand_in| {
            let key = Spanned::new(span.clone(), Cow::Owned(lacking.clone()));
            rest.insert(key, Spanned::new(nowhere.clone(), stand_in));
            let error = read::<T>(&rest, span).err()?;
            (error.span().as_ref() == Some(span)).then(|| missing_key(&error).map(str::to_owned))?
        });
        let Some(next) = next else { return missing };
        let message = format!("missing field `{next}`");
        missing.push(Stumble { span: span.clone(), steps: Vec::new(), message });
        lacking = next;
    }
}

fn stand_ins() -> [DeValue<'static>; 5] {
    [
        DeValue::String(Cow::Borrowed("")),
        DeValue::Integer(DeInteger::default()),
        DeValue::Boolean(false),
        DeValue::Array(DeArray::new()),
        DeValue::Table(DeTable::new()),
    ]
}

fn missing_key(error: &Error) -> Option<&str> {
    error.message().strip_prefix("missing field `")?.strip_suffix('`')
}

fn read<'i, T: Deserialize<'i>>(table: &DeTable<'i>, span: &Range<usize>) -> Result<T, Error> {
    let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
    T::deserialize(ValueDeserializer::from(value))
}

/// The item that spoils the array at `at`: an error of a validated type names the whole array only, so the
/// array is read again item by item.
fn culprit<'i, T: Deserialize<'i>>(
    table: &DeTable<'i>,
    at: &Range<usize>,
    span: &Range<usize>,
) -> Option<Range<usize>> {
    let mut shortened = table.clone();
    let items = std::mem::replace(array_at(&mut shortened, at)?, DeArray::new());
    let fails = |table: &DeTable<'i>| {
        read::<T>(table, span).is_err_and(|error| error.span().as_ref() == Some(at))
    };
    if fails(&shortened) {
        return None;
    }
    items.into_iter().find_map(|item| {
        let item_at = item.span();
        array_at(&mut shortened, at)?.push(item);
        fails(&shortened).then_some(item_at)
    })
}

fn array_at<'a, 'i>(table: &'a mut DeTable<'i>, at: &Range<usize>) -> Option<&'a mut DeArray<'i>> {
    table.iter_mut().find_map(|(_, value)| {
        let here = value.span() == *at;
        match value.get_mut() {
            DeValue::Array(items) if here => Some(items),
            DeValue::Table(table) => array_at(table, at),
            _ => None,
        }
    })
}

/// An entry that was taken out of the table that stands at `from`.
struct Taken {
    from: Range<usize>,
    key: String,
}

impl Taken {
    /// Whoever misses it has had the mistake told already.
    fn explains(&self, at: &Range<usize>, message: &str) -> bool {
        self.from == *at && message == format!("missing field `{}`", self.key)
    }
}

/// The way from `table` to the key or value at `at`.
fn way(table: &DeTable<'_>, at: &Range<usize>) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        let deeper = if key.span() == *at { Some(Vec::new()) } else { way_within(value, at) };
        deeper.map(|steps| prepend(Step::Key(key.get_ref().to_string()), steps))
    })
}

fn way_within(value: &Value<'_>, at: &Range<usize>) -> Option<Vec<Step>> {
    if value.span() == *at {
        return Some(Vec::new());
    }
    match value.get_ref() {
        DeValue::Table(table) => way(table, at),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            way_within(item, at).map(|steps| prepend(Step::Item(index), steps))
        }),
        _ => None,
    }
}

fn prepend(first: Step, rest: Vec<Step>) -> Vec<Step> {
    std::iter::once(first).chain(rest).collect()
}

/// Removes the entry or item whose key or value stands at `at`.
fn take_out(table: &mut DeTable<'_>, at: &Range<usize>, from: &Range<usize>) -> Option<Taken> {
    let here = table.iter().find(|(key, value)| key.span() == *at || value.span() == *at);
    if let Some(key) = here.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(key.as_str());
        return Some(Taken { from: from.clone(), key });
    }
    table.iter_mut().find_map(|(_, value)| take_out_within(value, at))
}

fn take_out_within(value: &mut Value<'_>, at: &Range<usize>) -> Option<Taken> {
    let span = value.span();
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, at, &span),
        DeValue::Array(items) => {
            if let Some(index) = items.iter().position(|item| item.span() == *at) {
                let mut kept = DeArray::new();
                items
                    .iter()
                    .filter(|item| item.span() != *at)
                    .for_each(|item| kept.push(item.clone()));
                *items = kept;
                return Some(Taken { from: span, key: index.to_string() });
            }
            items.iter_mut().find_map(|item| take_out_within(item, at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Oven {
        heat: u8,
        shelves: Vec<u8>,
        door: Door,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Door {
        open: bool,
    }

    fn stumbles(text: &str) -> Vec<String> {
        let table = DeTable::parse(text).expect("TOML").into_inner();
        let (_, stumbles) = sift::<Oven>(&table, &(0..0));
        stumbles.into_iter().map(|stumble| stumble.message).collect()
    }

    #[test]
    fn every_mistake_is_found_once() {
        let text = "heat = \"hot\"\nshelves = [1, true, 2, \"x\"]\ndoor = { open = 1, shut = 2 }\nbell = 1";
        let stumbles = stumbles(text);
        assert_eq!(stumbles.len(), 6, "{stumbles:#?}");
    }

    #[test]
    fn a_missing_key_is_told_beside_other_mistakes() {
        let stumbles = stumbles("heat = 30\nbell = 1\ndoor = { open = true }");
        assert_eq!(stumbles.len(), 2, "{stumbles:#?}");
        assert_eq!(stumbles[1], "missing field `shelves`");
    }

    #[test]
    fn all_missing_keys_are_told_at_once() {
        let stumbles = stumbles("");
        assert_eq!(stumbles.len(), 3, "{stumbles:#?}");
    }

    #[test]
    fn a_wrong_key_does_not_hide_a_missing_one() {
        let stumbles = stumbles("heat = 300\ndoor = { open = true }");
        assert_eq!(stumbles.len(), 2, "{stumbles:#?}");
        assert_eq!(stumbles[1], "missing field `shelves`");
    }

    #[test]
    fn a_wrong_key_is_not_told_to_be_missing_too() {
        let stumbles = stumbles("heat = 300\nshelves = []\ndoor = { open = 1 }");
        assert_eq!(stumbles.len(), 2, "{stumbles:#?}");
    }

    #[test]
    fn items_are_counted_as_in_the_file() {
        let table = DeTable::parse("shelves = [true, 1, \"x\"]").expect("TOML").into_inner();
        let (_, stumbles) = sift::<Oven>(&table, &(0..0));
        let items: Vec<_> = stumbles.iter().filter_map(|stumble| stumble.steps.get(1)).collect();
        assert_eq!(items, [&Step::Item(0), &Step::Item(2)]);
    }
}
