//! Which publisher to talk to, and by what right.

use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use crate::exit::{Exit, Failure};

const TOKEN_VARIABLE: &str = "PURGEBUS_TOKEN";

/// The flags of every verb that talks to a publisher.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The publisher's address
    #[arg(long, value_name = "URL", env = "PURGEBUS_URL", default_value = "http://127.0.0.1:8377")]
    publisher: String,
    /// A file with the bearer token; the variable `PURGEBUS_TOKEN` may hold the token itself instead
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Connection {
    /// The publisher's address, checked.
    pub(crate) fn url(&self) -> Result<Url, Failure> {
        let wrong = |why: &str| {
            let message = format!("the publisher's address \"{}\" {why}", self.publisher);
            Failure::message(Exit::WrongUsage, message)
        };
        let url: Url = self.publisher.parse().map_err(|_| wrong("is no URL"))?;
        match url.scheme() {
            "http" if url.has_host() => Ok(url),
            "https" => Err(wrong(
                "needs TLS, which this build does not have; \
                 talk plain HTTP to a publisher or a TLS proxy on this machine",
            )),
            _ => Err(wrong("does not begin with http://")),
        }
    }

    /// The bearer token, if there is one: the file's, else the variable's.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.token_file else {
            return Ok(std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()));
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("cannot read the token file {}: {error}", file.display());
            Failure::message(Exit::WrongUsage, message)
        })?;
        Ok(Some(text.trim().to_owned()))
    }
}
