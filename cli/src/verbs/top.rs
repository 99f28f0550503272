//! `purgebus top`: how the bus does, on a terminal, as it happens.
//!
//! ```text
//! answers --> model --> snapshot --> sheet --> view --> screen
//!                          |                    ^
//!                          +--> JSON lines      +-- control <-- keys
//! ```

mod answers;
mod control;
mod meter;
mod model;
#[cfg(test)]
mod samples;
mod screen;
mod sheet;
mod snapshot;
mod view;

use std::io;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, EventStream};
use daemon::{Clock, Stop, stop_on_signals};
use futures::StreamExt;
use humantime_serde::re::humantime;
use tokio::time::{Instant, interval, sleep_until};

use crate::client::{Client, Unanswered};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use self::answers::Answers;
use self::control::{Control, Wish};
use self::model::Model;
use self::screen::Screen;
use self::snapshot::Snapshot;
use self::view::Scene;

/// Between two rounds of questions, where no time is given, and at least and at most.
const EVERY: &str = "1s";
const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_mins(1);
/// The screen is drawn so often though nothing came: what is shown has grown older.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// Shows regions, caches and dead letters on the terminal, as they change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus top
  purgebus top --publisher http://10.0.0.7:8377 --every 5s
  purgebus top --json | jq -c '[.at, .all.p99_ms, .all.open_circuits]'

Keys: Tab, 1, 2 and 3 choose regions, caches or dead letters; s sorts by the next column, r turns the order round;
/ shows only rows that hold a text; p pauses the screen; ? tells all keys; q leaves. While the publisher does not
answer, its last answer stays, with its age. A window has at least 76 columns and 16 lines. NO_COLOR is obeyed.")]
pub(crate) struct Top {
    /// The time between two questions, such as 500ms; 100ms to 60s
    #[arg(long, value_name = "TIME", default_value = EVERY, value_parser = every)]
    every: Duration,
    /// JSON lines instead of a screen, one for each answer
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

fn every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (EVERY_MIN..=EVERY_MAX).contains(&every) {
        Ok(every)
    } else {
        Err("give 100ms to 60s".to_owned())
    }
}

/// What was answered so far.
struct Watch {
    client: Client,
    every: Duration,
    clock: Clock,
    began: Instant,
    model: Model,
}

/// A round of questions that begins then.
async fn round(client: &Client, at: Instant) -> Result<Answers, Unanswered> {
    sleep_until(at).await;
    Answers::ask(client).await
}

impl Top {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let watch = Watch {
            client: Client::new(&self.connection)?,
            every: self.every,
            clock: Clock::system(),
            began: Instant::now(),
            model: Model::default(),
        };
        let publisher = self.connection.url()?;
        let stop = Stop::new();
        let second = stop_on_signals(stop.clone())?;
        tokio::select! {
            ended = async {
                if self.json {
                    watch.tell().await
                } else {
                    watch.show(publisher.as_str().trim_end_matches('/')).await
                }
            } => ended,
            () = stop.requested() => Ok(Exit::Done),
            _ = second => Ok(Exit::Done),
        }
    }
}

impl Watch {
    /// One line after the other.
    async fn tell(mut self) -> Result<Exit, Failure> {
        loop {
            let answered = round(&self.client, Instant::now()).await;
            self.take(answered)?;
            output::json(&serde_json::to_value(self.snapshot()).map_err(Failure::failed)?)?;
            sleep_until(Instant::now() + self.every).await;
        }
    }

    /// One picture after the other, until somebody wants no more.
    async fn show(mut self, publisher: &str) -> Result<Exit, Failure> {
        let mut screen = Screen::open()?;
        let (mut control, mut keys) = (Control::default(), EventStream::new());
        let (mut shown, mut since) = (self.snapshot(), Instant::now());
        let (client, mut ticks) = (self.client.clone(), interval(DRAW_EVERY));
        let mut asking = pin!(round(&client, Instant::now()));
        loop {
            let snapshot = &shown.aged(since.elapsed());
            let colours = screen.colours;
            screen.draw(&Scene { publisher, snapshot, control: &control, colours })?;
            tokio::select! {
                answered = &mut asking => {
                    self.take(answered)?;
                    asking.set(round(&client, Instant::now() + self.every));
                }
                event = keys.next() => match pressed(&mut control, event)? {
                    Wish::Leave => return Ok(Exit::Done),
                    Wish::DrawAnew => screen.clear()?,
                    Wish::Draw => {}
                },
                _ = ticks.tick() => {}
            }
            if !control.paused {
                (shown, since) = (self.snapshot(), Instant::now());
            }
        }
    }

    /// Notes an answer, or why there is none now; fails where there never will be one.
    fn take(&mut self, answered: Result<Answers, Unanswered>) -> Result<(), Failure> {
        match answered {
            Ok(answers) => self.model.take(answers, self.clock.now(), self.began.elapsed()),
            Err(
                unanswered @ (Unanswered::NoAnswer { .. }
                | Unanswered::TooSlow(_)
                | Unanswered::Later { .. }),
            ) => self.model.miss(Failure::from(unanswered).to_string()),
            Err(never) => return Err(never.into()),
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        self.model.snapshot(self.began.elapsed())
    }
}

/// What an event of the terminal asks for. A window of another size is drawn like any other.
fn pressed(control: &mut Control, event: Option<io::Result<Event>>) -> Result<Wish, Failure> {
    match event {
        Some(Ok(Event::Key(key))) => Ok(control.press(key)),
        Some(Ok(_)) => Ok(Wish::Draw),
        Some(Err(error)) => Err(error.into()),
        None => Err(Failure::message(Exit::Failed, "the terminal is gone")),
    }
}
