//! The verbs, one file each.

mod agent;
mod agents;
mod asking;
mod audit;
mod caches;
mod cancel;
mod check;
mod completions;
mod dead_letters;
mod demo;
mod dry_run;
mod flush;
mod init;
mod key;
mod man;
mod new_file;
mod pause;
mod process;
mod progress;
mod publisher;
mod publishers;
mod purge;
mod regions;
mod replay;
mod resume;
mod serve;
mod status;
mod tail;
mod token;
mod top;

use std::time::Duration;

use clap::Subcommand;

use crate::exit::{Exit, Failure};

/// Longest wait for an answer to a question.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Longest wait for a retirement: the log is read first, then the board has to take it.
const RETIRE_WAIT: Duration = Duration::from_secs(20);

/// What the process shall do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Publisher(publisher::Publisher),
    Agent(agent::Agent),
    Check(check::Check),
    Purge(Box<purge::Purge>),
    Status(status::Status),
    Regions(regions::Regions),
    Caches(caches::Caches),
    Agents(agents::Agents),
    Publishers(publishers::Publishers),
    Flush(flush::Flush),
    Replay(Box<replay::Replay>),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Cancel(cancel::Cancel),
    #[command(visible_alias = "dlq")]
    DeadLetters(dead_letters::DeadLetters),
    Tail(tail::Tail),
    Top(top::Top),
    Audit(audit::Audit),
    Token(token::Token),
    Key(key::Key),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Verb {
    /// Does it.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Demo(verb) => verb.run().await,
            Self::Init(verb) => verb.run().await,
            Self::Serve(verb) => verb.run().await,
            Self::Publisher(verb) => verb.run().await,
            Self::Agent(verb) => verb.run().await,
            Self::Check(verb) => verb.run().await,
            Self::Purge(verb) => verb.run().await,
            Self::Status(verb) => verb.run().await,
            Self::Regions(verb) => verb.run().await,
            Self::Caches(verb) => verb.run().await,
            Self::Agents(verb) => verb.run().await,
            Self::Publishers(verb) => verb.run().await,
            Self::Flush(verb) => verb.run().await,
            Self::Replay(verb) => verb.run().await,
            Self::Pause(verb) => verb.run().await,
            Self::Resume(verb) => verb.run().await,
            Self::Cancel(verb) => verb.run().await,
            Self::DeadLetters(verb) => verb.run().await,
            Self::Tail(verb) => verb.run().await,
            Self::Top(verb) => verb.run().await,
            Self::Audit(verb) => verb.run().await,
            Self::Token(verb) => verb.run(),
            Self::Key(verb) => verb.run(),
            Self::Completions(verb) => verb.run(),
            Self::Man(verb) => verb.run(),
        }
    }
}
