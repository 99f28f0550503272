//! What came of a case, in figures.

use std::fmt;
use std::io::Write;

use tests::town::Rest;

/// What must become of the numbers that were missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mended {
    /// Nothing was missing in the end: the log itself had everything.
    FromTheLog,
    /// A journal sent them again, and nothing was flushed.
    Repaired,
    /// Nobody has them any more: whoever lacked them has flushed, and said so with this cause.
    Flushed(&'static str),
}

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) case: String,
    /// Frames that publishers sent again.
    pub(crate) repairs: u64,
    /// Numbers that publishers said nobody has.
    pub(crate) lost_numbers: u64,
    /// Flushes begun, by cause.
    pub(crate) flushes: Vec<(&'static str, u64)>,
}

impl Figures {
    /// It came as it had to.
    pub(crate) fn are(&self, mended: Mended) {
        let Self { case, repairs, flushes, .. } = self;
        let flushed: u64 = flushes.iter().map(|(_, count)| count).sum();
        let cause = match mended {
            Mended::FromTheLog => return assert_eq!((*repairs, flushed), (0, 0), "{case}"),
            Mended::Repaired => {
                assert!(*repairs > 0, "{case}: nothing was repaired");
                return assert_eq!(flushed, 0, "{case}: {flushes:?}");
            }
            Mended::Flushed(cause) => cause,
        };
        assert!(self.flushes_for(cause) > 0, "{case}: no flush for {cause}: {flushes:?}");
        assert_eq!(self.flushes_for(cause), flushed, "{case}: for other causes too: {flushes:?}");
    }

    /// How often somebody has flushed for it.
    pub(crate) fn flushes_for(&self, cause: &str) -> u64 {
        let mut flushes = self.flushes.iter();
        flushes.find(|(other, _)| *other == cause).map_or(0, |(_, count)| *count)
    }

    /// Shows them also where the test runner hides what a passing test prints.
    pub(crate) fn show(&self, rest: &Rest) {
        let text = format!("{self}; {rest}\n");
        std::io::stderr().write_all(text.as_bytes()).expect("stderr");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, repairs, lost_numbers, flushes } = self;
        write!(f, "{case:<48} {repairs:>3} repairs, {lost_numbers:>3} numbers given up, flushes")?;
        let mut none = true;
        for (cause, count) in flushes.iter().filter(|(_, count)| *count > 0) {
            write!(f, " {count} ({cause})")?;
            none = false;
        }
        if none { write!(f, " 0") } else { Ok(()) }
    }
}
