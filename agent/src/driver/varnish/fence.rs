//! When a host is fenced: while its purges are rare against its fetch times, as Varnish measures them.
//!
//! A fence costs the caching of every fetch that is on its way. A fast stream of purges would let nothing be cached, so
//! what it leaves behind is left to the later passes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use schemas::{Host, Selector, Sites};
use tokio::time::Instant;

use super::answer::Answer;
use crate::driver::Batch;

/// A batch that touches more hosts than this is not fenced: each takes a request.
const HOSTS_AT_ONCE_MAX: usize = 32;
/// Assumed of a host of which nothing was fetched yet.
const FETCH_UNKNOWN: Duration = Duration::from_secs(1);

/// What is known of the hosts that were purged.
#[derive(Debug)]
pub(super) struct Fences {
    /// So many fetch times lie between two purges; never a fence if `None`.
    fetches: Option<u32>,
    hosts: Mutex<HashMap<Host, Purged>>,
}

/// The last purge of a host.
#[derive(Debug, Clone, Copy)]
struct Purged {
    at: Instant,
    fetch: Duration,
}

/// The hosts of one batch: all that it touches, and those that it fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fenced {
    hosts: BTreeSet<Host>,
    pub(super) due: Vec<Host>,
}

impl Fences {
    pub(super) fn new(fetches: Option<u32>) -> Self {
        Self { fetches, hosts: Mutex::new(HashMap::new()) }
    }

    /// Which hosts a purge of `batch` that begins `now` fences.
    pub(super) fn plan(&self, batch: &Batch, sites: &Sites, now: Instant) -> Fenced {
        let (hosts, complete) = touched(batch, sites);
        let possible = complete && hosts.len() <= HOSTS_AT_ONCE_MAX;
        let Some(fetches) = self.fetches.filter(|_| possible) else {
            return Fenced { hosts, due: Vec::new() };
        };
        let known = self.hosts.lock();
        let rare = |host: &&Host| {
            known.get(*host).is_none_or(|last| {
                now.saturating_duration_since(last.at) >= last.fetch.saturating_mul(fetches)
            })
        };
        let due = hosts.iter().filter(rare).cloned().collect();
        Fenced { hosts, due }
    }

    /// The purge that began `at` has succeeded everywhere; `raised` are each instance's answers to the hosts that were
    /// due. Whether nothing that was on its way then is kept anywhere.
    pub(super) fn purged(&self, fenced: &Fenced, raised: &[Vec<Answer>], at: Instant) -> bool {
        let mut known = self.hosts.lock();
        for host in &fenced.hosts {
            let last = known.entry(host.clone()).or_insert(Purged { at, fetch: FETCH_UNKNOWN });
            last.at = last.at.max(at);
        }
        for (place, host) in fenced.due.iter().enumerate() {
            let measured =
                raised.iter().filter_map(|answers| answers.get(place)?.fence?.fetch).max();
            if let (Some(last), Some(fetch)) = (known.get_mut(host), measured) {
                last.fetch = fetch;
            }
        }
        let all_due = !fenced.due.is_empty() && fenced.due.len() == fenced.hosts.len();
        let all_stand = |answers: &Vec<Answer>| {
            answers.len() == fenced.due.len() && answers.iter().all(|answer| answer.fence.is_some())
        };
        all_due && raised.iter().all(all_stand)
    }
}

/// The hosts of the installation whose objects `batch` purges, and whether these are all that it purges.
fn touched(batch: &Batch, sites: &Sites) -> (BTreeSet<Host>, bool) {
    let mut hosts = BTreeSet::new();
    let mut complete = true;
    for purge in &batch.purges {
        let site = sites.get(&purge.site);
        match (&purge.selector, site) {
            (Selector::Url { host, .. } | Selector::Prefix { host, .. }, Some(site))
                if site.hosts.contains(host) =>
            {
                hosts.insert(host.clone());
            }
            (Selector::Tag(_) | Selector::Everything, Some(site)) => {
                hosts.extend(site.hosts.iter().cloned());
            }
            _ => complete = false,
        }
    }
    (hosts, complete)
}

#[cfg(test)]
mod tests {
    use schemas::{Audience, Mode, Site};

    use super::super::answer::Fence;
    use super::*;
    use crate::driver::Purge;

    fn sites() -> Sites {
        let site = |name: &str, hosts: &[&str]| Site {
            name: name.parse().unwrap(),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            regions: Audience::All,
        };
        let wide = (0..33).map(|at| format!("h{at}")).collect::<Vec<_>>();
        let wide = wide.iter().map(String::as_str).collect::<Vec<_>>();
        Sites::new([site("one", &["a", "b"]), site("wide", &wide)])
    }

