//! What lines say, but for their place in the chain. Never a secret: no header and no query of a request without a
//! valid token is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jiff::Timestamp;
use schemas::api::Durable;
use schemas::{
    AgentName, CacheName, Gate, Invalidation, Mode, Place, Priority, Region, Selector,
    SelectorKind, SiteName,
};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::trail::Trail;
use crate::journal::{Receipt, Refusal as Rejected};
use crate::problem::Kind;
use crate::tracker::count_by_kind;

/// Most bytes of selectors in one line; beyond them, a digest of all stands for the rest.
const SELECTOR_BYTES_MAX: usize = 48 << 10;
/// A line of one selector is hardly longer.
const LINE_BYTES: usize = 768;

/// Who asks, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The token's name; empty for anyone.
    pub(crate) who: &'a str,
    /// The socket's peer; none for those who publish in this process.
    pub(crate) from: Option<SocketAddr>,
    /// Whom its client certificate names.
    pub(crate) certificate: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// Whoever publishes in this process.
    pub(crate) fn inside(who: &'a str) -> Self {
        Self { who, from: None, certificate: None }
    }

    /// Tells it, where it is known.
    pub(crate) fn add_to(&self, facts: &mut serde_json::Value) {
        let Self { who, from, certificate } = *self;
        if !who.is_empty() {
            facts["who"] = who.into();
        }
        if let Some(from) = from {
            facts["from"] = from.to_string().into();
        }
        if let Some(certificate) = certificate {
            facts["certificate"] = certificate.into();
        }
    }
}

/// A request that was refused.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) kind: &'static str,
    /// Method and path.
    pub(crate) request: String,
    /// Everything else that is known of it.
    pub(crate) facts: serde_json::Value,
}

/// An invalidation on its way into the journal. If nobody waits for what becomes of it, it is told all the same.
#[derive(Debug)]
pub(crate) struct Publishing<'a> {
    trail: &'a Trail,
    /// Its line, but for its end; empty once it is told.
    line: Vec<u8>,
    origin: Origin<'a>,
    at: Timestamp,
}

#[derive(Serialize)]
struct Published<'a> {
    at: Timestamp,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "str::is_empty")]
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    site: &'a SiteName,
    mode: Mode,
    priority: Priority,
    kinds: BTreeSet<SelectorKind>,
    counts: BTreeMap<String, usize>,
    selectors: Selectors<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selectors_sha256: Option<String>,
    regions: Option<&'a BTreeSet<Region>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    agents: &'a BTreeSet<AgentName>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    caches: &'a BTreeSet<CacheName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a Gate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

/// How many selectors of a request fit into a line.
#[derive(Clone, Copy)]
struct Selectors<'a>(&'a [Selector]);

impl<'a> Selectors<'a> {
    /// Those that fit, and a digest of all where some do not.
    fn fitting(all: &'a [Selector]) -> (Self, Option<String>) {
        let text = |selector: &Selector| selector.to_string();
        // Nothing a selector says is longer than what it is written as; JSON may double it.
        let mut bytes = 0;
        let fits = all.iter().take_while(|selector| {
            bytes += 2 * text(selector).len() + 3;
            bytes <= SELECTOR_BYTES_MAX
        });
        let count = if all.len() == 1 { 1 } else { fits.count() };
        let digest = (count < all.len()).then(|| {
            let mut digest = Sha256::new();
            for selector in all {
                digest.update(text(selector));
                digest.update("\n");
            }
            super::line::Hash(digest.finalize().into()).to_string()
        });
        (Self(&all[..count]), digest)
    }
}

impl Serialize for Selectors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for selector in self.0 {
            sequence.serialize_element(&Shown(selector))?;
        }
        sequence.end()
    }
}

/// A selector as it is shown.
struct Shown<'a>(&'a Selector);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl<'a> Publishing<'a> {
    /// Writes down what is about to be published; `regions` are those that its site or itself names.
    pub(super) fn new(
        trail: &'a Trail,
        origin: Origin<'a>,
        invalidation: &Invalidation,
        regions: Option<&BTreeSet<Region>>,
    ) -> Self {
        let (selectors, selectors_sha256) = Selectors::fitting(&invalidation.selectors);
        let at = invalidation.accepted_at;
        let published = Published {
            at,
            what: PUBLISH,
            id: Some(invalidation.id),
            who: origin.who,
            from: origin.from,
            certificate: origin.certificate,
            site: &invalidation.site,
            mode: invalidation.mode,
            priority: invalidation.priority,
            kinds: invalidation.selectors.iter().map(Selector::kind).collect(),
            counts: count_by_kind(&invalidation.selectors),
            selectors,
            selectors_sha256,
            regions,
            agents: &invalidation.recipients.agents,
            caches: &invalidation.recipients.caches,
            replay_of: invalidation.origin,
            expires_in_seconds: invalidation.expires_in.map(|age| age.as_secs_f64()),
            after: invalidation.after.as_ref(),
            reason: invalidation.reason.as_deref(),
            labels: &invalidation.labels,
        };
        let mut line = Vec::with_capacity(LINE_BYTES);
        let is_whole = serde_json::to_writer(&mut line, &published).is_ok();
        // Its end is known when the journal has answered.
        line.truncate(if is_whole { line.len() - 1 } else { 0 });
        Self { trail, line, origin, at }
    }

    /// It has its place.
    fn accepted(mut self, place: Place, durable: Durable) {
        let Place { line, number } = place;
        let durable = if durable == Durable::Broker { "broker" } else { "journal" };
        self.end(&format!(",\"line\":\"{line}\",\"number\":{number},\"durable\":\"{durable}\"}}"));
    }

    /// It was the repetition of a request that had become this one.
    fn repeated(mut self, id: Uuid) {
        self.line.clear();
        let mut facts = serde_json::json!({"id": id, "repeated": true});
        self.origin.add_to(&mut facts);
        self.trail.tell(self.at, PUBLISH, &facts);
    }

    /// What became of it: `id` is its own, which a repetition does not get.
    pub(crate) fn tell(mut self, id: Uuid, accepted: &Result<Receipt, Rejected>) {
        match accepted {
            Ok(receipt) if receipt.id == id => self.accepted(receipt.place, receipt.durable),
            Ok(receipt) => self.repeated(receipt.id),
            // It may land yet: the line says that nobody knows.
            Err(Rejected::Stopping | Rejected::DiskFull) => {}
            Err(_) => self.line.clear(),
        }
    }

    fn end(&mut self, end: &str) {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end.as_bytes());
        self.trail.push(line);
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end(",\"outcome\":\"unknown: the caller left, or the journal ended, before it was told\"}");
        }
    }
}

/// An invalidation was accepted.
pub(crate) const PUBLISH: &str = "publish";

/// What a refusal of that kind is called in the trail.
pub(crate) fn what_of(kind: &str) -> &'static str {
    if kind == Kind::Unauthorized.facts().1 { "auth_failure" } else { "refusal" }
}
