//! A certificate as people read it, and file it.

use jiff::{SignedDuration, Timestamp};
use schemas::api::{AuditPlace, CacheProgress, Certificate, Evidence, Missing, RegionProgress};
use serde_json::Value;

use crate::exit::Failure;
use crate::output;

/// What the line of its publishing tells, in this order.
const TOLD: [&str; 5] = ["who", "from", "reason", "labels", "selectors_sha256"];

pub(super) fn show(certificate: &Certificate) -> Result<(), Failure> {
    let Certificate { complete, progress, .. } = certificate;
    let facts = &progress.facts;
    let verdict = if *complete {
        "every cache that owes it has finished it, later passes included"
    } else {
        "NOT COMPLETE: this is no proof of erasure yet"
    };
    output::line(format!("certificate of {}: {verdict}", facts.id))?;
    output::line(format!("site {}, {} {}", facts.site, facts.priority, facts.mode.as_str()))?;
    output::line(format!("published at {}", facts.published_at))?;
    record(certificate.record.as_ref())?;
    place("publishing stands in the audit trail", certificate.published.as_ref())?;
    place("the trail was read up to", certificate.read_to.as_ref())?;
    regions(&progress.regions, facts.published_at)?;
    for Missing { region, agent, cache, reason, since } in &progress.missing {
        let since = since.map(|since| format!(", since {since:.0}")).unwrap_or_default();
        output::line(format!("missing: {region} {agent} {cache}: {reason}{since}"))?;
    }
    let evidence = match certificate.evidence {
        Evidence::Trail => {
            "the audit trail alone; purgebus audit --verify proves that it was not touched"
        }
        Evidence::Tracker => {
            "the publisher's tracker; a second after it is final, the audit trail alone"
        }
    };
    let Certificate { issued_at, issued_by, .. } = certificate;
    output::line(format!("issued at {issued_at:.0} by {issued_by}, from {evidence}"))
}

fn record(record: Option<&Value>) -> Result<(), Failure> {
    let Some(record) = record else { return Ok(()) };
    for name in TOLD {
        if let Some(told) = record.get(name) {
            output::line(format!(
                "{name}: {}",
                told.as_str().map_or_else(|| told.to_string(), str::to_owned)
            ))?;
        }
    }
    let selectors = record["selectors"].as_array().into_iter().flatten();
    selectors
        .filter_map(Value::as_str)
        .try_for_each(|selector| output::line(format!("  {selector}")))
}

fn regions(regions: &[RegionProgress], published_at: Timestamp) -> Result<(), Failure> {
    let after = |ms: Option<f64>| {
        let at = ms.and_then(|ms| {
            let span = SignedDuration::try_from_secs_f64(ms / 1_000.0).ok()?;
            published_at.checked_add(span).ok()
        });
        at.map_or_else(output::dash, |at| format!("{at:.3}"))
    };
    let mut table = output::table(["REGION", "AGENT", "CACHE", "OUTCOME", "PURGED BY", "FINAL BY"]);
    for RegionProgress { region, caches, .. } in regions {
        for CacheProgress { agent, cache, outcome, settled_ms, final_ms, .. } in caches {
            table.add_row([
                region.to_string(),
                agent.to_string(),
                cache.to_string(),
                outcome.map_or_else(output::dash, |outcome| outcome.as_str().to_owned()),
                after(*settled_ms),
                after(*final_ms),
            ]);
        }
        if caches.is_empty() {
            table.add_row([region.as_str(), "nobody is registered"]);
        }
    }
    output::show(&table)
}

fn place(what: &str, place: Option<&AuditPlace>) -> Result<(), Failure> {
    let Some(AuditPlace { seq, hash, file, .. }) = place else { return Ok(()) };
    output::line(format!("{what}: line {seq} in {file}, {hash}"))
}
