//! Whether the human at the terminal agrees.

use std::io::{BufRead, IsTerminal, Read};

use crate::exit::{Exit, Failure, tell};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64;

/// Asks on stderr and reads the answer. Where nobody can be asked, `--yes` must have been said.
pub(crate) fn ask(question: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        let refusal = format!("{question} Nobody can be asked here: say --yes");
        return Err(Failure::message(Exit::WrongUsage, refusal));
    }
    tell(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    stdin.lock().take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::message(Exit::Failed, "nothing was ordered")),
    }
}
