//! The audit trail: who did what, from where and when, in lines of which none can be changed, removed or moved unseen.
//!
//! ```text
//! routes, tokens, tracker --entries--> queue --> [ Writer: chained, one file a day ] --> verify, list, certificates
//! ```
//!
//! Publishing never waits for the trail, and goes on where the trail cannot be written: a cache that serves what was to be
//! erased is worse than a line that is missing, and the trail itself tells how many are. What humans order waits for
//! better times: nobody shall flush or drop unseen.

mod certificate;
mod chain;
mod entry;
mod files;
mod folds;
mod head;
mod line;
mod list;
mod metrics;
mod open;
mod segment;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod verify;
mod writer;

use std::path::PathBuf;

use uuid::Uuid;

pub(crate) use self::certificate::Told;
pub(crate) use self::entry::{Origin, Refusal, what_of};
pub use self::list::{AuditFilter, AuditListed};
pub(crate) use self::metrics::AuditMetrics;
pub use self::open::AuditFolder;
pub(crate) use self::open::TrailSetup;
pub(crate) use self::segment::Keep;
pub(crate) use self::tokens::{KnownToken, KnownTokens};
pub(crate) use self::trail::Trail;
pub(crate) use self::writer::AuditWriter;

/// The first line of a file.
const FILE: &str = "file";
/// Older files were let go of.
const FORGOTTEN: &str = "forgotten";
/// Lines could not be written.
const GAP: &str = "gap";

/// Why a trail cannot be written, or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk, or the folder's permissions.
    #[error("the audit trail in {} is not usable", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes it.
    #[error("the audit trail in {} is written by another process", .0.display())]
    InUse(PathBuf),
    /// It is not the trail of this journal.
    #[error(
        "{} holds the audit trail of another installation, {installation}; set publisher.audit_dir to a folder of its own",
        folder.display()
    )]
    Foreign {
        /// Where.
        folder: PathBuf,
        /// Whose.
        installation: Uuid,
    },
    /// The journal's store.
    #[error("what the journal knows of the audit trail cannot be read")]
    Store(#[source] Box<redb::Error>),
}
