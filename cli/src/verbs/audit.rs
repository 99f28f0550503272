//! `purgebus audit`: who did what, whether the trail of it is as it was written, and proof that something was purged.

mod certificate;
mod source;
mod tables;

use std::path::PathBuf;

use clap::Args;
use uuid::Uuid;

use self::source::{Source, Wanted};
use crate::exit::{Exit, Failure};
use crate::output;

use super::asking::Asking;

/// Shows the audit trail; verifies it; certifies that an invalidation was purged everywhere
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  purgebus audit --since 1h
  purgebus audit --since 2026-03-01T00:00:00Z --what flush --json
  purgebus audit --verify
  purgebus audit --verify -c /etc/purgebus/publisher.toml   # without the publisher
  purgebus audit --verify --dir /mnt/backup/audit
  purgebus audit --certificate 0199c5a2-7c1e-7c3e-9d0e-0f6c3f0f3a55 > erased.txt

Each publisher keeps the trail of its own acts: ask each one. --verify exits 1 where the trail is not as it was written,
and names the first line that is not. A hash of the newest line that is kept elsewhere proves later that nobody wrote the
whole trail anew.")]
pub(crate) struct Audit {
    /// From then on: a time such as 2026-03-01T12:00:00Z, or 15m ago
    #[arg(long, value_name = "TIME", default_value = "24h", conflicts_with = "verify")]
    since: String,
    /// Up to then
    #[arg(long, value_name = "TIME", conflicts_with = "verify")]
    until: Option<String>,
    /// Done with the token of this name
    #[arg(long, value_name = "NAME", conflicts_with = "verify")]
    who: Option<String>,
    /// Of this kind: publish, refusal, `auth_failure`, flush, `dead_letters`, retire, `token_revoked`, ...
    #[arg(long, value_name = "KIND", conflicts_with = "verify")]
    what: Option<String>,
    /// Reads the whole trail, and names the first line that was changed, removed or moved
    #[arg(long)]
    verify: bool,
    /// Prints every region and cache with time and outcome, for one invalidation; exits 1 while some are missing
    #[arg(long, value_name = "ID", conflicts_with_all = ["verify", "since", "until", "who", "what"])]
    certificate: Option<Uuid>,
    /// Reads the trail that this configuration names, without asking the publisher
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Reads the trail in this folder, without asking the publisher
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

impl Audit {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let Self { since, until, who, what, verify, certificate, config, dir, asking } = self;
        let source = Source::of(config, dir, &asking)?;
        if verify {
            let verified = source.verify().await?;
            let intact = verified.intact;
            asking.tell(
                serde_json::to_value(&verified).map_err(Failure::failed)?,
                tables::verified,
            )?;
            return Ok(if intact { Exit::Done } else { Exit::Failed });
        }
        if let Some(id) = certificate {
            let certificate = source.certificate(id).await?;
            let complete = certificate.complete;
            let told = serde_json::to_value(&certificate).map_err(Failure::failed)?;
            asking.tell(told, certificate::show)?;
            return Ok(if complete { Exit::Done } else { Exit::Failed });
        }
        let wanted = Wanted { since, until, who, what };
        let mut next = None;
        let mut table = tables::Lines::default();
        loop {
            let (lines, following) = source.page(&wanted, next).await?;
            for line in &lines {
                if asking.wants_json() {
                    output::line(line.get())?;
                } else {
                    table.add(line)?;
                }
            }
            table.show()?;
            if following.is_none() {
                return Ok(Exit::Done);
            }
            next = following;
        }
    }
}
