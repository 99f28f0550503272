//! The text of a configuration with its values, and where each of them stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Field, Place, Step};

/// A value that knows its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A file's values, overlaid by the environment's.
#[derive(Debug)]
pub(super) struct Document<'i> {
    text: &'i str,
    /// The n-th stands, as it were, n bytes behind the text's end.
    variables: Vec<String>,
    table: DeTable<'i>,
}

/// A mistake in the file's syntax.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) problem: String,
}

impl<'i> Document<'i> {
    /// Reads all that can be read; what stands on a line with a mistake of syntax is left out.
    pub(super) fn parse(text: &'i str) -> (Self, Vec<SyntaxError>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut broken_lines = Vec::new();
        let mut syntax_errors = Vec::new();
        for error in errors {
            let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
            // What follows the first mistake of a line is guesswork.
            if !broken_lines.contains(&line) {
                broken_lines.push(line);
                let in_value = text.lines().nth(line - 1).is_some_and(|line| line.contains('='));
                let advice = if in_value { "; text needs quotes" } else { "" };
                let problem = format!("is no TOML: {}{advice}", error.message());
                syntax_errors.push(SyntaxError { place: Place::At { line, column }, problem });
            }
        }
        let mut table = table.into_inner();
        leave_out(&mut table, &|at| broken_lines.contains(&line_and_column(text, at).0));
        (Self { text, variables: Vec::new(), table }, syntax_errors)
    }

    /// All of it.
    pub(super) fn table(&self) -> &DeTable<'i> {
        &self.table
    }

    /// For the environment to write into.
    pub(super) fn table_mut(&mut self) -> &mut DeTable<'i> {
        &mut self.table
    }

    /// Names a variable of the environment and answers where its values stand.
    pub(super) fn add_variable(&mut self, name: String) -> Range<usize> {
        self.variables.push(name);
        let end = self.text.len() + self.variables.len();
        end..end + 1
    }

    /// What people call the place of `span`.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let variable = span.start.checked_sub(self.text.len() + 1);
        if let Some(name) = variable.and_then(|variable| self.variables.get(variable)) {
            return Place::Variable(name.clone());
        }
        let (line, column) = line_and_column(self.text, span.start);
        Place::At { line, column }
    }

    /// Whether the file or the environment says anything about it.
    pub(super) fn has(&self, field: &Field) -> bool {
        self.way(field).len() == field.steps().len()
    }

    /// The place of a field's key, or of the nearest table around it that is written at all.
    pub(super) fn place_of(&self, field: &Field) -> Place {
        self.way(field).last().map_or(Place::File, |span| self.place(span))
    }

    /// Where the steps to a field stand, as far as they are written.
    fn way(&self, field: &Field) -> Vec<Range<usize>> {
        let mut here = Some(Here::Table(&self.table));
        let mut way = Vec::new();
        for step in field.steps() {
            let Some((span, value)) = here.and_then(|here| here.enter(step)) else { break };
            way.push(span);
            here = Here::of(value);
        }
        way
    }
}

#[derive(Clone, Copy)]
enum Here<'a, 'i> {
    Table(&'a DeTable<'i>),
    Array(&'a [Value<'i>]),
}

impl<'a, 'i> Here<'a, 'i> {
    fn of(value: &'a Value<'i>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::Table(table)),
            DeValue::Array(array) => Some(Self::Array(array)),
            _ => None,
        }
    }

    fn enter(self, step: &Step) -> Option<(Range<usize>, &'a Value<'i>)> {
        match (self, step) {
            (Self::Table(table), Step::Key(key)) => {
                let (key, value) = table.get_key_value(key.as_str())?;
                Some((key.span(), value))
            }
            (Self::Array(array), Step::Item(at)) => {
                let value = array.get(*at)?;
                Some((value.span(), value))
            }
            _ => None,
        }
    }
}

fn leave_out(table: &mut DeTable<'_>, broken: &dyn Fn(usize) -> bool) {
    let entries = std::mem::take(table).into_iter();
    *table = entries
        .filter_map(|(key, mut value)| {
            leave_out_within(&mut value, broken);
            let compound = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            let whole = !broken(key.span().start) && !broken(value.span().start);
            (compound || whole).then_some((key, value))
        })
        .collect();
}

fn leave_out_within(value: &mut Value<'_>, broken: &dyn Fn(usize) -> bool) {
    match value.get_mut() {
        DeValue::Table(table) => leave_out(table, broken),
        DeValue::Array(array) => array.iter_mut().for_each(|item| leave_out_within(item, broken)),
        _ => {}
    }
}

/// Both counted from 1, columns in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}
