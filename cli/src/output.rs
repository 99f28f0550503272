//! What goes to stdout: tables for people, JSON for scripts, colour only on a terminal.

use std::fmt::Display;
use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use schemas::api::ProgressState;

use crate::exit::Failure;

/// One line.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    Ok(writeln!(anstream::stdout(), "{text}")?)
}

/// A file for other programs.
pub(crate) fn bytes(file: &[u8]) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(file)?)
}

/// One JSON document on a line of its own.
pub(crate) fn json(document: &serde_json::Value) -> Result<(), Failure> {
    line(document)
}

/// An empty table under these headings.
pub(crate) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
    table
}

/// A table without the blanks at its lines' ends.
pub(crate) fn show(table: &Table) -> Result<(), Failure> {
    line(table.trim_fmt())
}

/// A cell that is green where all is well.
pub(crate) fn mark(text: impl Display, good: bool) -> Cell {
    Cell::new(text).fg(if good { Color::Green } else { Color::Red })
}

/// The state of an invalidation.
pub(crate) fn state(state: ProgressState) -> Cell {
    match state {
        ProgressState::Published => Cell::new("published").fg(Color::Yellow),
        ProgressState::Applied => mark("applied", true),
        ProgressState::Final => mark("final", true),
        ProgressState::Blocked => mark("blocked", false),
        ProgressState::NoAgents => mark("no agents", false),
    }
}

/// A time span as people say it: `12.4 ms`, `1.2 s`, `3 min`.
pub(crate) fn milliseconds(span: f64) -> String {
    if span < 1_000.0 {
        format!("{span:.1} ms")
    } else if span < 120_000.0 {
        format!("{:.1} s", span / 1_000.0)
    } else {
        format!("{:.0} min", span / 60_000.0)
    }
}

/// A time span that has passed: `1.2 s ago`.
pub(crate) fn ago(seconds: f64) -> String {
    format!("{} ago", milliseconds(seconds * 1_000.0))
}

/// [`milliseconds`], or a dash where there is none.
pub(crate) fn maybe_milliseconds(span: Option<f64>) -> String {
    span.map_or_else(dash, milliseconds)
}

/// What stands where there is nothing to say.
pub(crate) fn dash() -> String {
    "-".to_owned()
}
