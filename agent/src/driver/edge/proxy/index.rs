//! Which stored answers a selector names. One ordered map of pages answers for URLs, any query, prefixes and whole
//! sites; each site has its own, so no selector reaches the objects of another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use schemas::{Host, Path, Query, QueryMatch, Selector, SiteName, Tag, Url};

use crate::driver::Purge;

/// One stored answer.
pub(super) type ObjectId = u64;

/// What is fetched; the scheme does not count here. Its order puts all that a prefix covers side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Page {
    pub(super) host: Host,
    pub(super) path: Path,
    pub(super) query: Option<Query>,
}

impl From<Url> for Page {
    fn from(url: Url) -> Self {
        Self { host: url.host, path: url.path, query: url.query }
    }
}

/// What a stored answer can be purged by.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) site: SiteName,
    pub(super) page: Page,
    pub(super) tags: BTreeSet<Tag>,
}

/// The names of all stored answers. As large as the cache, for what leaves the one leaves the other.
#[derive(Debug, Default)]
pub(super) struct Index {
    latest: ObjectId,
    names: HashMap<ObjectId, Arc<Names>>,
    sites: HashMap<SiteName, SiteIndex>,
}

#[derive(Debug, Default)]
struct SiteIndex {
    pages: BTreeMap<Page, BTreeSet<ObjectId>>,
    tags: HashMap<Tag, BTreeSet<ObjectId>>,
}

impl Index {
    /// Adds an answer; later ones have higher ids.
    pub(super) fn insert(&mut self, names: Arc<Names>) -> ObjectId {
        self.latest += 1;
        let id = self.latest;
        let site = self.sites.entry(names.site.clone()).or_default();
        site.pages.entry(names.page.clone()).or_default().insert(id);
        for tag in &names.tags {
            site.tags.entry(tag.clone()).or_default().insert(id);
        }
        self.names.insert(id, names);
        id
    }

    /// Removes an answer, if it is still there.
    pub(super) fn remove(&mut self, id: ObjectId) {
        let Some(names) = self.names.remove(&id) else { return };
        let Some(site) = self.sites.get_mut(&names.site) else { return };
        if let Some(ids) = site.pages.get_mut(&names.page) {
            ids.remove(&id);
            if ids.is_empty() {
                site.pages.remove(&names.page);
            }
        }
        for tag in &names.tags {
            forget(&mut site.tags, tag, id);
        }
        if site.pages.is_empty() {
            self.sites.remove(&names.site);
        }
    }

    /// The answers for a page, the latest first.
    pub(super) fn at(&self, site: &SiteName, page: &Page) -> Vec<ObjectId> {
        let ids = self.sites.get(site).and_then(|site| site.pages.get(page));
        ids.into_iter().flatten().rev().copied().collect()
    }

    /// Removes what a purge names.
    pub(super) fn take(&mut self, purge: &Purge) -> Vec<ObjectId> {
        let taken = match self.sites.get(&purge.site) {
            Some(site) => site.named_by(&purge.selector),
            None => Vec::new(),
        };
        for id in &taken {
            self.remove(*id);
        }
        taken
    }

    /// How many answers it knows.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

impl SiteIndex {
    fn named_by(&self, selector: &Selector) -> Vec<ObjectId> {
        match selector {
            Selector::Url { host, path, query: QueryMatch::Exact(query), .. } => {
                let page = Page { host: host.clone(), path: path.clone(), query: query.clone() };
                self.pages.get(&page).into_iter().flatten().copied().collect()
            }
            Selector::Url { host, path, query: QueryMatch::Any, .. } => {
                self.from(host, path, |found| found == path.as_str())
            }
            Selector::Prefix { host, path } => {
                self.from(host, path, |found| covers(path.as_str(), found))
            }
            Selector::Tag(tag) => self.tags.get(tag).into_iter().flatten().copied().collect(),
            Selector::Everything => self.pages.values().flatten().copied().collect(),
            Selector::Key(_) => Vec::new(),
        }
    }

