//! The selectors of a request, and the site that they are of.

use indexmap::IndexSet;
use schemas::api::{InvalidationRequest, QueryRequest, SELECTORS_MAX, TAGS_MAX, UrlRequest};
use schemas::{Host, QueryMatch, Selector, Site, SiteName, Sites, Url};

use super::{Mistakes, Pointer};

/// What a request selects.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    /// `None` if that is a mistake.
    pub(super) site: Option<&'a Site>,
    pub(super) selectors: Vec<Selector>,
}

/// A selector with a host, and where it stands.
struct Hosted {
    pointer: Pointer<'static>,
    host: Host,
}

/// Reads every selector and finds the site.
pub(super) fn select<'a>(
    request: &InvalidationRequest,
    only_site: Option<&SiteName>,
    sites: &'a Sites,
    mistakes: &mut Mistakes,
) -> Selected<'a> {
    let mut selectors = IndexSet::new();
    let mut hosted = Vec::new();
    if within_limits(request, mistakes) {
        read_hosted(request, &mut selectors, &mut hosted, mistakes);
        read_names(request, &mut selectors, mistakes);
    }
    let site = match (&request.site, only_site.and_then(|name| sites.get(name))) {
        (Some(name), _) => named(name, sites, mistakes),
        (None, Some(site)) => Some(site),
        (None, None) => inferred(&hosted, sites, mistakes),
    };
    if let Some(site) = site {
        check_hosts(&hosted, site, sites, mistakes);
    }
    Selected { site, selectors: selectors.into_iter().collect() }
}

fn within_limits(request: &InvalidationRequest, mistakes: &mut Mistakes) -> bool {
    let InvalidationRequest { urls, prefixes, tags, keys, everything, .. } = request;
    let count = urls.len() + prefixes.len() + tags.len() + keys.len() + usize::from(*everything);
    if count == 0 {
        let detail = "names nothing to purge; give urls, prefixes, tags, keys or everything";
        mistakes.add("", detail);
    }
    if count > SELECTORS_MAX {
        let detail = format!("holds {count} selectors; give at most {SELECTORS_MAX} in a request");
        mistakes.add("", detail);
    }
    if tags.len() > TAGS_MAX {
        let detail = format!("holds {} tags; give at most {TAGS_MAX} in a request", tags.len());
        mistakes.add("/tags", detail);
    }
    count <= SELECTORS_MAX && tags.len() <= TAGS_MAX
}

fn read_hosted(
    request: &InvalidationRequest,
    selectors: &mut IndexSet<Selector>,
    hosted: &mut Vec<Hosted>,
    mistakes: &mut Mistakes,
) {
    for (at, url) in request.urls.iter().enumerate() {
        let pointer = Pointer::Item("urls", at);
        let (text, any_query) = match url {
            UrlRequest::Exact(text) => (text, false),
            UrlRequest::With(with) => (&with.url, with.query == QueryRequest::Any),
        };
        let Some(url) = mistakes.take(pointer, text.parse::<Url>()) else { continue };
        let Url { scheme, host, path, query } = url;
        if any_query && query.is_some() {
            let detail = "has a query though any query is meant; leave out '?' and what follows";
            mistakes.add(pointer, detail);
        }
        let query = if any_query { QueryMatch::Any } else { QueryMatch::Exact(query) };
        hosted.push(Hosted { pointer, host: host.clone() });
        selectors.insert(Selector::Url { scheme, host, path, query });
    }
    for (at, text) in request.prefixes.iter().enumerate() {
        let pointer = Pointer::Item("prefixes", at);
        let Some(url) = mistakes.take(pointer, text.parse::<Url>()) else { continue };
        if url.query.is_some() {
            let detail = "has a query; a prefix ends with its path, and covers every query";
            mistakes.add(pointer, detail);
        }
        hosted.push(Hosted { pointer, host: url.host.clone() });
        selectors.insert(Selector::Prefix { host: url.host, path: url.path });
    }
}

fn read_names(
    request: &InvalidationRequest,
    selectors: &mut IndexSet<Selector>,
    mistakes: &mut Mistakes,
) {
    for (at, tag) in request.tags.iter().enumerate() {
        selectors.extend(mistakes.take(Pointer::Item("tags", at), tag.parse()).map(Selector::Tag));
    }
    for (at, key) in request.keys.iter().enumerate() {
        selectors.extend(mistakes.take(Pointer::Item("keys", at), key.parse()).map(Selector::Key));
    }
    if request.everything {
        selectors.insert(Selector::Everything);
    }
}

fn named<'a>(name: &str, sites: &'a Sites, mistakes: &mut Mistakes) -> Option<&'a Site> {
    let name = mistakes.take("/site", name.parse::<SiteName>())?;
    let site = sites.get(&name);
    if site.is_none() {
        mistakes.add("/site", format!("there is no site {name}"));
    }
    site
}

/// The site of the first host that has one, or the only site there is.
fn inferred<'a>(hosted: &[Hosted], sites: &'a Sites, mistakes: &mut Mistakes) -> Option<&'a Site> {
    if let Some(site) = hosted.iter().find_map(|hosted| sites.of_host(&hosted.host)) {
        return Some(site);
    }
    let mut all = sites.iter();
    match (all.next(), all.next()) {
        (Some(only), None) => Some(only),
        _ if hosted.is_empty() => {
            mistakes.add("/site", "is needed: no url or prefix tells which site is meant");
            None
        }
        _ => {
            for Hosted { pointer, host } in hosted {
                mistakes.add(*pointer, no_site(host));
            }
            None
        }
    }
}

fn check_hosts(hosted: &[Hosted], site: &Site, sites: &Sites, mistakes: &mut Mistakes) {
    for Hosted { pointer, host } in hosted {
        match sites.of_host(host) {
            Some(of_host) if of_host.name == site.name => {}
            Some(of_host) => {
                let detail = format!(
                    "host {host} is of the site {}, the request of {}; send one for each site",
                    of_host.name, site.name
                );
                mistakes.add(*pointer, detail);
            }
            None => mistakes.add(*pointer, no_site(host)),
        }
    }
}

fn no_site(host: &Host) -> String {
    format!("host {host} belongs to no site; add it to the hosts of one")
}
