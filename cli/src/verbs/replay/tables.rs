//! Replays as tables.

use std::collections::BTreeMap;

use schemas::api::{Replay, ReplayCounts, ReplayDryRun, ReplayFilter, ReplaySample};

use crate::exit::Failure;
use crate::output;

/// What would be published again.
pub(super) fn dry_run(shown: &ReplayDryRun) -> Result<(), Failure> {
    let ReplayDryRun { filter, counts, complete, held_since, sample, .. } = shown;
    if counts.matched == 0 && *complete {
        output::line(format!("nothing to publish again {}", about(filter)))?;
    } else {
        let at_least = if *complete { "" } else { "at least " };
        let matched = counts.matched;
        output::line(format!("{at_least}{matched} to publish again {}", about(filter)))?;
    }
    table(counts)?;
    samples(sample)?;
    if let Some(since) = held_since {
        output::line(format!("the log holds what it took since {since:.0}"))?;
    }
    Ok(())
}

/// How one stands.
pub(super) fn replay(replay: &Replay) -> Result<(), Failure> {
    let Replay { id, state, filter, counts, published, read, to_read, .. } = replay;
    let state = state.as_str();
    output::line(format!("{id}: {state}; {published} published again {}", about(filter)))?;
    output::line(format!("{read} of {to_read} messages of the log read"))?;
    for (what, why) in [("waits", &replay.waits), ("error", &replay.error)] {
        if let Some(why) = why {
            output::line(format!("{what}: {why}"))?;
        }
    }
    table(counts)
}

fn about(filter: &ReplayFilter) -> String {
    let ReplayFilter { since, until, site, tag, url_prefix, region, agent, cache, .. } = filter;
    let mut words = vec![format!("of {since:.0} to {until:.0}")];
    let mut add = |word: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{word} {value}")));
    };
    add("of site", site.as_ref().map(ToString::to_string));
    add("naming tag", tag.as_ref().map(ToString::to_string));
    add("below", url_prefix.clone());
    add(if filter.missed { "missed by" } else { "for" }, region.as_ref().map(ToString::to_string));
    add("for agent", agent.as_ref().map(ToString::to_string));
    add("for cache", cache.as_ref().map(ToString::to_string));
    words.join(" ")
}

fn table(counts: &ReplayCounts) -> Result<(), Failure> {
    let left_out = counts.left_out;
    let left_out = [
        ("replays of these", left_out.replays),
        ("expired", left_out.expired),
        ("not believed", left_out.unbelieved),
        ("lateness not known", left_out.lateness_unknown),
    ];
    let left_out = left_out.map(|(name, count)| (name.to_owned(), count)).into();
    let mut table = output::table(["BY", "NAME", "COUNT"]);
    for (by, counts) in [
        ("site", &counts.sites),
        ("selector", &counts.selectors),
        ("region", &counts.regions),
        ("left out", &left_out),
    ] {
        let counts: &BTreeMap<String, u64> = counts;
        for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
            table.add_row([by.to_owned(), name.clone(), count.to_string()]);
        }
    }
    if table.is_empty() { Ok(()) } else { output::show(&table) }
}

fn samples(samples: &[ReplaySample]) -> Result<(), Failure> {
    if samples.is_empty() {
        return Ok(());
    }
    let mut table = output::table(["ID", "PUBLISHED", "SITE", "PRIORITY", "SELECTORS"]);
    for sample in samples {
        table.add_row([
            sample.id.to_string(),
            sample.published_at.to_string(),
            sample.site.to_string(),
            sample.priority.to_string(),
            sample.selectors.join(", "),
        ]);
    }
    output::show(&table)
}
