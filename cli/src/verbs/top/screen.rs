//! The terminal: taken as a whole, and given back however this ends.

use std::io::{self, IsTerminal};

use ratatui::DefaultTerminal;

use crate::exit::{Exit, Failure};

use super::view::Scene;

/// A terminal in raw mode on its other page, until this is dropped, or the process panics.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
    pub(super) colours: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self, Failure> {
        let dumb = std::env::var("TERM").is_ok_and(|terminal| terminal == "dumb");
        if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let message = "this is no terminal that can be drawn on; give --json for JSON lines";
            return Err(Failure::message(Exit::WrongUsage, message));
        }
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Ok(Self { terminal: ratatui::try_init()?, colours })
    }

    pub(super) fn draw(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        self.terminal.draw(|frame| scene.draw(frame)).map(|_| ())
    }

    /// Forgets what was drawn.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        ratatui::try_restore().ok();
    }
}
