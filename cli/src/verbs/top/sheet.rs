//! The three tables: what stands in their cells, in which order, and which rows. Pure.

use std::cmp::Ordering;

use schemas::api::DeadLetterSummary;
use schemas::{CircuitState, LetterState};

use crate::output::{dash, maybe_milliseconds};
use crate::verbs::regions::behind;

use super::snapshot::{CacheRow, RegionRow, Snapshot};

/// Values of a history that are drawn.
const BARS: usize = 40;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Regions,
    Caches,
    DeadLetters,
}

/// The head of a column, and its cells; those without a width share what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) heading: &'static str,
    pub(super) width: Option<u16>,
    /// Numbers: to the right, and the largest first.
    pub(super) is_number: bool,
}

/// How a cell looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Bad,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
    /// What it is sorted by, where that is not its text.
    number: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// All of what its cells may have no room for.
    pub(super) whole: String,
}

/// By which column, and whether the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) reversed: bool,
}

const fn text(heading: &'static str, width: u16) -> Column {
    Column { heading, width: Some(width), is_number: false }
}

const fn number(heading: &'static str, width: u16) -> Column {
    Column { heading, width: Some(width), is_number: true }
}

const fn rest(heading: &'static str) -> Column {
    Column { heading, width: None, is_number: false }
}

impl View {
    /// All of them, as they are numbered.
    pub(super) const ALL: [Self; 3] = [Self::Regions, Self::Caches, Self::DeadLetters];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Caches => "caches",
            Self::DeadLetters => "dead letters",
        }
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Regions => {
                const {
                    &[
                        text("REGION", 11),
                        text("READY", 7),
                        number("RATE/s", 8),
                        number("p50", 8),
                        number("p99", 8),
                        number("BEHIND", 12),
                        number("OPEN", 5),
                        number("DEAD", 5),
                        Column { is_number: true, ..rest("TREND") },
                    ]
                }
            }
            Self::Caches => {
                const {
                    &[
                        text("REGION", 10),
                        text("AGENT", 10),
                        text("CACHE", 10),
                        text("LANE", 8),
                        number("RATE/s", 8),
                        number("BEHIND", 12),
                        text("CIRCUIT", 8),
                        rest("TROUBLE"),
                    ]
                }
            }
            Self::DeadLetters => {
                const {
                    &[
                        text("REGION", 10),
                        text("CACHE", 10),
                        text("SITE", 8),
                        rest("SELECTOR"),
                        text("STATE", 8),
                        number("TRIES", 6),
                        rest("REASON"),
                    ]
                }
            }
        }
    }

    /// Its rows: those that hold `filter`, whatever their case, in this order.
    pub(super) fn rows(self, snapshot: &Snapshot, filter: &str, sort: Sort) -> Vec<Row> {
        let mut rows: Vec<Row> = match self {
            Self::Regions => snapshot.regions.iter().map(region).collect(),
            Self::Caches => snapshot.caches.iter().map(cache).collect(),
            Self::DeadLetters => snapshot.dead_letters.iter().map(letter).collect(),
        };
        let filter = filter.to_lowercase();
        rows.retain(|row| row.whole.to_lowercase().contains(&filter));
        rows.sort_by(|one, other| {
            let ordering = compare(&one.cells[sort.column], &other.cells[sort.column]);
            if sort.reversed { ordering.reverse() } else { ordering }
        });
        rows
    }
}

fn compare(one: &Cell, other: &Cell) -> Ordering {
    match (one.number, other.number) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        _ => one.text.cmp(&other.text),
    }
}

fn word(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone, number: None }
}

fn plain(text: impl Into<String>) -> Cell {
    word(text, Tone::Plain)
}

fn by(number: Option<f64>, text: String, tone: Tone) -> Cell {
    Cell { text, tone, number: Some(number.unwrap_or(-1.0)) }
}

fn latency(span: Option<f64>) -> Cell {
    by(span, maybe_milliseconds(span), Tone::Plain)
}

fn rate(per_second: Option<f64>) -> Cell {
    by(per_second, in_a_second(per_second), Tone::Plain)
}

/// A number that should be none.
fn trouble(count: u64) -> Cell {
    let tone = if count > 0 { Tone::Bad } else { Tone::Plain };
    let text = if count > 0 { count.to_string() } else { dash() };
    by(Some(float(count)), text, tone)
}

fn lag(numbers: u64, seconds: Option<f64>) -> Cell {
    by(Some(float(numbers)), behind(numbers, seconds), Tone::Plain)
}

fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// How often in a second, or a dash where that is not known yet.
pub(super) fn in_a_second(rate: Option<f64>) -> String {
    rate.map_or_else(dash, |rate| format!("{rate:.1}"))
}

fn region(row: &RegionRow) -> Row {
    let all_ready = row.lanes > 0 && row.ready_lanes == row.lanes;
    let ready = format!("{}/{}", row.ready_lanes, row.lanes);
    let bars = bars(&row.p99_history_ms);
    Row {
        whole: format!(
            "{}: {ready} lanes ready, {} circuits open, {} dead letters",
            row.region, row.open_circuits, row.dead_letters
        ),
        cells: vec![
            plain(row.region.as_str()),
            word(ready, if all_ready { Tone::Good } else { Tone::Bad }),
            rate(row.applied_per_second),
            latency(row.p50_ms),
            latency(row.p99_ms),
            lag(row.lag_numbers, Some(row.lag_seconds)),
            trouble(row.open_circuits as u64),
            trouble(row.dead_letters),
            by(row.p99_ms, bars, Tone::Plain),
        ],
    }
}

fn cache(row: &CacheRow) -> Row {
    let (circuit, tone) = match row.circuit {
        CircuitState::Closed => ("closed", Tone::Good),
        CircuitState::Open => ("open", Tone::Bad),
    };
    let trouble = row.trouble.clone().unwrap_or_default();
    let colon = if trouble.is_empty() { "" } else { ": " };
    Row {
        whole: format!("{}, circuit {circuit}{colon}{trouble}", row.name()),
        cells: vec![
            plain(row.region.as_str()),
            plain(row.agent.as_str()),
            plain(row.cache.as_str()),
            plain(row.priority.as_str()),
            rate(row.settled_per_second),
            lag(row.lag_numbers, row.lag_seconds),
            word(circuit, tone),
            plain(trouble),
        ],
    }
}

fn letter(row: &DeadLetterSummary) -> Row {
    let tone = if row.state == LetterState::Refused { Tone::Bad } else { Tone::Plain };
    Row {
        whole: format!(
            "{} {}/{}/{} {}: {}: {}",
            row.id, row.region, row.agent, row.cache, row.site, row.selector, row.reason
        ),
        cells: vec![
            plain(row.region.as_str()),
            plain(row.cache.as_str()),
            plain(row.site.as_str()),
            plain(&*row.selector),
            word(row.state.as_str(), tone),
            by(Some(row.tries.into()), row.tries.to_string(), Tone::Plain),
            plain(&*row.reason),
        ],
    }
}

/// The latest values as bars, the highest as high as can be.
pub(super) fn bars(values: &[f64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let latest = &values[values.len().saturating_sub(BARS)..];
    let highest = latest.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let lower = (1..8_u8).take_while(|step| *value * 8.0 > highest * f64::from(*step)).count();
        if *value > 0.0 { HEIGHTS[lower] } else { ' ' }
    };
    latest.iter().map(bar).collect()
}

#[cfg(test)]
mod tests;
