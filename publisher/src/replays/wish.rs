//! From what a caller wrote to what a replay is about: everything is checked, and every mistake told at once.

use std::collections::BTreeSet;

use humantime_serde::re::humantime::parse_duration;
use jiff::Timestamp;
use schemas::api::{AgentSummary, Mistake, ReplayFilter, ReplayRequest};
use schemas::{AgentName, CacheName, Region, SiteName, Sites, Url};

use crate::intake::{Mistakes, moment};
use crate::tokens::listed;

/// So many a second where none is named, and at most.
const RATE: u32 = 200;
const RATE_MAX: u32 = 10_000;

/// A request that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) filter: ReplayFilter,
    pub(super) rate: u32,
}

/// What there is.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) sites: &'a Sites,
    pub(super) regions: &'a BTreeSet<Region>,
    pub(super) agents: &'a [AgentSummary],
    /// The site that is meant where none is named.
    pub(super) only_site: Option<&'a SiteName>,
    pub(super) now: Timestamp,
}

/// Checks all of a request.
pub(super) fn read(request: &ReplayRequest, known: &Known<'_>) -> Result<Wish, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let (since, until) = known.times(request, &mut mistakes);
    let prefix = known.prefix(request, &mut mistakes);
    let site = known.site(request, prefix.as_ref(), &mut mistakes);
    let region = known.region(request, site.as_ref(), &mut mistakes);
    let agent = known.agent(request, region.as_ref(), &mut mistakes);
    let region = region.or_else(|| agent.as_ref()?.region.clone());
    let agent = agent.map(|agent| agent.agent.clone());
    let cache = known.cache(request, agent.as_ref(), region.as_ref(), &mut mistakes);
    let tag = request.tag.as_deref().and_then(|tag| mistakes.take("/tag", tag.parse()));
    let late_ms = late(request, &mut mistakes);
    let rate = request.rate.unwrap_or(RATE);
    if !(1..=RATE_MAX).contains(&rate) {
        mistakes.add("/rate", format!("is out of range; give 1 to {RATE_MAX} a second"));
    }
    let url_prefix = prefix.map(|url| url.to_string());
    let missed = request.missed_by.is_some();
    let filter =
        ReplayFilter { since, until, site, tag, url_prefix, region, agent, cache, missed, late_ms };
    mistakes.finish(Wish { filter, rate })
}

fn late(request: &ReplayRequest, mistakes: &mut Mistakes) -> Option<u64> {
    let text = request.include_late.as_deref()?;
    if request.missed_by.is_none() {
        mistakes.add("/include_late", "goes with missed_by only; name the region");
    }
    let wrong = |error| format!("is not a duration such as \"60s\": {error}");
    let late = mistakes.take("/include_late", parse_duration(text).map_err(wrong))?;
    u64::try_from(late.as_millis()).ok()
}

impl<'k> Known<'k> {
    fn times(&self, request: &ReplayRequest, mistakes: &mut Mistakes) -> (Timestamp, Timestamp) {
        let since = mistakes.take("/since", moment(&request.since, self.now));
        let until = request.until.as_deref().unwrap_or("0s");
        let until = mistakes.take("/until", moment(until, self.now));
        if since.is_some_and(|since| since > self.now) {
            mistakes.add("/since", "is in the future; nothing was accepted since then");
        } else if let (Some(since), Some(until)) = (since, until)
            && until < since
        {
            mistakes.add("/until", "is before since");
        }
        (since.unwrap_or(self.now), until.unwrap_or(self.now).min(self.now))
    }

    fn prefix(&self, request: &ReplayRequest, mistakes: &mut Mistakes) -> Option<Url> {
        let text = request.url_prefix.as_deref()?;
        let url: Url = mistakes.take("/url_prefix", text.parse())?;
        if url.query.is_some() {
            let detail = "has a query; a prefix ends with its path, and covers every query";
            mistakes.add("/url_prefix", detail);
        }
        if self.sites.of_host(&url.host).is_none() {
            mistakes.add("/url_prefix", format!("there is no site with the host {}", url.host));
        }
        Some(url)
    }

