//! Collects mistakes while the parts of a configuration are read.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::blame::blame;
use super::document::Document;
use super::explain::explain;
use super::keys::keys_of;
use super::mistake::{Field, Mistake, Place};
use super::sieve::{Stumble, sift};

/// Of a secret: serde would show it.
const NO_TEXT: &str = "is no text; write it in quotes";

/// Reads parts of one document and remembers what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'d, 'i> {
    document: &'d Document<'i>,
    mistakes: Vec<Mistake>,
}

impl<'d, 'i> Reader<'d, 'i> {
    pub(super) fn new(document: &'d Document<'i>) -> Self {
        Self { document, mistakes: Vec::new() }
    }

    /// Notes a mistake that has a place of its own.
    pub(super) fn note(&mut self, place: Place, field: Field, problem: impl Into<String>) {
        self.mistakes.push(Mistake { place, field, problem: problem.into() });
    }

    /// Notes a mistake that takes more than one value to see; not where a part of the field is wrong already.
    pub(super) fn object(&mut self, field: &Field, problem: impl Into<String>) {
        if !self.is_mistaken(field) {
            self.note(self.document.place_of(field), field.clone(), problem);
        }
    }

    /// Whether a mistake is known in `field` or within it.
    pub(super) fn is_mistaken(&self, field: &Field) -> bool {
        self.mistakes.iter().any(|mistake| mistake.field.lies_in(field))
    }

    /// Reads a `T` from `table`, which is the field, noting every mistake in it. `siblings` are keys of the
    /// same table that are read elsewhere.
    pub(super) fn read<T: Deserialize<'i>>(
        &mut self,
        field: &Field,
        table: &DeTable<'i>,
        span: &Range<usize>,
        siblings: &[&str],
    ) -> Option<T> {
        let (read, stumbles) = sift(table, span);
        for Stumble { span, steps, message } in stumbles {
            let field = steps.iter().fold(field.clone(), |field, step| field.step(step.clone()));
            let place = self.document.place(&span);
            let secret = field.is_secret() && !message.starts_with("unknown field");
            let told = if secret { NO_TEXT.to_owned() } else { explain(&message, siblings) };
            if steps.is_empty() {
                self.note_table(&place, &field, &told, keys_of::<T>());
            } else {
                self.note(place, field, told);
            }
        }
        read
    }

    /// Notes what was said about a table as a whole, each part at the key that it blames.
    fn note_table(&mut self, place: &Place, table: &Field, told: &str, keys: &[&str]) {
        for (way, problem) in blame(told, keys) {
            let field = way.iter().fold(table.clone(), |field, key| field.key(key));
            let place = if way.is_empty() { place.clone() } else { self.document.place_of(&field) };
            self.note(place, field, problem);
        }
    }

    /// The table under a key of the top; an empty one where the file has none.
    pub(super) fn table(&mut self, key: &str) -> (DeTable<'i>, Range<usize>) {
        let nothing = (DeTable::new(), 0..0);
        let Some(value) = self.document.table().get(key) else { return nothing };
        if let DeValue::Table(table) = value.get_ref() {
            return (table.clone(), value.span());
        }
        self.object(&Field::top(key), format!("is no table; write [{key}]"));
        nothing
    }

    /// The tables of an array of tables.
    pub(super) fn tables(
        &mut self,
        field: &Field,
        array: Option<&Spanned<DeValue<'i>>>,
    ) -> Vec<(Field, DeTable<'i>, Range<usize>)> {
        let Some(array) = array else { return Vec::new() };
        let DeValue::Array(items) = array.get_ref() else {
            self.object(field, format!("is no list of tables; write [[{field}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let field = field.item(at);
            if let DeValue::Table(table) = item.get_ref() {
                tables.push((field, table.clone(), item.span()));
            } else {
                self.object(&field, "is no table");
            }
        }
        tables
    }

    /// Every mistake so far, by place.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort();
        self.mistakes
    }
}
