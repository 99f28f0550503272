//! Reads the audit trail for those who ask.

use schemas::api::{AuditVerification, Certificate, Evidence, ProgressState};
use uuid::Uuid;

use super::{PublisherHandle, StatusError};
use crate::audit::{AuditError, AuditFilter, AuditListed, Told};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The trail cannot be read.
    #[error("the audit trail cannot be read")]
    Audit(#[from] AuditError),
    /// How far it has come is not known.
    #[error("how far it has come is not known")]
    Status(#[from] StatusError),
}

impl PublisherHandle {
    /// At most `limit` lines of the trail, from a place on; `None` where there is no trail.
    pub(crate) async fn audit_lines(
        &self,
        filter: AuditFilter,
        limit: usize,
        from: Option<(u64, u64)>,
    ) -> Result<Option<AuditListed>, AuditError> {
        let turn = self.0.lists.acquire().await;
        let listed = self.0.trail.list(filter, limit, from).await;
        drop(turn);
        listed
    }

    /// What was purged for whom, where and when: from the trail where that proves it, else from the tracker; `None`
    /// where neither knows of it.
    pub(crate) async fn certificate(
        &self,
        id: Uuid,
    ) -> Result<Option<Certificate>, CertificateError> {
        let turn = self.0.lists.acquire().await;
        let told = self.0.trail.look(id).await?;
        drop(turn);
        let (now, issued_by) = (self.now(), self.0.journal.publisher().to_string());
        if told.as_ref().is_some_and(Told::is_final) {
            return Ok(told.and_then(|told| told.certificate(now, issued_by)));
        }
        let Some(progress) = self.progress(id).await? else {
            return Ok(told.and_then(|told| told.certificate(now, issued_by)));
        };
        let (published, record) = told.map(|told| (told.published, told.record)).unzip();
        Ok(Some(Certificate {
            issued_at: now,
            issued_by,
            complete: progress.state == ProgressState::Final,
            evidence: Evidence::Tracker,
            published,
            read_to: None,
            record,
            progress,
        }))
    }

    /// Reads the whole trail, one asker at a time; `None` where there is none.
    pub(crate) async fn verify_audit(&self) -> Result<Option<AuditVerification>, AuditError> {
        let turn = self.0.verifying.acquire().await;
        let verified = self.0.trail.verify().await;
        drop(turn);
        verified
    }
}
