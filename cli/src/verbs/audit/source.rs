//! Where a trail is read: at its publisher, or in its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::Clock;
use humantime_serde::re::humantime;
use jiff::Timestamp;
use publisher::{AuditFilter, AuditFolder};
use reqwest::Url;
use schemas::api::{AuditVerification, Certificate, Page};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::client::{Client, understand};
use crate::config::{Config, Role};
use crate::exit::{Exit, Failure, tell};

use super::super::ANSWER_WAIT;
use super::super::asking::Asking;

/// Longest wait until the publisher has read its whole trail.
const VERIFY_WAIT: Duration = Duration::from_secs(150);
/// Lines asked for at once.
const PAGE_LINES: usize = 200;

/// Where it is read.
#[derive(Debug)]
pub(super) enum Source {
    Publisher(Client),
    Folder(AuditFolder),
}

/// Which lines.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) since: String,
    pub(super) until: Option<String>,
    pub(super) who: Option<String>,
    pub(super) what: Option<String>,
}

/// Where a page begins.
#[derive(Debug)]
pub(super) enum Place {
    Cursor(String),
    Offset((u64, u64)),
}

impl Source {
    pub(super) fn of(
        config: Option<PathBuf>,
        dir: Option<PathBuf>,
        asking: &Asking,
    ) -> Result<Self, Failure> {
        match (config, dir) {
            (Some(config), _) => Ok(Self::Folder(configured(&config)?)),
            (None, Some(dir)) => Ok(Self::Folder(AuditFolder::new(dir))),
            (None, None) => Ok(Self::Publisher(asking.client()?)),
        }
    }

    pub(super) async fn verify(&self) -> Result<AuditVerification, Failure> {
        match self {
            Self::Publisher(client) => {
                Ok(understand(client.get("/v1/audit/verification", VERIFY_WAIT).await?)?)
            }
            Self::Folder(folder) => {
                let folder = folder.clone();
                let verifying = tokio::task::spawn_blocking(move || folder.verify());
                verifying.await.map_err(Failure::failed)?.map_err(Failure::failed)
            }
        }
    }

    pub(super) async fn certificate(&self, id: Uuid) -> Result<Certificate, Failure> {
        match self {
            Self::Publisher(client) => {
                let path = format!("/v1/audit/certificates/{id}");
                Ok(understand(client.get(&path, VERIFY_WAIT).await?)?)
            }
            Self::Folder(folder) => {
                let (folder, now) = (folder.clone(), Clock::system().now());
                let looking = tokio::task::spawn_blocking(move || folder.certificate(id, now));
                let found = looking.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
                found.ok_or_else(|| {
                    let message = format!(
                        "this trail does not tell that {id} was published, or not where it went"
                    );
                    Failure::message(Exit::Failed, message)
                })
            }
        }
    }

    /// A page of lines as they were written, and where the next begins.
    pub(super) async fn page(
        &self,
        wanted: &Wanted,
        from: Option<Place>,
    ) -> Result<(Vec<Box<RawValue>>, Option<Place>), Failure> {
        match self {
            Self::Publisher(client) => {
                let page: Page<Box<RawValue>> =
                    client.get_as(&wanted.path(from), ANSWER_WAIT).await?;
                Ok((page.items, page.next_cursor.map(Place::Cursor)))
            }
            Self::Folder(folder) => {
                let offset = match from {
                    Some(Place::Offset(offset)) => Some(offset),
                    _ => None,
                };
                let (folder, filter) = (folder.clone(), wanted.filter()?);
                let listing =
                    tokio::task::spawn_blocking(move || folder.list(&filter, PAGE_LINES, offset));
                let listed = listing.await.map_err(Failure::failed)?.map_err(Failure::failed)?;
                Ok((listed.lines, listed.next.map(Place::Offset)))
            }
        }
    }
}

impl Wanted {
    fn path(&self, from: Option<Place>) -> String {
        let Self { since, until, who, what } = self;
        let (limit, cursor) = (
            PAGE_LINES.to_string(),
            match from {
                Some(Place::Cursor(cursor)) => Some(cursor),
                _ => None,
            },
        );
        let mut url = Url::parse("http://audit/v1/audit").expect("it is one");
        let given = [
            ("since", Some(since.as_str())),
            ("until", until.as_deref()),
            ("who", who.as_deref()),
            ("what", what.as_deref()),
            ("limit", Some(limit.as_str())),
            ("cursor", cursor.as_deref()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        url.query_pairs_mut().extend_pairs(given);
        format!("{}?{}", url.path(), url.query().unwrap_or_default())
    }

    fn filter(&self) -> Result<AuditFilter, Failure> {
        let Self { since, until, who, what } = self;
        let until = until.as_deref().map(|until| moment("--until", until)).transpose()?;
        let (who, what) = (who.clone(), what.clone());
        Ok(AuditFilter { since: Some(moment("--since", since)?), until, who, what })
    }
}

fn moment(flag: &str, text: &str) -> Result<Timestamp, Failure> {
    let ago = |text: &str| {
        let ago: humantime::Duration = text.parse().ok()?;
        Clock::system().now().checked_sub(Duration::from(ago)).ok()
    };
    text.parse().ok().or_else(|| ago(text)).ok_or_else(|| {
        let message = format!(
            "{flag} {text:?} is neither a time such as 2026-03-01T12:00:00Z nor 15m for so long ago"
        );
        Failure::message(Exit::WrongUsage, message)
    })
}

/// The trail of the publisher that a file configures, and what its journal knows of it.
fn configured(file: &Path) -> Result<AuditFolder, Failure> {
    let config =
        Config::load(file, &Config::environment(), Some(Role::Publisher)).or_else(|_| {
            Config::load(file, &Config::environment(), None)
                .map_err(|mistakes| Failure::message(Exit::WrongUsage, mistakes.lines().join("\n")))
        })?;
    let publisher = config.publisher.ok_or_else(|| {
        Failure::message(
            Exit::WrongUsage,
            "this configuration has no [publisher]: it keeps no trail",
        )
    })?;
    let journal = publisher.config.journal.clone();
    let folder = publisher.config.audit_dir.ok_or_else(|| {
        Failure::message(
            Exit::WrongUsage,
            "this configuration has publisher.unaudited = true: it keeps no trail",
        )
    })?;
    let mut folder = AuditFolder::new(folder);
    if !folder.ask_journal(&journal) {
        tell(
            "the journal is in use, or was not closed in order: of where the trail ends, head.json alone tells",
        );
    }
    Ok(folder)
}
