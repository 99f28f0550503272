//! The audit trail, as it is listed, verified and certified.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Progress;

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLine {
    /// Its number: 1, 2, 3 without a gap.
    pub seq: u64,
    /// The hash of the line before.
    pub previous: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: `publish`, `refusal`, `auth_failure`, `flush`, `token_revoked`, ...
    pub what: String,
    /// The token's name; left out where there are no tokens, or none was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Everything else that is said about it.
    #[serde(flatten)]
    pub facts: BTreeMap<String, Value>,
    /// The SHA-256 of the line up to here.
    pub hash: String,
}

/// Answer to `GET /v1/audit/verification`: whether every line of the trail is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerification {
    /// Whether it is.
    pub intact: bool,
    /// Which installation's trail it is.
    pub installation: Option<Uuid>,
    /// The publisher whose acts it tells.
    pub publisher: Option<String>,
    /// How many files were read.
    pub files: u64,
    /// How many lines were found to be as they were written, before the first that is not.
    pub lines: u64,
    /// The oldest of them.
    pub oldest: Option<AuditPlace>,
    /// The newest of them. Whoever keeps its hash elsewhere can tell later that nobody has written the trail anew.
    pub newest: Option<AuditPlace>,
    /// Lines that could not be written when they should have been, as the trail itself tells.
    pub lost: u64,
    /// The last line is not whole: it is being written, or its writer was killed, and mends it at its next start.
    pub unfinished: bool,
    /// The first that is not as it was written.
    pub finding: Option<AuditFinding>,
}

/// A line's place in the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditPlace {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// The file that it stands in.
    pub file: String,
}

/// The first thing in a trail that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFinding {
    /// What was done to it.
    pub kind: AuditFault,
    /// The file.
    pub file: String,
    /// The line of the file, from 1; 0 where it is about the whole file.
    pub line: u64,
    /// The number of the line of the trail.
    pub seq: Option<u64>,
    /// What is wrong, for humans.
    pub detail: String,
}

/// What was done to a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFault {
    /// A line is not as it was written.
    Changed,
    /// Lines, or whole files, are gone.
    Removed,
    /// Lines stand in another order, or twice.
    Reordered,
    /// The end is gone.
    CutOff,
    /// A file of another installation lies among the others.
    Foreign,
    /// What tells where the trail ends is gone or damaged.
    NoHead,
}

/// Answer to `GET /v1/audit/certificates/{id}`: what was purged for whom, where and when, and how that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// By which publisher.
    pub issued_by: String,
    /// Whether every cache that owes it has finished it: only then is it proof of erasure.
    pub complete: bool,
    /// How it is known.
    pub evidence: Evidence,
    /// Where in the trail its publishing stands; null where this publisher's trail does not tell it.
    pub published: Option<AuditPlace>,
    /// Up to where the trail was read for it.
    pub read_to: Option<AuditPlace>,
    /// That line of the trail, as it was written: who, from where, which selectors, why.
    pub record: Option<Value>,
    /// Every region and cache with time and outcome; who is missing, by name.
    pub progress: Progress,
}

/// How what a certificate says is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// From the publisher's tracker, which still has every detail.
    Tracker,
    /// From the audit trail alone.
    Trail,
}
