//! Values from the environment: `PURGEBUS__AGENT__REGION=eu-west` is `region = "eu-west"` in `[agent]`.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::document::{Document, Value};
use super::mistake::is_secret;

/// What the names of all variables begin with; a single underscore would meet `PURGEBUS_PORT`, which
/// Kubernetes sets for a service named purgebus.
pub(super) const PREFIX: &str = "PURGEBUS__";

/// A variable that names no place.
#[derive(Debug)]
pub(super) struct Misplaced {
    pub(super) name: String,
    pub(super) problem: String,
}

/// Writes every variable that begins with [`PREFIX`] over what the file says.
pub(super) fn overlay<'i>(
    document: &mut Document<'i>,
    variables: &'i [(String, String)],
) -> Vec<Misplaced> {
    let mut misplaced = Vec::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let span = document.add_variable(name.clone());
        let path = path.to_ascii_lowercase();
        let keys: Vec<_> = path.split("__").collect();
        let secret = keys.last().is_some_and(|key| is_secret(key));
        let value = if secret { verbatim(text, &span) } else { parse(text, &span) };
        if let Err(problem) = write(document.table_mut(), &keys, value, &span) {
            misplaced.push(Misplaced { name: name.clone(), problem });
        }
    }
    misplaced
}

/// As TOML where it is a value of TOML, else as the string it is.
fn parse<'i>(text: &'i str, span: &Range<usize>) -> Value<'i> {
    match DeValue::parse(text) {
        Ok(value) => respan(value.into_inner(), span),
        Err(_) => verbatim(text, span),
    }
}

/// The string that it is. A password of digits is no number.
fn verbatim<'i>(text: &'i str, span: &Range<usize>) -> Value<'i> {
    Spanned::new(span.clone(), DeValue::String(Cow::Borrowed(text)))
}

/// Moves all of a value to where its variable stands.
fn respan<'i>(value: DeValue<'i>, span: &Range<usize>) -> Value<'i> {
    let value = match value {
        DeValue::Array(items) => {
            let mut moved = DeArray::new();
            items.into_iter().for_each(|item| moved.push(respan(item.into_inner(), span)));
            DeValue::Array(moved)
        }
        DeValue::Table(entries) => DeValue::Table(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key = Spanned::new(span.clone(), key.into_inner());
                    (key, respan(value.into_inner(), span))
                })
                .collect(),
        ),
        plain => plain,
    };
    Spanned::new(span.clone(), value)
}

fn write<'i>(
    table: &mut DeTable<'i>,
    keys: &[&str],
    value: Value<'i>,
    span: &Range<usize>,
) -> Result<(), String> {
    let (key, deeper) = keys.split_first().ok_or("names no key")?;
    if key.is_empty() {
        return Err("has an empty part between its underscores".to_owned());
    }
    let spanned_key = || Spanned::new(span.clone(), Cow::Owned((*key).to_owned()));
    if deeper.is_empty() {
        // Not `insert` alone: it would keep the old key with its old place.
        table.remove(*key);
        table.insert(spanned_key(), value);
        return Ok(());
    }
    let new_table = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
    let below = table.entry(spanned_key()).or_insert_with(new_table);
    match below.get_mut() {
        DeValue::Table(table) => write(table, deeper, value, span),
        DeValue::Array(items) => write_into_item(items, key, deeper, value, span),
        _ => Err(format!("goes into \"{key}\", which is no table")),
    }
}

fn write_into_item<'i>(
    items: &mut DeArray<'i>,
    array: &str,
    keys: &[&str],
    value: Value<'i>,
    span: &Range<usize>,
) -> Result<(), String> {
    let count = items.len();
    let item = keys[0].parse().ok().and_then(|at: usize| items.get_mut(at));
    match item.map(Spanned::get_mut) {
        Some(DeValue::Table(table)) => write(table, &keys[1..], value, span),
        _ => Err(format!(
            "names no item of \"{array}\", of which the file has {count}; count from 0, such as {}__0__NAME",
            array.to_ascii_uppercase()
        )),
    }
}
