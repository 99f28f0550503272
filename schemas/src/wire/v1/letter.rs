//! Dead letters: as an agent keeps them, and as it tells them.

use bincode::{BorrowDecode, Encode};
use uuid::Uuid;

use super::line::{Line, Range};
use super::selector::Selector;
use super::time::Time;
use super::word::{LetterState, Mode};
use super::{Ext, each, fact};
use crate::wire::WireError;
use crate::wire::known::Known;
use crate::{Exchange, NumberRange, Place, SiteName};

#[derive(Debug, Encode, BorrowDecode)]
pub(in crate::wire) struct KeptLetter<'a> {
    letter: DeadLetter<'a>,
    numbers: Vec<(Line, Range)>,
    ext: Ext<'a>,
}

#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct DeadLetter<'a> {
    id: [u8; 16],
    site: &'a str,
    selector: Selector<'a>,
    mode: Mode,
    reason: &'a str,
    first_seen: Time,
    last_tried: Time,
    tries: u32,
    state: LetterState,
    place: (Line, u64),
    invalidations: u64,
    ext: Ext<'a>,
}

/// The fact of a dead letter's `ext` that holds what the cache answered: the status line, and what followed it unless
/// that was left out.
const EXCHANGE: u16 = 1;

/// How many there are, and the newest.
#[derive(Debug, Encode, BorrowDecode)]
pub(super) struct DeadLetters<'a> {
    count: u64,
    newest: Vec<DeadLetter<'a>>,
}

impl<'a> From<&'a crate::KeptLetter> for KeptLetter<'a> {
    fn from(kept: &'a crate::KeptLetter) -> Self {
        let crate::KeptLetter { letter, numbers } = kept;
        let numbers = numbers.iter().map(|(line, range)| ((*line).into(), range.into()));
        Self { letter: letter.into(), numbers: numbers.collect(), ext: Ext::new() }
    }
}

impl TryFrom<KeptLetter<'_>> for crate::KeptLetter {
    type Error = WireError;

    fn try_from(kept: KeptLetter<'_>) -> Result<Self, WireError> {
        let KeptLetter { letter, numbers, ext: _ } = kept;
        let numbers: Result<_, WireError> = numbers
            .into_iter()
            .map(|(line, range)| Ok((line.into(), NumberRange::try_from(range)?)))
            .collect();
        Ok(Self { letter: letter.try_into()?, numbers: numbers? })
    }
}

impl<'a> From<&'a crate::DeadLetter> for DeadLetter<'a> {
    fn from(letter: &'a crate::DeadLetter) -> Self {
        Self {
            id: letter.id.into_bytes(),
            site: letter.site.as_str(),
            selector: (&letter.selector).into(),
            mode: letter.mode.into(),
            reason: &letter.reason,
            first_seen: letter.first_seen.into(),
            last_tried: letter.last_tried.into(),
            tries: letter.tries,
            state: letter.state.into(),
            place: (letter.place.line.into(), letter.place.number),
            invalidations: letter.invalidations,
            ext: letter.exchange.as_ref().map(fact_of).unwrap_or_default(),
        }
    }
}

impl TryFrom<DeadLetter<'_>> for crate::DeadLetter {
    type Error = WireError;

    fn try_from(letter: DeadLetter<'_>) -> Result<Self, WireError> {
        let (line, number) = letter.place;
        Ok(Self {
            id: Uuid::from_bytes(letter.id),
            site: SiteName::from_canonical(letter.site)?,
            selector: letter.selector.read(&mut Known::default())?,
            mode: letter.mode.into(),
            reason: letter.reason.to_owned(),
            first_seen: letter.first_seen.try_into()?,
            last_tried: letter.last_tried.try_into()?,
            tries: letter.tries,
            state: letter.state.into(),
            place: Place { line: line.into(), number },
            invalidations: letter.invalidations,
            exchange: fact::find(&letter.ext, EXCHANGE)?.map(exchange),
        })
    }
}

fn fact_of(exchange: &Exchange) -> Ext<'static> {
    fact::of(EXCHANGE, &(exchange.status(), exchange.answer()))
}

/// What is longer than this build keeps is cut.
fn exchange((status, answer): (&str, Option<&str>)) -> Exchange {
    match answer {
        Some(answer) => Exchange::new(status.as_bytes(), answer.as_bytes()),
        None => Exchange::new(status.as_bytes(), b"").without_answer(),
    }
}

impl<'a> From<&'a crate::DeadLetters> for DeadLetters<'a> {
    fn from(letters: &'a crate::DeadLetters) -> Self {
        let newest = letters.newest.iter().map(DeadLetter::from).collect();
        Self { count: letters.count, newest }
    }
}

impl TryFrom<DeadLetters<'_>> for crate::DeadLetters {
    type Error = WireError;

    fn try_from(letters: DeadLetters<'_>) -> Result<Self, WireError> {
        let DeadLetters { count, newest } = letters;
        Ok(Self { count, newest: each(newest)? })
    }
}
