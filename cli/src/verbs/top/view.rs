//! Draws a snapshot. Pure, but for the frame.
//!
//! ```text
//! purgebus top  http://127.0.0.1:8377                          2026-11-21 10:00:00Z
//! all  12.0 settled/s  p50 3.2 ms  p99 42 ms ▂▃█  behind 17  open 1  dead 1
//! [1 regions]  2 caches  3 dead letters                                 filter: eu
//! REGION v     READY    RATE/s       p50 ...
//! ...
//! all of the row that is looked at
//! the latest changes
//! keys
//! ```

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{self, Block, Clear, Paragraph, Table, TableState};

use crate::output::{dash, maybe_milliseconds, milliseconds};

use super::control::{Control, HELP, Mode};
use super::sheet::{Cell, Column, Row, Sort, Tone, View, bars, in_a_second};
use super::snapshot::{Snapshot, Whole};

/// Below this nothing can be read.
const WIDTH_MIN: u16 = 76;
const HEIGHT_MIN: u16 = 16;
/// Changes that are shown.
const CHANGES: u16 = 3;
/// Bars of the line for the whole bus.
const WHOLE_BARS: usize = 10;
/// A state that is older is not the present one.
const FRESH_SECONDS: f64 = 10.0;

/// All that is drawn.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) publisher: &'a str,
    pub(super) snapshot: &'a Snapshot,
    pub(super) control: &'a Control,
    pub(super) colours: bool,
}

impl Scene<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
            let Rect { width, height, .. } = area;
            let text = format!(
                "{width}x{height} is too small:\nmake this window {WIDTH_MIN}x{HEIGHT_MIN} or larger;\nq leaves"
            );
            return frame.render_widget(Paragraph::new(text), area);
        }
        let [title, whole, tabs, table, row, changes, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(1),
            Constraint::Length(CHANGES),
            Constraint::Length(1),
        ])
        .areas(area);
        self.title(frame, title);
        frame.render_widget(self.whole(), whole);
        self.tabs(frame, tabs);
        self.table(frame, table, row);
        frame.render_widget(self.changes(), changes);
        frame.render_widget(self.keys(), keys);
        if self.control.mode == Mode::Helping {
            help(frame, area);
        }
    }

    fn title(&self, frame: &mut Frame<'_>, area: Rect) {
        let name = Span::styled("purgebus top", Style::new().add_modifier(Modifier::BOLD));
        let line = Line::from(vec![name, Span::raw(format!("  {}", self.publisher))]);
        frame.render_widget(line, area);
        let (state, alarming) = self.state();
        let style = if alarming { self.style(Tone::Bad) } else { Style::new() };
        let style = if alarming { style.add_modifier(Modifier::REVERSED) } else { style };
        let state = Line::styled(state, style).alignment(Alignment::Right);
        frame.render_widget(state, area);
    }

    /// How old what is shown is, and whether that is bad.
    fn state(&self) -> (String, bool) {
        let Snapshot { at, age_seconds, trouble, .. } = self.snapshot;
        let age = age_seconds.map(|age| milliseconds(age * 1_000.0));
        let clock = at.map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        match (age, trouble) {
            (None, None) => ("asking ...".to_owned(), false),
            (None, Some(_)) => (" NO ANSWER YET ".to_owned(), true),
            (Some(age), Some(_)) => (format!(" NO ANSWER: state of {age} ago "), true),
            (Some(age), None) if self.control.paused => {
                (format!("paused, state of {age} ago"), false)
            }
            (Some(age), None) if age_seconds.is_some_and(|age| age > FRESH_SECONDS) => {
                (format!("state of {age} ago"), true)
            }
            (Some(_), None) => (clock.unwrap_or_default(), false),
        }
    }

    fn whole(&self) -> Line<'static> {
        let Whole { settled_per_second, p50_ms, p99_ms, .. } = self.snapshot.all;
        let Whole { p99_history_ms, lag_numbers, open_circuits, dead_letters, .. } =
            &self.snapshot.all;
        let latest = &p99_history_ms[p99_history_ms.len().saturating_sub(WHOLE_BARS)..];
        let count = |count: u64| if count == 0 { dash() } else { count.to_string() };
        let troubled = |what: &str, many: u64| {
            let tone = if many > 0 { Tone::Bad } else { Tone::Plain };
            Span::styled(format!("  {what} {}", count(many)), self.style(tone))
        };
        Line::from(vec![
            Span::raw(format!(
                "all  {} settled/s  p50 {}  p99 {} {}  behind {}",
                in_a_second(settled_per_second),
                maybe_milliseconds(p50_ms),
                maybe_milliseconds(p99_ms),
                bars(latest),
                count(*lag_numbers),
            )),
            troubled("open", *open_circuits as u64),
            troubled("dead", *dead_letters),
        ])
    }

    fn tabs(&self, frame: &mut Frame<'_>, area: Rect) {
        let tabs = View::ALL.iter().zip(1..).flat_map(|(view, number)| {
            let name = format!("{number} {}", view.title());
            let chosen = *view == self.control.view();
            let bold = Style::new().add_modifier(Modifier::BOLD);
            let tab = if chosen {
                Span::styled(format!("[{name}]"), bold)
            } else {
                format!(" {name} ").into()
            };
            [tab, Span::raw(" ")]
        });
        frame.render_widget(tabs.collect::<Line<'_>>(), area);
        let filter = &self.control.filter;
        if !filter.is_empty() && self.control.mode != Mode::Filtering {
            let shown = Line::raw(format!("filter: {filter}")).alignment(Alignment::Right);
            frame.render_widget(shown, area);
        }
    }

    /// The table, and below it all of the row that is looked at.
    fn table(&self, frame: &mut Frame<'_>, area: Rect, below: Rect) {
        let (view, sort) = (self.control.view(), self.control.sort());
        let rows = view.rows(self.snapshot, &self.control.filter, sort);
        let columns = view.columns();
        let chosen = (!rows.is_empty()).then(|| self.control.row.min(rows.len() - 1));
        let whole = chosen.map(|chosen| rows[chosen].whole.clone());
        let taken: u16 = columns.iter().map(|column| column.width.unwrap_or_default() + 1).sum();
        let room = usize::from(area.width.saturating_sub(taken - 1));
        let table = Table::new(
            rows.iter().map(|row| self.row(row, columns, room)),
            columns
                .iter()
                .map(|column| column.width.map_or(Constraint::Fill(1), Constraint::Length)),
        )
        .header(header(columns, sort))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut state = TableState::default().with_selected(chosen);
        frame.render_stateful_widget(table, area, &mut state);
        frame.render_widget(Line::raw(whole.unwrap_or_else(|| self.nothing())), below);
    }

    /// A row; of a history, that of which there is room for.
    fn row<'row>(&self, row: &'row Row, columns: &[Column], room: usize) -> widgets::Row<'row> {
        let cells = row.cells.iter().zip(columns).map(|(Cell { text, tone, .. }, column)| {
            let is_history = column.is_number && column.width.is_none();
            let text = if is_history { latest(text, room) } else { text };
            widgets::Cell::new(aligned(text, *column)).style(self.style(*tone))
        });
        cells.collect()
    }

    fn nothing(&self) -> String {
        let filter = &self.control.filter;
        match (self.snapshot.at, filter.is_empty()) {
            (None, _) => String::new(),
            (Some(_), true) => format!("no {}", self.control.view().title()),
            (Some(_), false) => format!("no {} with \"{filter}\"", self.control.view().title()),
        }
    }

    /// The latest changes; why there is no answer, where there is none.
    fn changes(&self) -> Text<'static> {
        let trouble = self.snapshot.trouble.iter().flat_map(|trouble| trouble.lines());
        let trouble = trouble.map(|why| Line::styled(why.to_owned(), self.style(Tone::Bad)));
        let changes = self.snapshot.changes.iter().map(|change| {
            let tone = if change.bad { Tone::Bad } else { Tone::Plain };
            let text = format!("{}  {}", change.at.strftime("%H:%M:%S"), change.what);
            Line::styled(text, self.style(tone))
        });
        trouble.chain(changes).take(CHANGES.into()).collect()
    }

    fn keys(&self) -> Line<'static> {
        match self.control.mode {
            Mode::Filtering => {
                Line::raw(format!("/{}_   Enter keeps it, Esc drops it", self.control.filter))
            }
            _ if self.control.paused => Line::raw("p go on  ? help  q leave"),
            _ => Line::raw("Tab view  s sort  r turn round  / filter  p pause  ? help  q leave"),
        }
    }

    fn style(&self, tone: Tone) -> Style {
        match tone {
            Tone::Good if self.colours => Style::new().fg(Color::Green),
            Tone::Bad if self.colours => Style::new().fg(Color::Red),
            Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
            Tone::Good | Tone::Plain => Style::new(),
        }
    }
}

