//! Which invalidations a replay is about, and what they become. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemas::api::ReplayFilter;
use schemas::{Audience, Invalidation, Priority, Selector, Sites, Url};
use uuid::Uuid;

use crate::search::time_of;
use crate::tracker::MissedBy;

/// What a replay is about.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    filter: ReplayFilter,
    prefix: Option<Selector>,
}

/// How an invalidation stands to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is of another time, site, region or name.
    Beside,
    /// It replays what is of that time itself.
    Replay,
    /// It was not worth doing any more.
    Expired,
    /// It is published again.
    Fits,
}

impl Choice {
    pub(super) fn new(filter: ReplayFilter) -> Self {
        let prefix: Option<Url> = filter.url_prefix.as_deref().and_then(|text| text.parse().ok());
        let prefix = prefix.map(|Url { host, path, .. }| Selector::Prefix { host, path });
        Self { filter, prefix }
    }

    /// What it is about.
    pub(super) fn filter(&self) -> &ReplayFilter {
        &self.filter
    }

    /// Whose misses it is about alone.
    pub(super) fn missed_by(&self) -> Option<MissedBy> {
        let ReplayFilter { region, agent, cache, late_ms, .. } = &self.filter;
        let region = region.clone().filter(|_| self.filter.missed)?;
        let late = late_ms.map(|late| Duration::from_millis(late).try_into());
        let late = late.map(|late| late.unwrap_or(SignedDuration::MAX));
        Some(MissedBy { region, agent: agent.clone(), cache: cache.clone(), late })
    }

    /// How an invalidation stands to it, whoever missed it.
    pub(super) fn judge(
        &self,
        invalidation: &Invalidation,
        sites: &Sites,
        now: Timestamp,
    ) -> Verdict {
        let Invalidation { accepted_at, expires_in, origin, .. } = invalidation;
        if !self.is_of_time(*accepted_at) || !self.is_for(invalidation, sites) {
            return Verdict::Beside;
        }
        if !self.names(&invalidation.selectors) {
            return Verdict::Beside;
        }
        if origin.and_then(time_of).is_some_and(|at| self.is_of_millisecond(at)) {
            return Verdict::Replay;
        }
        let expires_at = expires_in.and_then(|after| accepted_at.checked_add(after).ok());
        if expires_at.is_some_and(|at| at <= now) {
            return Verdict::Expired;
        }
        Verdict::Fits
    }

    /// What one that fits is published as.
    pub(super) fn again(&self, first: &Invalidation, id: Uuid, now: Timestamp) -> Invalidation {
        let ReplayFilter { region, agent, cache, .. } = &self.filter;
        let mut again = Invalidation {
            id,
            priority: Priority::Normal,
            accepted_at: now,
            origin: first.origin.or(Some(first.id)),
            ..first.clone()
        };
        if let Some(region) = region {
            again.audience = Audience::Regions([region.clone()].into());
        }
        if let Some(agent) = agent {
            again.recipients.agents = [agent.clone()].into();
        }
        if let Some(cache) = cache {
            again.recipients.caches = [cache.clone()].into();
        }
        let age = Duration::try_from(now.duration_since(first.accepted_at)).unwrap_or_default();
        again.expires_in = first.expires_in.map(|after| after.saturating_sub(age));
        again
    }

    fn is_of_time(&self, at: Timestamp) -> bool {
        (self.filter.since..=self.filter.until).contains(&at)
    }

    /// Ids tell the millisecond alone.
    fn is_of_millisecond(&self, at: Timestamp) -> bool {
        let ReplayFilter { since, until, .. } = &self.filter;
        (since.as_millisecond()..=until.as_millisecond()).contains(&at.as_millisecond())
    }

    fn is_for(&self, invalidation: &Invalidation, sites: &Sites) -> bool {
        let Invalidation { site, audience, recipients, .. } = invalidation;
        let ReplayFilter { region, agent, cache, .. } = &self.filter;
        let (agents, caches) = (&recipients.agents, &recipients.caches);
        sites.get(site).is_some()
            && self.filter.site.as_ref().is_none_or(|wanted| wanted == site)
            && region
                .as_ref()
                .is_none_or(|region| audience.includes(region) && sites.held_in(site, region))
            && agent.as_ref().is_none_or(|agent| agents.is_empty() || agents.contains(agent))
            && cache.as_ref().is_none_or(|cache| caches.is_empty() || caches.contains(cache))
    }

    fn names(&self, selectors: &[Selector]) -> bool {
        let tag = self.filter.tag.clone().map(Selector::Tag);
        let below = |prefix: &Selector| {
            selectors.iter().any(|selector| selector == prefix || selector.wider().contains(prefix))
        };
        tag.is_none_or(|tag| selectors.contains(&tag)) && self.prefix.as_ref().is_none_or(below)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Recipients, Site};

    use super::*;
    use crate::samples::replay_filter;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn id(seconds: i64) -> Uuid {
        crate::handle::naming::named_at(at(seconds)).0
    }

    fn sites() -> Sites {
        let eu = Audience::Regions(["eu".parse().unwrap()].into());
        let site = |name: &str, regions| Site {
            name: name.parse().unwrap(),
            hosts: [format!("{name}.example").parse().unwrap()].into(),
            regions,
        };
        Sites::new([site("main", Audience::All), site("local", eu)])
    }

    fn selector(text: &str) -> Selector {
        match text.parse::<Url>() {
            Ok(Url { scheme, host, path, query }) => {
                Selector::Url { scheme, host, path, query: schemas::QueryMatch::Exact(query) }
            }
            Err(_) => Selector::Tag(text.parse().unwrap()),
        }
    }

