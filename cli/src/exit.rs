//! How the process ends, in codes that scripts can act on.

use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

/// What `--help` says about them.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed or blocked
  2  wrong usage or wrong configuration
  3  accepted, but not reached within --timeout
  4  refused by the publisher: do not repeat
  5  no answer, 429 or 503: repeat";

/// The end of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Done,
    /// It could not, or something that owes it cannot.
    Failed,
    /// The command line or the configuration is wrong.
    WrongUsage,
    /// Accepted, but not reached in time.
    NotReached,
    /// The publisher will not: repeating does not help.
    Refused,
    /// Nobody answered, or asked to be left alone for a while: repeating may help.
    Repeat,
}

impl Exit {
    fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::WrongUsage => 2,
            Self::NotReached => 3,
            Self::Refused => 4,
            Self::Repeat => 5,
        }
    }
}

/// Why a verb did not end well, for the user and for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    why: anyhow::Error,
}

impl Failure {
    /// Ends with `exit`.
    pub(crate) fn new(exit: Exit, why: impl Into<anyhow::Error>) -> Self {
        Self { exit, why: why.into() }
    }

    /// Ends with `exit` and a message that has no deeper cause.
    pub(crate) fn message(exit: Exit, message: impl Display) -> Self {
        Self { exit, why: anyhow::anyhow!("{message}") }
    }

    /// Ends with [`Exit::Failed`].
    pub(crate) fn failed(why: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Failed, why)
    }
}

impl Failure {
    /// Whether it is only that the reader of our output has gone, as in `purgebus caches | head`.
    fn nobody_reads(&self) -> bool {
        let error = self.why.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl Display for Failure {
    /// The message with its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.why)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

/// A line on stderr. That nobody reads it is no reason to stop.
pub(crate) fn tell(text: impl Display) {
    writeln!(anstream::stderr(), "{text}").ok();
}

/// Tells a failure on stderr; the only place that does.
pub(crate) fn code(ended: Result<Exit, Failure>) -> ExitCode {
    let exit = ended.unwrap_or_else(|failure| {
        if failure.nobody_reads() {
            return Exit::Done;
        }
        tell(format_args!("purgebus: {failure}"));
        failure.exit
    });
    exit.number().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_help() {
        use Exit::{Done, Failed, NotReached, Refused, Repeat, WrongUsage};
        for exit in [Done, Failed, WrongUsage, NotReached, Refused, Repeat] {
            let start = format!("\n  {}  ", exit.number());
            assert!(CODES.contains(&start), "{exit:?} is not in the help");
        }
    }
}
