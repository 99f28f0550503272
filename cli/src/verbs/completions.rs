//! `purgebus completions`: what a shell needs to complete our command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Command;
use crate::exit::{Exit, Failure};
use crate::output;

/// Prints the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus completions bash > /etc/bash_completion.d/purgebus
  purgebus completions zsh > \"${fpath[1]}/_purgebus\"
  purgebus completions fish > ~/.config/fish/completions/purgebus.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let mut command = Command::command();
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        output::bytes(&script)?;
        Ok(Exit::Done)
    }
}
