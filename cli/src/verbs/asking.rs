//! What the verbs that show a list at the publisher, or order something there, have in common.

use std::fmt::Display;
use std::time::Duration;

use clap::Args;
use schemas::api::{OrderedCache, Page};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use super::{ANSWER_WAIT, RETIRE_WAIT};

/// Longest wait for an order to stand on the board.
const ORDER_WAIT: Duration = Duration::from_secs(20);

/// Whom to ask, and how to tell the answer.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A table of some items.
type Show<Item> = fn(&[Item]) -> Result<(), Failure>;

impl Asking {
    /// Asks the publisher.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.connection)
    }

    /// Whether scripts read the answer.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// Tells an answer: as it is, or as `show` does.
    pub(super) fn tell<Answer: DeserializeOwned>(
        &self,
        answer: Value,
        show: impl FnOnce(&Answer) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        if self.json {
            output::json(&answer)?;
        } else {
            show(&understand(answer)?)?;
        }
        Ok(Exit::Done)
    }

    /// Shows everything that is on a list.
    pub(super) async fn list<Item: DeserializeOwned>(
        &self,
        list: &str,
        show: Show<Item>,
    ) -> Result<Exit, Failure> {
        let answer = self.client()?.get(list, ANSWER_WAIT).await?;
        self.tell(answer, |page: &Page<Item>| show(&page.items))
    }

    /// Retires one who is on a list, and shows how it stands then.
    pub(super) async fn retire<Item: DeserializeOwned>(
        &self,
        list: &str,
        name: impl Display,
        force: bool,
        show: Show<Item>,
    ) -> Result<Exit, Failure> {
        let path = format!("{list}/{name}?force={force}");
        let answer = self.client()?.delete(&path, RETIRE_WAIT).await?;
        self.tell(answer, |item| show(std::slice::from_ref(item)))
    }

    /// Orders something, and shows what was ordered.
    pub(super) async fn order<Ordered: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        show: impl FnOnce(&Ordered) -> Result<(), Failure>,
    ) -> Result<Exit, Failure> {
        let key = Uuid::new_v4().to_string();
        let deadline = Instant::now() + ORDER_WAIT;
        let answer = self.client()?.post(path, request, &key, deadline).await?;
        self.tell(answer, show)
    }
}

/// Whom an order is for.
pub(super) fn ordered(caches: &[OrderedCache]) -> Result<(), Failure> {
    let mut table = output::table(["AGENT", "CACHE", "AGENT IS"]);
    for OrderedCache { agent, cache, state } in caches {
        table.add_row([agent.as_str(), cache.as_str(), state.as_str()]);
    }
    output::show(&table)
}
