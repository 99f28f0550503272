//! What is new is flushed, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::Bounds;
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::{Audience, Cursor, Host, LineId, ResumeHint, Site, SiteName, Sites};

use super::super::{Machine, Purpose, samples};
use crate::Moment;
use crate::config::LaneConfig;
use crate::driver::Fetches;
use crate::flush::Cause;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
const TEMPLATES: [&str; 3] = ["keys.key={site}:{key}", "keys.tag=tag:{tag}", "keys.url=p:{path}"];

/// What an agent is configured for, or a cursor knows: each site with its hosts, and the parts of the cache.
type Configuration = (BTreeMap<SiteName, BTreeSet<Host>>, BTreeSet<String>);

fn configuration(sites: &[(&str, &[&str])], parts: &[&str]) -> Configuration {
    let hosts = |hosts: &[&str]| hosts.iter().map(|host| host.parse().expect("a host")).collect();
    let sites = sites.iter().map(|(site, of)| (site.parse().expect("a name"), hosts(of))).collect();
    (sites, parts.iter().map(ToString::to_string).collect())
}

fn purpose((sites, parts): &Configuration) -> Purpose {
    let site = |(name, hosts): (&SiteName, &BTreeSet<Host>)| Site {
        name: name.clone(),
        hosts: hosts.clone(),
        regions: Audience::All,
    };
    Purpose {
        sites: Arc::new(Sites::new(sites.iter().map(site))),
        parts: parts.clone(),
        ..samples::purpose(LaneConfig::default(), vec![SECOND])
    }
}

/// The cursor of a lane with that configuration, left off at the beginning of time.
fn cursor(of: &Configuration) -> Cursor {
    let rng = fastrand::Rng::with_seed(1);
    let lane = Machine::new(purpose(of), None, None, rng, Moment::ZERO);
    let hints = vec![ResumeHint { partition: 0, position: 7, time: Timestamp::UNIX_EPOCH }];
    Cursor { hints, ..lane.cursor() }
}

fn lane(now: &Configuration, then: &Cursor) -> Machine {
    let rng = fastrand::Rng::with_seed(1);
    let mut lane = Machine::new(purpose(now), Some(then), None, rng, Moment::ZERO);
    lane.begin(&Bounds::new(), Timestamp::UNIX_EPOCH, Moment::ZERO);
    lane
}

/// Everything that the lane purges until `now`, as `site: selector part`.
fn purges(lane: &mut Machine, now: Moment) -> Vec<String> {
    let mut purges = Vec::new();
    lane.tick(now);
    while let Some(job) = lane.take(now) {
        purges.extend(job.batch.purges.iter().map(|purge| {
            let part = purge.part.as_deref().unwrap_or("");
            format!("{}: {} {part}", purge.site, purge.selector).trim_end().to_owned()
        }));
        lane.done(job.id, Ok(Fetches::Unfenced), now);
        lane.tick(now);
    }
    purges.sort();
    purges
}

#[test]
fn a_template_that_is_new_is_flushed_alone_and_a_new_site_as_a_whole() {
    let before = configuration(&[("main", &["a.com"]), ("shop", &[])], &TEMPLATES[..1]);
    let after =
        configuration(&[("main", &["a.com"]), ("shop", &[]), ("third", &[])], &TEMPLATES[..2]);
    let mut lane = lane(&after, &cursor(&before));
    lane.able(samples::abilities(100), Moment::ZERO);
    let expected = [
        "main: everything keys.tag=tag:{tag}",
        "shop: everything keys.tag=tag:{tag}",
        "third: everything",
    ];
    assert_eq!(purges(&mut lane, Moment::ZERO), expected);
    assert!(!lane.has_cursor(), "a crash before the last pass flushes again");
    assert_eq!(purges(&mut lane, 2 * SECOND), expected, "the last pass");
    assert!(lane.has_cursor());
    assert_eq!(lane.cursor().parts, after.1);
    assert_eq!(purges(&mut lane, 90 * SECOND), [""; 0]);
}