    /// Of `main`, by the tag `a` and a URL, accepted at 50.
    fn first() -> Invalidation {
        let selectors = vec![selector("a"), selector("https://main.example/blog/x?y")];
        Invalidation::new(id(50), "main".parse().unwrap(), selectors, at(50))
    }

    /// All of 10 to 100.
    fn filter() -> ReplayFilter {
        replay_filter(at(10), at(100))
    }

    fn judged(filter: ReplayFilter, invalidation: &Invalidation) -> Verdict {
        Choice::new(filter).judge(invalidation, &sites(), at(200))
    }

    #[test]
    fn only_what_is_of_its_time_site_region_and_names_fits() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(judged(filter(), &first()), Verdict::Fits);
        for (name, filter) in [
            ("late", ReplayFilter { since: at(51), ..filter() }),
            ("early", ReplayFilter { until: at(49), ..filter() }),
            ("site", ReplayFilter { site: Some("local".parse().unwrap()), ..filter() }),
            ("tag", ReplayFilter { tag: Some("b".parse().unwrap()), ..filter() }),
            ("path", ReplayFilter { url_prefix: some("https://main.example/bl"), ..filter() }),
            ("host", ReplayFilter { url_prefix: some("https://local.example/"), ..filter() }),
        ] {
            assert_eq!(judged(filter, &first()), Verdict::Beside, "{name}");
        }
        for (name, filter) in [
            ("edges", ReplayFilter { since: at(50), until: at(50), ..filter() }),
            ("tag", ReplayFilter { tag: Some("a".parse().unwrap()), ..filter() }),
            ("prefix", ReplayFilter { url_prefix: some("https://main.example/blog"), ..filter() }),
            ("region", ReplayFilter { region: Some("us".parse().unwrap()), ..filter() }),
        ] {
            assert_eq!(judged(filter, &first()), Verdict::Fits, "{name}");
        }
    }

    #[test]
    fn what_was_never_for_a_region_agent_or_cache_is_not_replayed_there() {
        let us = || ReplayFilter { region: Some("us".parse().unwrap()), ..filter() };
        let elsewhere = Audience::Regions(["eu".parse().unwrap()].into());
        let named = Invalidation { audience: elsewhere, ..first() };
        let local = Invalidation { site: "local".parse().unwrap(), ..first() };
        let unknown = Invalidation { site: "gone".parse().unwrap(), ..first() };
        assert_eq!(judged(us(), &named), Verdict::Beside);
        assert_eq!(judged(us(), &local), Verdict::Beside);
        assert_eq!(judged(filter(), &unknown), Verdict::Beside);
        let recipients = Recipients {
            agents: ["edge-1".parse().unwrap()].into(),
            caches: ["redis".parse().unwrap()].into(),
        };
        let narrow = Invalidation { recipients, ..first() };
        let agent = |name: &str| ReplayFilter { agent: Some(name.parse().unwrap()), ..filter() };
        let cache = |name: &str| ReplayFilter { cache: Some(name.parse().unwrap()), ..filter() };
        let verdicts = [agent("edge-1"), agent("edge-2"), cache("redis"), cache("varnish")];
        let verdicts = verdicts.map(|filter| judged(filter, &narrow));
        let (fits, beside) = (Verdict::Fits, Verdict::Beside);
        assert_eq!(verdicts, [fits, beside, fits, beside]);
    }

    #[test]
    fn a_replay_is_replayed_only_where_its_origin_is_not() {
        let replay = |origin| Invalidation { origin: Some(id(origin)), ..first() };
        assert_eq!(judged(filter(), &replay(20)), Verdict::Replay);
        assert_eq!(judged(filter(), &replay(5)), Verdict::Fits);
        let since = at(20) + Duration::from_micros(300);
        let later = ReplayFilter { since, ..filter() };
        assert_eq!(judged(later, &replay(20)), Verdict::Replay, "ids tell the millisecond alone");
        let again = Choice::new(filter()).again(&replay(5), id(200), at(200));
        assert_eq!(again.origin.and_then(time_of), Some(at(5)), "it names the first");
    }

    #[test]
    fn what_has_expired_stays_so_and_what_has_not_keeps_its_end() {
        let expires =
            |seconds| Invalidation { expires_in: Some(Duration::from_secs(seconds)), ..first() };
        assert_eq!(judged(filter(), &expires(150)), Verdict::Expired);
        assert_eq!(judged(filter(), &expires(151)), Verdict::Fits);
        let again = Choice::new(filter()).again(&expires(160), id(200), at(200));
        assert_eq!(again.expires_in, Some(Duration::from_secs(10)));
    }

    #[test]
    fn it_becomes_a_new_one_of_normal_priority_for_those_alone() {
        let narrow = ReplayFilter {
            region: Some("us".parse().unwrap()),
            agent: Some("edge-1".parse().unwrap()),
            cache: Some("varnish".parse().unwrap()),
            ..filter()
        };
        let first = Invalidation { priority: Priority::Critical, ..first() };
        let again = Choice::new(narrow).again(&first, id(200), at(200));
        let recipients = Recipients {
            agents: ["edge-1".parse().unwrap()].into(),
            caches: ["varnish".parse().unwrap()].into(),
        };
        let expected = Invalidation {
            id: again.id,
            priority: Priority::Normal,
            audience: Audience::Regions(["us".parse().unwrap()].into()),
            recipients,
            accepted_at: at(200),
            origin: Some(first.id),
            ..first.clone()
        };
        assert_eq!(again, expected);
        assert_ne!(again.id, first.id);
    }
}
