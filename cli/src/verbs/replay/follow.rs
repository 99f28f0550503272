//! Watches a replay until it ends; Ctrl-C cancels it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use schemas::api::{Replay, ReplayState};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::client::{Client, Unanswered, understand};
use crate::exit::{Exit, Failure};
use crate::verbs::asking::Asking;

use super::{ANSWER_WAIT, how_to_resume, tables};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A publisher that is away for longer is not waited for; the replay goes on when it is back.
const AWAY_MAX: Duration = Duration::from_mins(1);

/// Watches it to its end; `expected` is how many it will publish, where that is known.
pub(super) async fn follow(
    client: &Client,
    asking: &Asking,
    id: Uuid,
    expected: Option<u64>,
) -> Result<Exit, Failure> {
    let bar = bar(expected);
    let ended = tokio::select! {
        ended = watch(client, id, &bar, expected) => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            cancel(client, id).await
        }
    };
    bar.finish_and_clear();
    let answer = ended.inspect_err(|_| how_to_resume(id))?;
    let replay: Replay = understand(answer.clone())?;
    asking.tell(answer, tables::replay)?;
    match replay.state {
        ReplayState::Done => Ok(Exit::Done),
        ReplayState::Running => Ok(Exit::NotReached),
        ReplayState::Cancelled | ReplayState::Failed => {
            how_to_resume(id);
            Ok(Exit::Failed)
        }
    }
}

async fn watch(
    client: &Client,
    id: Uuid,
    bar: &ProgressBar,
    expected: Option<u64>,
) -> Result<Value, Failure> {
    let mut heard = Instant::now();
    loop {
        match client.get(&format!("/v1/replays/{id}"), ANSWER_WAIT).await {
            Ok(answer) => {
                heard = Instant::now();
                let replay: Replay = understand(answer.clone())?;
                show(bar, &replay, expected);
                if replay.state != ReplayState::Running {
                    return Ok(answer);
                }
            }
            Err(error @ (Unanswered::NoAnswer { .. } | Unanswered::Later { .. })) => {
                if heard.elapsed() > AWAY_MAX {
                    return Err(error.into());
                }
                bar.set_message("no answer from the publisher");
            }
            Err(error) => return Err(error.into()),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Stops it; whoever interrupts again does not wait for the answer.
async fn cancel(client: &Client, id: Uuid) -> Result<Value, Failure> {
    let path = format!("/v1/replays/{id}");
    tokio::select! {
        answer = client.delete(&path, ANSWER_WAIT) => Ok(answer?),
        again = tokio::signal::ctrl_c() => {
            again?;
            Err(Failure::message(Exit::Failed, "interrupted; it may still run"))
        }
    }
}

/// On stderr, on a terminal only.
fn bar(expected: Option<u64>) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = if expected.is_some() {
        "{bar:30} {pos}/{len} published  {per_sec}  {eta} left  {msg}"
    } else {
        "{bar:30} {percent}% of the log read  {eta} left  {msg}"
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::with_draw_target(expected, target).with_style(style)
}

fn show(bar: &ProgressBar, replay: &Replay, expected: Option<u64>) {
    let (length, position) = match expected {
        Some(expected) => (expected.max(replay.published), replay.published),
        None => (replay.to_read, replay.read),
    };
    bar.set_length(length);
    bar.set_position(position);
    bar.set_message(replay.waits.clone().unwrap_or_default());
}
