//! How far an invalidation has come, for people to read.

use comfy_table::Cell;
use schemas::api::{CacheProgress, Clock, Missing, Progress};

use crate::exit::Failure;
use crate::output;

/// What it is, where it stands in every region, and who is missing.
pub(super) fn show(progress: &Progress) -> Result<(), Failure> {
    let facts = &progress.facts;
    let selectors: Vec<_> =
        facts.selectors.iter().map(|(kind, count)| counted(*count, kind)).collect();
    output::line(format!(
        "{} of {}: {}, {}, {}; published {}",
        facts.id,
        facts.site,
        selectors.join(", "),
        facts.mode.as_str(),
        facts.priority,
        facts.published_at,
    ))?;
    if progress.clock == Clock::Two {
        output::line("accepted by another publisher: times are the difference of two clocks")?;
    }
    regions(progress)?;
    progress.missing.iter().try_for_each(missing)
}

fn regions(progress: &Progress) -> Result<(), Failure> {
    let mut table = output::table([
        "REGION", "STATE", "AGENT", "CACHE", "OUTCOME", "APPLIED", "FINAL", "ERROR",
    ]);
    table.add_row([
        Cell::new("all"),
        output::state(progress.state),
        "".into(),
        "".into(),
        "".into(),
        output::maybe_milliseconds(progress.applied_ms).into(),
        output::maybe_milliseconds(progress.final_ms).into(),
        "".into(),
    ]);
    for region in &progress.regions {
        let head = [region.region.to_string().into(), output::state(region.state)];
        if region.caches.is_empty() {
            table.add_row(head.clone());
        }
        for cache in &region.caches {
            table.add_row(head.iter().cloned().chain(cells(cache)));
        }
    }
    output::show(&table)
}

fn cells(cache: &CacheProgress) -> [Cell; 6] {
    let outcome = cache.outcome.map_or("-".to_owned(), |outcome| outcome.as_str().to_owned());
    [
        cache.agent.to_string().into(),
        cache.cache.to_string().into(),
        outcome.into(),
        output::maybe_milliseconds(cache.settled_ms).into(),
        output::maybe_milliseconds(cache.final_ms).into(),
        cache.error.clone().unwrap_or_default().into(),
    ]
}

fn missing(missing: &Missing) -> Result<(), Failure> {
    let Missing { region, agent, cache, reason, since } = missing;
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    output::line(format!("missing: {region}/{agent}/{cache}: {reason}{since}"))
}

/// `1 url`, `2 urls`: the API's words are plurals.
fn counted(count: usize, kind: &str) -> String {
    let singular = match kind {
        "prefixes" => "prefix",
        kind => kind.strip_suffix('s').unwrap_or(kind),
    };
    match (count, kind) {
        (_, "everything") => kind.to_owned(),
        (1, _) => format!("1 {singular}"),
        _ => format!("{count} {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_told_in_the_singular() {
        assert_eq!(counted(1, "urls"), "1 url");
        assert_eq!(counted(1, "prefixes"), "1 prefix");
        assert_eq!(counted(2, "tags"), "2 tags");
        assert_eq!(counted(1, "everything"), "everything");
    }
}
