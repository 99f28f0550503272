//! Dead letters as tables.

use std::collections::BTreeSet;

use comfy_table::Cell;
use schemas::LetterState;
use schemas::api::{DeadLetterExchange, DeadLetterPage, DeadLetterSummary, DeadLettersOrdered};

use crate::exit::Failure;
use crate::output;
use crate::verbs::asking;

/// So much of a selector or a reason stands in a table.
const CELL_CHARS_MAX: usize = 60;

/// What stands for an answer that the agent has and does not tell.
const NOT_TOLD: &str = "not told: its agent has newer dead letters than its report has room for";

/// What is ordered about how many, and whom it is for.
pub(super) fn ordered(what: &str, ordered: &DeadLettersOrdered) -> Result<(), Failure> {
    let DeadLettersOrdered { id, letters, expires_at, .. } = ordered;
    let whom = format!("for whoever is back by {expires_at:.0}");
    output::line(format!("{id}: {what} {letters} dead letters, {whom}"))?;
    asking::ordered(&ordered.caches)
}

/// What is about to be ordered, for whoever has to agree.
pub(super) fn question(what: &str, page: &DeadLetterPage) -> String {
    let caches: BTreeSet<_> = page.items.iter().map(|it| (&it.agent, &it.cache)).collect();
    let older = match page.untold {
        0 => String::new(),
        untold => format!(", and what is meant of {untold} older ones that agents only count"),
    };
    format!("{what} {} dead letters of {} caches{older}?", page.items.len(), caches.len())
}

/// Some, a row each.
pub(super) fn page(page: &DeadLetterPage) -> Result<(), Failure> {
    list(&page.items)?;
    if page.untold > 0 {
        output::line(format!("and {} older ones that agents only count", page.untold))?;
    }
    Ok(())
}

fn list(letters: &[DeadLetterSummary]) -> Result<(), Failure> {
    let mut table = output::table([
        "ID",
        "REGION",
        "AGENT",
        "CACHE",
        "SITE",
        "SELECTOR",
        "STATE",
        "TRIES",
        "LAST TRIED",
        "REASON",
    ]);
    for letter in letters {
        table.add_row([
            letter.id.to_string().into(),
            letter.region.to_string().into(),
            letter.agent.to_string().into(),
            letter.cache.to_string().into(),
            letter.site.to_string().into(),
            short(&letter.selector).into(),
            state(letter.state),
            letter.tries.into(),
            format!("{:.0}", letter.last_tried).into(),
            Cell::new(short(&letter.reason)),
        ]);
    }
    output::show(&table)
}

/// One, with all that is known of it.
pub(super) fn one(letter: &DeadLetterSummary) -> Result<(), Failure> {
    let mut table = output::table(["DEAD LETTER", &letter.id.to_string()]);
    let cache = format!("{} of {} in {}", letter.cache, letter.agent, letter.region);
    let asked = format!(
        "{} invalidations, the latest number {} of line {}",
        letter.invalidations, letter.number, letter.line
    );
    for (name, value) in [
        ("cache", cache),
        ("lane", letter.priority.as_str().to_owned()),
        ("site", letter.site.to_string()),
        ("selector", letter.selector.clone()),
        ("mode", letter.mode.as_str().to_owned()),
        ("state", letter.state.as_str().to_owned()),
        ("reason", letter.reason.clone()),
        ("first seen", format!("{:.0}", letter.first_seen)),
        ("last tried", format!("{:.0}", letter.last_tried)),
        ("tries", letter.tries.to_string()),
        ("asked for by", asked),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    if let Some(DeadLetterExchange { status, answer }) = &letter.exchange {
        table.add_row(["status line", status]);
        table.add_row(["answer", answer.as_deref().unwrap_or(NOT_TOLD)]);
    }
    output::show(&table)
}

fn state(state: LetterState) -> Cell {
    output::mark(state.as_str(), state != LetterState::Refused)
}

/// A text that a table has room for; `show` has all of it.
fn short(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
