//! `purgebus key`: the keys that sign what publishers say.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemas::{PublicKey, PublisherName, SigningKey};
use serde_json::json;

use crate::exit::{Exit, Failure, tell};
use crate::{keys, output};

use super::new_file;

/// Makes the key that a publisher signs with, and shows the line by which agents know it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus key create --into /etc/purgebus/signing.key --name publisher-1 >> publishers.pub
  purgebus key public /etc/purgebus/signing.key

The file holds the secret: name it in publisher.signing_key_file, and show it to nobody else. The line is no
secret: every agent has it in agent.trusted_keys_file.")]
pub(crate) struct Key {
    #[command(subcommand)]
    verb: KeyVerb,
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    Create(Create),
    Public(Public),
}

/// Writes a new key, and prints the line for the agents' `trusted_keys_file`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus key create --into signing.key
  purgebus key create --into signing.key --name publisher-1 >> publishers.pub
  purgebus key create --into signing.key --json | jq -r .public

Overwrites nothing.")]
struct Create {
    /// The file for the key, made for this user alone
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// Whose it is: a remark behind the key
    #[arg(long)]
    name: Option<PublisherName>,
    /// One JSON document instead of the line
    #[arg(long)]
    json: bool,
}

/// Prints the line for the agents' `trusted_keys_file` again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus key public signing.key
  purgebus key public signing.key --name publisher-1 >> publishers.pub")]
struct Public {
    /// The file of the key
    file: PathBuf,
    /// Whose it is: a remark behind the key
    #[arg(long)]
    name: Option<PublisherName>,
    /// One JSON document instead of the line
    #[arg(long)]
    json: bool,
}

impl Key {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            KeyVerb::Create(Create { into, name, json }) => {
                let key = SigningKey::generate().map_err(Failure::failed)?;
                new_file::write(&into, &key.to_pem().map_err(Failure::failed)?)?;
                tell(format_args!("wrote {}", into.display()));
                show(key.public(), name.as_ref(), json)
            }
            KeyVerb::Public(Public { file, name, json }) => {
                let key = keys::signing_key(&file);
                let key = key.map_err(|error| Failure::new(Exit::WrongUsage, error))?;
                show(key.public(), name.as_ref(), json)
            }
        }
    }
}

fn show(key: PublicKey, name: Option<&PublisherName>, json: bool) -> Result<Exit, Failure> {
    if json {
        output::json(
            &json!({"id": key.id().to_string(), "public": key.to_string(), "name": name}),
        )?;
    } else {
        let remark = name.map(|name| format!(" {name}")).unwrap_or_default();
        output::line(format_args!("{key}{remark}"))?;
    }
    Ok(Exit::Done)
}