    fn site(
        &self,
        request: &ReplayRequest,
        prefix: Option<&Url>,
        mistakes: &mut Mistakes,
    ) -> Option<SiteName> {
        let owner = prefix.and_then(|url| self.sites.of_host(&url.host)).map(|site| &site.name);
        let Some(text) = &request.site else { return owner.or(self.only_site).cloned() };
        let site: SiteName = mistakes.take("/site", text.parse())?;
        if self.sites.get(&site).is_none() {
            let there_are = listed(self.sites.iter().map(|site| &site.name));
            mistakes.add("/site", format!("there is no site {site}; there are {there_are}"));
        } else if let Some(owner) = owner.filter(|owner| **owner != site) {
            mistakes.add("/url_prefix", format!("is of site {owner}, and not of {site}"));
        }
        Some(site)
    }

    /// The one region that is meant, by whichever name.
    fn region(
        &self,
        request: &ReplayRequest,
        site: Option<&SiteName>,
        mistakes: &mut Mistakes,
    ) -> Option<Region> {
        let region = self.known_region("/region", request.region.as_deref(), mistakes);
        let missed_by = self.known_region("/missed_by", request.missed_by.as_deref(), mistakes);
        if let (Some(region), Some(missed_by)) = (&region, &missed_by)
            && region != missed_by
        {
            mistakes.add("/region", format!("is not the region of missed_by, {missed_by}"));
        }
        let pointer = if region.is_some() { "/region" } else { "/missed_by" };
        let region = region.or(missed_by)?;
        if let Some(site) = site.and_then(|site| self.sites.get(site))
            && !site.regions.includes(&region)
        {
            mistakes.add(pointer, format!("site {} is not held in {region}", site.name));
        }
        Some(region)
    }

    fn known_region(
        &self,
        pointer: &str,
        text: Option<&str>,
        mistakes: &mut Mistakes,
    ) -> Option<Region> {
        let region: Region = mistakes.take(pointer, text?.parse())?;
        if !self.regions.contains(&region) {
            let there_are = listed(self.regions);
            mistakes.add(pointer, format!("there is no region {region}; there are {there_are}"));
            return None;
        }
        Some(region)
    }