/// The headings, with an arrow at the one that the rows are sorted by.
fn header(columns: &'static [Column], sort: Sort) -> widgets::Row<'static> {
    let headings = columns.iter().enumerate().map(|(at, column)| {
        let falls = column.is_number != sort.reversed;
        let heading = match (at == sort.column, falls) {
            (false, _) => column.heading.to_owned(),
            (true, true) => format!("{} ▼", column.heading),
            (true, false) => format!("{} ▲", column.heading),
        };
        widgets::Cell::new(aligned(heading, *column))
    });
    headings.collect::<widgets::Row<'_>>().style(Style::new().add_modifier(Modifier::BOLD))
}

/// The last characters of a text.
fn latest(text: &str, chars: usize) -> &str {
    let from = text.chars().count().saturating_sub(chars);
    text.char_indices().nth(from).map_or("", |(at, _)| &text[at..])
}

fn aligned<'text>(text: impl Into<Line<'text>>, column: Column) -> Line<'text> {
    text.into().alignment(if column.is_number { Alignment::Right } else { Alignment::Left })
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = HELP.map(|(keys, what)| Line::raw(format!(" {keys:<18} {what}")));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let [area] = Layout::horizontal([Constraint::Length(WIDTH_MIN)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [area] = Layout::vertical([Constraint::Length(height)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines.to_vec()).block(Block::bordered().title(" Keys ")),
        area,
    );
}

#[cfg(test)]
mod tests;
