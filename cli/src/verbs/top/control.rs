//! What the keys do. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::sheet::{Sort, View};

/// Longest filter.
const FILTER_CHARS_MAX: usize = 60;
/// Rows of a leap.
const LEAP: usize = 10;

/// What the keys mean now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each something else.
    #[default]
    Watching,
    /// Letters of the filter.
    Filtering,
    /// None anything: help is shown.
    Helping,
}

/// What is to be done beside what the control has noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Draw,
    /// As if nothing had been drawn before: something else has written on the terminal.
    DrawAnew,
    Leave,
}

/// What is looked at, and how.
#[derive(Debug, Default)]
pub(super) struct Control {
    view: usize,
    sorts: [Sort; View::ALL.len()],
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) paused: bool,
    /// The row that is looked at; beyond the last one means the last one.
    pub(super) row: usize,
}

/// What `?` shows.
pub(super) const HELP: [(&str, &str); 9] = [
    ("Tab 1 2 3", "regions, caches, dead letters"),
    ("Up Down PgUp PgDn", "another row; the line below the table shows all of it"),
    ("s", "sort by the next column; S by the one before"),
    ("r", "the other way round"),
    ("/", "only rows that hold a text; Enter keeps, Esc drops it"),
    ("p", "pause the screen, and go on"),
    ("Ctrl-L", "draw anew"),
    ("?", "this; any key leaves it"),
    ("q Ctrl-C", "leave"),
];

impl Control {
    pub(super) fn view(&self) -> View {
        View::ALL[self.view]
    }

    pub(super) fn sort(&self) -> Sort {
        self.sorts[self.view]
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Draw;
        }
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (self.mode, key.code) {
            (_, KeyCode::Char('c')) if with_control => return Wish::Leave,
            (_, KeyCode::Char('l')) if with_control => return Wish::DrawAnew,
            (_, _) if with_control => {}
            (Mode::Watching, KeyCode::Char('q')) => return Wish::Leave,
            (Mode::Watching, code) => self.watch(code),
            (Mode::Filtering, code) => self.write(code),
            (Mode::Helping, _) => self.mode = Mode::Watching,
        }
        Wish::Draw
    }

    fn watch(&mut self, code: KeyCode) {
        match code {
            KeyCode::Tab => self.turn_to((self.view + 1) % View::ALL.len()),
            KeyCode::BackTab => self.turn_to((self.view + View::ALL.len() - 1) % View::ALL.len()),
            KeyCode::Char(digit @ '1'..='3') => self.turn_to(digit as usize - '1' as usize),
            KeyCode::Char('s') => self.sort_by(1),
            KeyCode::Char('S') => self.sort_by(self.view().columns().len() - 1),
            KeyCode::Char('r') => self.sorts[self.view].reversed ^= true,
            KeyCode::Char('/') => self.mode = Mode::Filtering,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('p') => self.paused ^= true,
            KeyCode::Char('?') => self.mode = Mode::Helping,
            KeyCode::Up | KeyCode::Char('k') => self.row = self.row.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.row = self.row.saturating_add(1),
            KeyCode::PageUp => self.row = self.row.saturating_sub(LEAP),
            KeyCode::PageDown => self.row = self.row.saturating_add(LEAP),
            KeyCode::Home => self.row = 0,
            KeyCode::End => self.row = usize::MAX,
            _ => {}
        }
    }

    fn write(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.mode = Mode::Watching,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Watching;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.chars().count() < FILTER_CHARS_MAX => {
                self.filter.push(c);
                self.row = 0;
            }
            _ => {}
        }
    }

    fn turn_to(&mut self, view: usize) {
        self.view = view;
        self.row = 0;
    }

    fn sort_by(&mut self, further: usize) {
        let columns = self.view().columns().len();
        let column = (self.sort().column + further) % columns;
        self.sorts[self.view] = Sort { column, reversed: false };
        self.row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(control: &mut Control, keys: &str) -> Wish {
        let code = |c| match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        let wishes = keys.chars().map(|c| control.press(KeyEvent::from(code(c))));
        wishes.last().expect("a key")
    }

    #[test]
    fn views_are_turned_to_by_tab_and_number_and_keep_their_order() {
        let mut control = Control::default();
        press(&mut control, "ss");
        let by = control.sort();
        assert_eq!((control.view(), by), (View::Regions, Sort { column: 2, reversed: false }));
        press(&mut control, "\t");
        assert_eq!((control.view(), control.sort()), (View::Caches, Sort::default()));
        press(&mut control, "3r");
        assert_eq!(control.view(), View::DeadLetters);
        assert!(control.sort().reversed);
        press(&mut control, "\t");
        assert_eq!((control.view(), control.sort()), (View::Regions, by));
    }

    #[test]
    fn sorting_goes_round_in_both_directions() {
        let mut control = Control::default();
        let columns = View::Regions.columns().len();
        press(&mut control, "S");
        assert_eq!(control.sort().column, columns - 1);
        press(&mut control, "s");
        assert_eq!(control.sort().column, 0);
    }

    #[test]
    fn while_a_filter_is_written_letters_are_letters() {
        let mut control = Control::default();
        assert_eq!(press(&mut control, "/qs\x08p"), Wish::Draw);
        assert_eq!((control.filter.as_str(), control.paused), ("qp", false));
        press(&mut control, "\np");
        assert_eq!((control.filter.as_str(), control.paused), ("qp", true));
        press(&mut control, "/x\x1b");
        assert_eq!((control.filter.as_str(), control.mode), ("", Mode::Watching));
        press(&mut control, &format!("/{}", "x".repeat(1_000)));
        assert_eq!(control.filter.len(), FILTER_CHARS_MAX);
    }

    #[test]
    fn it_is_left_by_q_and_always_by_control_c() {
        let mut control = Control::default();
        assert_eq!(press(&mut control, "?q"), Wish::Draw, "help was left");
        assert_eq!(press(&mut control, "q"), Wish::Leave);
        press(&mut control, "/");
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(control.press(interrupt), Wish::Leave);
    }

    #[test]
    fn rows_are_walked_without_falling_off() {
        let mut control = Control::default();
        press(&mut control, "kjj");
        assert_eq!(control.row, 2);
        for code in [KeyCode::PageUp, KeyCode::Up, KeyCode::End, KeyCode::Down, KeyCode::PageDown] {
            control.press(KeyEvent::from(code));
        }
        assert_eq!(control.row, usize::MAX);
    }
}