    /// The answers of `host` whose path begins with `start` and is `wanted`.
    fn from(&self, host: &Host, start: &Path, wanted: impl Fn(&str) -> bool) -> Vec<ObjectId> {
        let first = Page { host: host.clone(), path: start.clone(), query: None };
        self.pages
            .range(first..)
            .take_while(|(page, _)| {
                page.host == *host && page.path.as_str().starts_with(start.as_str())
            })
            .filter(|(page, _)| wanted(page.path.as_str()))
            .flat_map(|(_, ids)| ids.iter().copied())
            .collect()
    }
}

/// Whether `prefix`, of whole segments, covers `path`, which begins with it.
fn covers(prefix: &str, path: &str) -> bool {
    prefix.ends_with('/')
        || path[prefix.len()..].is_empty()
        || path[prefix.len()..].starts_with('/')
}

fn forget<K: Eq + Hash>(ids_of: &mut HashMap<K, BTreeSet<ObjectId>>, key: &K, id: ObjectId) {
    if let Some(ids) = ids_of.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            ids_of.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::Mode;

    use super::*;

    fn names(site: &str, url: &str, tags: &[String]) -> Arc<Names> {
        Arc::new(Names {
            site: site.parse().unwrap(),
            page: format!("http://{url}").parse::<Url>().unwrap().into(),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        })
    }

    fn purge(site: &str, selector: Selector) -> Purge {
        Purge::new(site.parse().unwrap(), selector, Mode::Hard)
    }

    /// What `selector` names, by the definition: itself or one of the wider selectors of a page's URL, or a tag.
    fn is_named(names: &Names, selector: &Selector) -> bool {
        let page = names.page.clone();
        let url = Selector::Url {
            scheme: schemas::Scheme::Http,
            host: page.host,
            path: page.path,
            query: QueryMatch::Exact(page.query),
        };
        match selector {
            Selector::Tag(tag) => names.tags.contains(tag),
            selector => url == *selector || url.wider().contains(selector),
        }
    }

    fn urls() -> impl Strategy<Value = Url> {
        "http://(a|b)\\.com(/|/a|/aa|/a-b|/a/|/a/b|/a/b/)(\\?|\\?x)?"
            .prop_map(|text| text.parse().unwrap())
    }

    fn selectors() -> impl Strategy<Value = Selector> {
        (urls(), 0..5).prop_map(|(Url { scheme, host, path, query }, kind)| match kind {
            0 => Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) },
            1 => Selector::Url { scheme, host, path, query: QueryMatch::Any },
            2 => Selector::Prefix { host, path },
            3 => Selector::Tag(if query.is_some() { "t" } else { "u" }.parse().unwrap()),
            _ => Selector::Everything,
        })
    }

    proptest! {
        #[test]
        fn a_purge_takes_exactly_what_it_names(
            stored in proptest::collection::vec((urls(), "(main|other)", "[tuv]?"), 0..40),
            selector in selectors(),
        ) {
            let mut index = Index::default();
            let stored = stored.into_iter().map(|(url, site, tag)| {
                let tags = if tag.is_empty() { vec![] } else { vec![tag] };
                let names = names(&site, &url.to_string()["http://".len()..], &tags);
                (index.insert(names.clone()), names)
            }).collect::<Vec<_>>();
            let mut expected = stored.iter()
                .filter(|(_, names)| names.site.as_str() == "main" && is_named(names, &selector))
                .map(|(id, _)| *id)
                .collect::<Vec<_>>();
            let mut taken = index.take(&purge("main", selector));
            taken.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(&taken, &expected);
            prop_assert_eq!(index.len(), stored.len() - taken.len());
            for (id, names) in stored {
                prop_assert_eq!(index.at(&names.site, &names.page).contains(&id), !taken.contains(&id));
            }
        }
    }

    #[test]
    fn nothing_remains_of_what_has_left() {
        let mut index = Index::default();
        let ids = ["main", "other"].map(|site| index.insert(names(site, "a.com/a", &["t".into()])));
        for id in ids {
            index.remove(id);
            index.remove(id);
        }
        assert!(index.names.is_empty() && index.sites.is_empty(), "{index:?}");
    }
}
