//! From what a caller wrote to what the bus carries: everything is checked, and every mistake told at once.

mod reading;
mod selecting;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use schemas::api::{InvalidationRequest, Mistake};
use schemas::{Audience, Invalidation, Mode, Priority, Region, Selector, Site, SiteName, Sites};
use uuid::Uuid;

pub(crate) use reading::{read, together};
pub(crate) use words::{check_text, moment};

/// Most mistakes told of one request.
const MISTAKES_MAX: usize = 1_000;

/// A request that the bus can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) site: SiteName,
    /// In the order in which they were written, each once.
    pub(crate) selectors: Vec<Selector>,
    mode: Mode,
    pub(crate) priority: Priority,
    pub(crate) audience: Audience,
    expires_in: Option<Duration>,
    reason: Option<String>,
    labels: BTreeMap<String, String>,
}

/// All that is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < MISTAKES_MAX {
            self.0.push(Mistake { pointer: pointer.into(), detail: detail.into() });
        }
    }

    /// The value, or where it lies wrong.
    pub(crate) fn take<T>(
        &mut self,
        pointer: impl Into<String>,
        value: Result<T, impl ToString>,
    ) -> Option<T> {
        value.map_err(|mistake| self.add(pointer, mistake.to_string())).ok()
    }

    /// What was read, unless there are mistakes.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// Where something stands in the request's JSON; written down only where there is a mistake.
#[derive(Debug, Clone, Copy)]
enum Pointer<'a> {
    Field(&'a str),
    /// An item of a list.
    Item(&'a str, usize),
    /// A member of an object.
    Member(&'a str, &'a str),
}

impl From<Pointer<'_>> for String {
    fn from(pointer: Pointer<'_>) -> Self {
        match pointer {
            Pointer::Field(field) => format!("/{}", escape(field)),
            Pointer::Item(field, at) => format!("/{field}/{at}"),
            Pointer::Member(field, name) => format!("/{field}/{}", escape(name)),
        }
    }
}

/// A name as a step of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// On which terms a request is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms<'a> {
    /// Whether everything may be purged without `confirm`.
    pub(crate) unattended: bool,
    /// The site that is meant where none is named.
    pub(crate) only_site: Option<&'a SiteName>,
}

/// Checks all of a request. `known_regions` are those with agents, for sites that name none.
pub(crate) fn check(
    request: &InvalidationRequest,
    terms: Terms<'_>,
    sites: &Sites,
    known_regions: &BTreeSet<Region>,
) -> Result<Wanted, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let selected = selecting::select(request, terms.only_site, sites, &mut mistakes);
    let site = selected.site;
    let audience = audience(request, site, known_regions, &mut mistakes);
    if let Some(site) = site.filter(|_| !terms.unattended) {
        consent(request, site, &mut mistakes);
    }
    if request.after.is_some() {
        let detail = "waiting for a replica is not in this build yet; leave it out";
        mistakes.add("/after", detail);
    }
    let expires_in = request.expires_in.as_deref();
    let expires_in = expires_in.and_then(|text| mistakes.take("/expires_in", words::expiry(text)));
    check_text("/reason", request.reason.as_deref(), &mut mistakes);
    words::check_labels(&request.labels, &mut mistakes);
    match site {
        Some(site) if mistakes.0.is_empty() => Ok(Wanted {
            site: site.name.clone(),
            selectors: selected.selectors,
            mode: request.mode,
            priority: request.priority,
            audience,
            expires_in,
            reason: request.reason.clone(),
            labels: request.labels.clone(),
        }),
        _ => Err(mistakes.0),
    }
}

fn audience(
    request: &InvalidationRequest,
    site: Option<&Site>,
    known_regions: &BTreeSet<Region>,
    mistakes: &mut Mistakes,
) -> Audience {
    let Some(written) = &request.regions else { return Audience::All };
    if written.is_empty() {
        mistakes.add("/regions", "names none; leave it out for all regions of the site");
    }
    let held_in = site.map(|site| match &site.regions {
        Audience::Regions(regions) => regions,
        Audience::All => known_regions,
    });
    let mut regions = BTreeSet::new();
    for (at, text) in written.iter().enumerate() {
        let pointer = Pointer::Item("regions", at);
        let Some(region) = mistakes.take(pointer, text.parse::<Region>()) else { continue };
        if let Some(held_in) = held_in.filter(|held_in| !held_in.contains(&region)) {
            mistakes.add(pointer, unknown_region(&region, held_in));
        }
        regions.insert(region);
    }
    Audience::Regions(regions)
}

fn unknown_region(region: &Region, known: &BTreeSet<Region>) -> String {
    let known: Vec<&str> = known.iter().map(Region::as_str).collect();
    if known.is_empty() {
        return format!("there is no region {region}: no agent has reported yet; leave it out");
    }
    format!("there is no region {region} with this site; give some of: {}", known.join(", "))
}

fn consent(request: &InvalidationRequest, site: &Site, mistakes: &mut Mistakes) {
    if request.everything && request.confirm.as_deref() != Some(site.name.as_str()) {
        let detail =
            format!("everything empties the whole site; write \"confirm\": \"{}\" too", site.name);
        mistakes.add("/confirm", detail);
    }
}

impl Wanted {
    /// As the bus carries it.
    pub(crate) fn into_invalidation(self, id: Uuid, accepted_at: Timestamp) -> Invalidation {
        Invalidation {
            mode: self.mode,
            priority: self.priority,
            audience: self.audience,
            expires_in: self.expires_in,
            reason: self.reason,
            labels: self.labels,
            ..Invalidation::new(id, self.site, self.selectors, accepted_at)
        }
    }
}