#[test]
fn another_instance_is_flushed_alone_unless_it_starts_empty() {
    let instances = ["instance=a:80", "instance=b:80"];
    let before = configuration(&[("main", &[])], &instances[..1]);
    let after = configuration(&[("main", &[])], &[instances[0], instances[1], TEMPLATES[0]]);
    for (starts_empty, new) in [(false, &[instances[1], TEMPLATES[0]][..]), (true, &TEMPLATES[..1])]
    {
        let config = LaneConfig { starts_empty, ..LaneConfig::default() };
        let (purpose, then) = (Purpose { config, ..purpose(&after) }, cursor(&before));
        let rng = fastrand::Rng::with_seed(1);
        let lane = Machine::new(purpose, Some(&then), None, rng, Moment::ZERO);
        let extent = lane.new_since(&then);
        let parts: Vec<_> = extent.parts.iter().map(|(_, part)| &**part).collect();
        assert_eq!((extent.sites, extent.hosts, parts), (Vec::new(), Vec::new(), new.to_vec()));
    }
}

/// After so long the agent hears the log again.
fn hear_after(lane: &mut Machine, away: Duration) {
    let heartbeat = samples::heartbeat(vec![(LineId::from_bytes([3; 16]), 0)]);
    let at = samples::located(7, Timestamp::UNIX_EPOCH + away);
    lane.hear(heartbeat, at, Moment::ZERO).expect("fit to be heard");
}

#[test]
fn who_was_away_too_flushes_all_though_a_part_is_due_or_under_way() {
    let before = configuration(&[("main", &[])], &TEMPLATES[..1]);
    let after = configuration(&[("main", &[])], &TEMPLATES[..2]);
    let (part, all) = ("main: everything keys.tag=tag:{tag}", "main: everything");

    let mut due = lane(&after, &cursor(&before));
    hear_after(&mut due, 9 * DAY);
    assert_eq!(due.flush_cause(), Some(Cause::Away));
    due.able(samples::abilities(100), Moment::ZERO);
    assert_eq!(purges(&mut due, Moment::ZERO), [all]);

    let mut under_way = lane(&after, &cursor(&before));
    under_way.able(samples::abilities(100), Moment::ZERO);
    under_way.tick(Moment::ZERO);
    let job = under_way.take(Moment::ZERO).expect("the part");
    hear_after(&mut under_way, 9 * DAY);
    under_way.done(job.id, Ok(Fetches::Unfenced), Moment::ZERO);
    assert_eq!(purges(&mut under_way, Moment::ZERO), [all]);
    assert_eq!(purges(&mut under_way, 2 * SECOND), [all, part]);
    assert!(under_way.has_cursor());
}

fn any_configuration() -> impl Strategy<Value = Configuration> {
    let hosts = prop::sample::subsequence(vec!["a.com", "b.com"], 0..=2);
    let sites =
        prop::collection::btree_map(prop::sample::select(vec!["main", "shop"]), hosts, 0..3);
    let parts = prop::sample::subsequence(TEMPLATES.to_vec(), 0..=3);
    (sites, parts).prop_map(|(sites, parts)| {
        let sites: Vec<_> = sites.iter().map(|(site, hosts)| (*site, &hosts[..])).collect();
        configuration(&sites, &parts)
    })
}

proptest! {
    #[test]
    fn exactly_what_the_cursor_does_not_know_is_flushed(
        before in any_configuration(),
        after in any_configuration(),
        moved: bool,
    ) {
        let mut then = cursor(&before);
        if moved {
            then.region = "elsewhere".parse().expect("a name");
        }
        let extent = lane(&after, &then).new_since(&then);
        for (site, hosts) in &after.0 {
            let known = before.0.get(site).filter(|_| !moved);
            prop_assert_eq!(extent.sites.contains(site), known.is_none());
            for host in hosts {
                let new = known.is_some_and(|known| !known.contains(host));
                prop_assert_eq!(extent.hosts.contains(&(site.clone(), host.clone())), new);
            }
            for template in &after.1 {
                let new = known.is_some() && !before.1.contains(template);
                let part = (site.clone(), template.as_str().into());
                prop_assert_eq!(extent.parts.contains(&part), new);
            }
        }
        prop_assert!(extent.sites.iter().all(|site| after.0.contains_key(site)));
    }
}
