//! What the verbs that show a list at the publisher have in common.

use std::fmt::Display;

use clap::Args;
use schemas::api::Page;
use serde::de::DeserializeOwned;

use crate::client::{Client, understand};
use crate::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output;

use super::{ANSWER_WAIT, RETIRE_WAIT};

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
    /// Shows everything that is on a list.
    pub(super) async fn list<Item: DeserializeOwned>(
        &self,
        list: &str,
        show: Show<Item>,
    ) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        let answer = client.get(list, ANSWER_WAIT).await?;
        if self.json {
            output::json(&answer)?;
        } else {
            show(&understand::<Page<Item>>(answer)?.items)?;
        }
        Ok(Exit::Done)
    }

    /// Retires one who is on a list, and shows how it stands then.
    pub(super) async fn retire<Item: DeserializeOwned>(
        &self,
        list: &str,
        name: impl Display,
        force: bool,
        show: Show<Item>,
    ) -> Result<Exit, Failure> {
        let client = Client::new(&self.connection)?;
        let answer = client.delete(&format!("{list}/{name}?force={force}"), RETIRE_WAIT).await?;
        if self.json {
            output::json(&answer)?;
        } else {
            show(&[understand(answer)?])?;
        }
        Ok(Exit::Done)
    }
}