    fn batch(site: &str, selectors: &[Selector]) -> Batch {
        let purge =
            |selector: &Selector| Purge::new(site.parse().unwrap(), selector.clone(), Mode::Hard);
        Batch { purges: selectors.iter().map(purge).collect() }
    }

    fn below(host: &str) -> Selector {
        Selector::Prefix { host: host.parse().unwrap(), path: "/x".parse().unwrap() }
    }

    fn answer(fenced: bool, fetch: Option<u64>) -> Answer {
        let fetch = fetch.map(Duration::from_millis);
        Answer { fence: fenced.then_some(Fence { fetch }), ..Answer::of(200) }
    }

    fn due(fences: &Fences, batch: &Batch, now: Instant) -> Vec<String> {
        fences.plan(batch, &sites(), now).due.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_host_is_fenced_while_its_purges_are_rare_against_its_fetches() {
        let (fences, start) = (Fences::new(Some(5)), Instant::now());
        let (a, both) = (batch("one", &[below("a")]), batch("one", &[Selector::Everything]));
        let plan = fences.plan(&a, &sites(), start);
        assert_eq!(plan.due.len(), 1, "never purged before");
        assert!(fences.purged(&plan, &[vec![answer(true, None)]], start));
        let after = |millis| start + Duration::from_millis(millis);
        assert!(due(&fences, &a, after(4_999)).is_empty(), "a fetch may take a second");
        assert_eq!(due(&fences, &both, after(4_999)), ["b"], "each host by itself");
        let plan = fences.plan(&a, &sites(), after(5_000));
        assert_eq!(plan.due.len(), 1);
        // The slowest of several instances counts.
        let raised = [vec![answer(true, Some(20))], vec![answer(true, Some(200))]];
        assert!(fences.purged(&plan, &raised, after(5_000)));
        assert!(due(&fences, &a, after(5_999)).is_empty());
        assert_eq!(due(&fences, &a, after(6_000)), ["a"]);
    }

    #[tokio::test]
    async fn a_fetch_that_takes_for_ever_is_no_reason_to_fail() {
        let (fences, start) = (Fences::new(Some(5)), Instant::now());
        let a = batch("one", &[below("a")]);
        let plan = fences.plan(&a, &sites(), start);
        let fence = Some(Fence { fetch: Some(Duration::MAX) });
        fences.purged(&plan, &[vec![Answer { fence, ..Answer::of(200) }]], start);
        assert!(due(&fences, &a, start + Duration::from_hours(24)).is_empty());
    }

    #[tokio::test]
    async fn a_fast_stream_of_purges_is_not_fenced_again_and_again() {
        let (fences, start) = (Fences::new(Some(5)), Instant::now());
        let (a, mut raised) = (batch("one", &[below("a")]), 0);
        for at in 0..1_000 {
            let now = start + Duration::from_millis(10 * at);
            let plan = fences.plan(&a, &sites(), now);
            raised += plan.due.len();
            let answers = vec![answer(true, Some(50)); plan.due.len()];
            fences.purged(&plan, &[answers], now);
        }
        assert_eq!(raised, 1);
    }

    #[tokio::test]
    async fn only_a_fence_of_all_that_was_purged_everywhere_counts() {
        let start = Instant::now();
        let (yes, no) = (answer(true, None), answer(false, None));
        for (selectors, raised, stands) in [
            (vec![below("a")], vec![vec![yes.clone()]], true),
            (vec![below("a")], vec![vec![yes.clone()], vec![no.clone()]], false),
            (vec![below("a")], vec![vec![yes.clone()], vec![]], false),
            (vec![below("a"), below("b")], vec![vec![yes.clone(), no]], false),
            (vec![below("a"), below("elsewhere")], vec![vec![]], false),
            (vec![Selector::Key("k".parse().unwrap())], vec![vec![]], false),
            (vec![], vec![vec![]], false),
        ] {
            let fences = Fences::new(Some(5));
            let plan = fences.plan(&batch("one", &selectors), &sites(), start);
            assert_eq!(fences.purged(&plan, &raised, start), stands, "{selectors:?} {raised:?}");
        }
        let off = Fences::new(None);
        assert!(off.plan(&batch("one", &[below("a")]), &sites(), start).due.is_empty());
        let wide =
            Fences::new(Some(5)).plan(&batch("wide", &[Selector::Everything]), &sites(), start);
        assert!(wide.due.is_empty(), "each host takes a request");
        let fences = Fences::new(Some(5));
        let plan = fences.plan(&batch("one", &[below("a")]), &sites(), start);
        fences.purged(&plan, &[vec![yes]], start);
        let partly = fences.plan(&batch("one", &[Selector::Everything]), &sites(), start);
        assert!(!fences.purged(&partly, &[vec![answer(true, None)]], start), "b alone is fenced");
    }
}
