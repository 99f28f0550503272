//! Opens a trail to write it, and what others need to read one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::{Clock, Condition};
use jiff::Timestamp;
use parking_lot::Mutex;
use schemas::PublisherName;
use schemas::api::{AuditVerification, Certificate};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{error, warn};
use uuid::Uuid;

use super::certificate::look;
use super::files;
use super::head::{Head, Kept};
use super::metrics::AuditMetrics;
use super::segment::{Found, Keep, Segment};
use super::trail::{QUEUE_LINES_MAX, Shared, Trail};
use super::writer::AuditWriter;
use super::{AuditError, AuditFilter, AuditListed};
use crate::blocking::blocking;
use crate::journal::JournalStore;

/// What a trail needs.
#[derive(Debug)]
pub(crate) struct TrailSetup {
    pub(crate) folder: PathBuf,
    pub(crate) publisher: PublisherName,
    pub(crate) keep: Keep,
    /// Where it is remembered where the trail ends.
    pub(crate) store: JournalStore,
    pub(crate) clock: Clock,
    pub(crate) metrics: AuditMetrics,
    /// Where it says that it cannot be written.
    pub(crate) condition: Condition,
}

impl Trail {
    /// Opens the trail in its folder, or begins one, and repairs what a crash has torn.
    pub(crate) async fn open(setup: TrailSetup) -> Result<(Self, AuditWriter), AuditError> {
        let TrailSetup { folder, publisher, keep, store, clock, metrics, condition } = setup;
        let opening = {
            let (folder, store) = (folder.clone(), store.clone());
            blocking(move || {
                let kept = Kept::load(&*store.database())
                    .map_err(|error| AuditError::Store(Box::new(error)))?;
                let (segment, found) = Segment::open(&folder, publisher, keep, kept.head)?;
                Ok((kept, segment, found))
            })
        };
        let (kept, segment, found) = opening.await?;
        let (queue, queued) = mpsc::channel(QUEUE_LINES_MAX);
        let shared = Arc::new(Shared {
            folder: folder.into(),
            clock,
            metrics,
            queue,
            queued_bytes: 0.into(),
            lost: 0.into(),
            works: true.into(),
            folds: Mutex::default(),
            head: Mutex::new(segment.head()),
            tokens: Mutex::new((kept.tokens.clone().unwrap_or_default(), true)),
        });
        let trail = Self::new(Arc::clone(&shared));
        trail.tell_now("began", &json!({"version": env!("CARGO_PKG_VERSION")}));
        trail.tell_found(found);
        Ok((trail, AuditWriter::new(shared, queued, segment, store, kept, condition)))
    }

    fn tell_found(&self, Found { torn, missing }: Found) {
        if let Some((file, bytes)) = torn {
            warn!(%file, bytes, "the end of the audit trail was torn by a crash, and is repaired");
            self.tell_now("repaired", &json!({"file": file.to_string(), "bytes": bytes}));
        }
        if let Some((first, last)) = missing {
            error!(
                first,
                last, "lines at the end of the audit trail are gone: see purgebus audit --verify"
            );
            self.tell_now("missing", &json!({"first_seq": first, "last_seq": last}));
        }
    }
}

/// A folder with a trail, to be read without its publisher.
#[derive(Debug, Clone)]
pub struct AuditFolder {
    /// Where.
    pub(super) folder: PathBuf,
    /// What others than the folder know of its end.
    pub(super) known: Vec<Head>,
}

impl AuditFolder {
    /// The trail in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, known: Vec::new() }
    }

    /// With what the journal in that folder knows of where it ends; answers whether it could be asked: a publisher that
    /// runs holds its journal. Blocks on the disk.
    pub fn ask_journal(&mut self, journal: &Path) -> bool {
        let head = JournalStore::look(journal, |database| Kept::load(database).ok()?.head);
        self.known.extend(head.flatten());
        head.is_some()
    }

    /// At most `limit` lines, from a place on. Blocks on the disk.
    pub fn list(
        &self,
        filter: &AuditFilter,
        limit: usize,
        from: Option<(u64, u64)>,
    ) -> Result<AuditListed, AuditError> {
        super::list::list(&self.folder, filter, limit, from)
            .map_err(|source| AuditError::Folder { folder: self.folder.clone(), source })
    }

    /// What the trail alone proves of an invalidation; nothing where it does not tell of its publishing. Blocks on the
    /// disk.
    pub fn certificate(&self, id: Uuid, now: Timestamp) -> Result<Option<Certificate>, AuditError> {
        let looking = || {
            let owner = files::list(&self.folder)?.first().map(|file| file.owner(&self.folder));
            let owner = owner.transpose()?.flatten();
            Ok((look(&self.folder, id)?, owner.map(|(_, publisher)| publisher).unwrap_or_default()))
        };
        let failed = |source| AuditError::Folder { folder: self.folder.clone(), source };
        let (told, publisher) = looking().map_err(failed)?;
        Ok(told.and_then(|told| told.certificate(now, publisher)))
    }

    /// Reads the whole trail, and says whether it is as it was written. Blocks on the disk.
    pub fn verify(&self) -> Result<AuditVerification, AuditError> {
        super::verify::verify(&self.folder, &self.known)
            .map_err(|source| AuditError::Folder { folder: self.folder.clone(), source })
    }
}