    fn agent(
        &self,
        request: &ReplayRequest,
        region: Option<&Region>,
        mistakes: &mut Mistakes,
    ) -> Option<&'k AgentSummary> {
        let text = request.agent.as_deref()?;
        let name: AgentName = mistakes.take("/agent", text.parse())?;
        let there = self.agents.iter().filter(|agent| agent.region.is_some());
        let Some(agent) = there.clone().find(|agent| agent.agent == name) else {
            let there_are = listed(there.map(|agent| &agent.agent));
            mistakes.add("/agent", format!("there is no agent {name}; there are {there_are}"));
            return None;
        };
        if let (Some(here), Some(region)) = (&agent.region, region)
            && here != region
        {
            mistakes.add("/agent", format!("is in region {here}, and not in {region}"));
        }
        Some(agent)
    }

    fn cache(
        &self,
        request: &ReplayRequest,
        agent: Option<&AgentName>,
        region: Option<&Region>,
        mistakes: &mut Mistakes,
    ) -> Option<CacheName> {
        let text = request.cache.as_deref()?;
        let name: CacheName = mistakes.take("/cache", text.parse())?;
        let meant = self.agents.iter().filter(|known| {
            agent.is_none_or(|agent| known.agent == *agent)
                && (region.is_none() || known.region.as_ref() == region)
        });
        let names: BTreeSet<&str> =
            meant.flat_map(|agent| &agent.caches).map(|cache| cache.cache.as_str()).collect();
        if !names.contains(name.as_str()) {
            let there_are = listed(names);
            mistakes
                .add("/cache", format!("there is no cache {name} there; there are {there_are}"));
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Audience, Site};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn sites() -> Sites {
        let site = |name: &str, host: &str, regions| Site {
            name: name.parse().unwrap(),
            hosts: [host.parse().unwrap()].into(),
            regions,
        };
        let eu = Audience::Regions(["eu".parse().unwrap()].into());
        Sites::new([
            site("main", "www.example.com", Audience::All),
            site("shop", "shop.example.com", eu),
        ])
    }

    fn checked(request: &ReplayRequest) -> Result<Wish, Vec<String>> {
        let regions = ["eu", "us"].map(|region| region.parse().unwrap()).into();
        let known = Known {
            sites: &sites(),
            regions: &regions,
            agents: &[],
            only_site: None,
            now: at("2026-01-02T00:00:00Z"),
        };
        let told = |mistake: Mistake| format!("{} {}", mistake.pointer, mistake.detail);
        read(request, &known).map_err(|mistakes| mistakes.into_iter().map(told).collect())
    }

    fn since(since: &str) -> ReplayRequest {
        ReplayRequest { since: since.to_owned(), ..ReplayRequest::default() }
    }

    #[test]
    fn what_is_left_out_means_all_until_now_at_a_modest_rate() {
        let wish = checked(&since("1h")).unwrap();
        let ReplayFilter { since, until, site, region, missed, .. } = wish.filter;
        assert_eq!((since, until), (at("2026-01-01T23:00:00Z"), at("2026-01-02T00:00:00Z")));
        assert_eq!((site, region, missed, wish.rate), (None, None, false, 200));
    }

    #[test]
    fn a_prefix_tells_its_site_and_missed_by_the_region() {
        let some = |text: &str| Some(text.to_owned());
        let request = ReplayRequest {
            url_prefix: some("https://WWW.example.com/blog/"),
            missed_by: some("us"),
            include_late: some("60s"),
            ..since("1h")
        };
        let filter = checked(&request).unwrap().filter;
        assert_eq!(filter.site, Some("main".parse().unwrap()));
        assert_eq!(filter.region, Some("us".parse().unwrap()));
        assert_eq!((filter.missed, filter.late_ms), (true, Some(60_000)));
        assert_eq!(filter.url_prefix.as_deref(), Some("https://www.example.com/blog/"));
    }

    #[test]
    fn every_mistake_is_told_with_what_there_is() {
        let some = |text: &str| Some(text.to_owned());
        let wrong = ReplayRequest {
            since: "yesterday".into(),
            until: some("then"),
            site: some("blog"),
            tag: some("a,b"),
            url_prefix: some("https://www.example.org/"),
            region: some("mars"),
            agent: some("edge-1"),
            cache: some("varnish"),
            missed_by: None,
            include_late: some("soon"),
            rate: Some(0),
        };
        let told = checked(&wrong).unwrap_err().join("\n");
        for expected in [
            "/since cannot be read",
            "/until cannot be read",
            "/site there is no site blog; there are main, shop",
            "/tag",
            "/url_prefix there is no site with the host www.example.org",
            "/region there is no region mars; there are eu, us",
            "/agent there is no agent edge-1; there are none",
            "/cache there is no cache varnish there; there are none",
            "/include_late goes with missed_by only",
            "/include_late is not a duration",
            "/rate is out of range; give 1 to 10000 a second",
        ] {
            assert!(told.contains(expected), "{expected} is not in\n{told}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let some = |text: &str| Some(text.to_owned());
        for (request, expected) in [
            (since("2026-01-03T00:00:00Z"), "/since is in the future"),
            (ReplayRequest { until: some("2h"), ..since("1h") }, "/until is before since"),
            (
                ReplayRequest { region: some("eu"), missed_by: some("us"), ..since("1h") },
                "/region is not the region of missed_by, us",
            ),
            (
                ReplayRequest { site: some("shop"), missed_by: some("us"), ..since("1h") },
                "/missed_by site shop is not held in us",
            ),
            (
                ReplayRequest {
                    site: some("shop"),
                    url_prefix: some("https://www.example.com/"),
                    ..since("1h")
                },
                "/url_prefix is of site main, and not of shop",
            ),
        ] {
            let told = checked(&request).unwrap_err();
            assert!(told.len() == 1 && told[0].starts_with(expected), "{expected}: {told:?}");
        }
    }
}
