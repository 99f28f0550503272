//! What the suite stores, and the purges that name it.

use std::fmt;

use schemas::{
    Abilities, Ability, Key, Mode, Query, QueryMatch, Selector, SelectorKind, SiteName, Tag, Url,
};

use crate::driver::Purge;

pub(super) const MAIN: &str = "main";
pub(super) const HOST: &str = "www.example.com";
pub(super) const SECOND_HOST: &str = "m.example.com";
pub(super) const OTHER: &str = "other";
pub(super) const OTHER_HOST: &str = "www.example.net";

pub(super) const KINDS: [SelectorKind; 6] = [
    SelectorKind::Url,
    SelectorKind::UrlAnyQuery,
    SelectorKind::Prefix,
    SelectorKind::Tag,
    SelectorKind::Key,
    SelectorKind::Everything,
];

/// Something to be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Whose it is.
    pub site: SiteName,
    /// Where it lies.
    pub address: Address,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Which variant of its URL this is: the value of the request header that the origin varies by.
    pub variant: Option<&'static str>,
}

/// Where an object lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A page of a site.
    Page(Url),
    /// A raw key of a data cache.
    Key(Key),
}

impl Object {
    pub(super) fn page(path_and_query: &str) -> Self {
        Self::page_of(MAIN, HOST, path_and_query)
    }

    pub(super) fn page_of(site: &str, host: &str, path_and_query: &str) -> Self {
        Self::at(site, Address::Page(url_of(host, path_and_query)))
    }

    pub(super) fn key(site: &str, key: &str) -> Self {
        Self::at(site, Address::Key(key.parse().expect("a valid key")))
    }

    fn at(site: &str, address: Address) -> Self {
        Self { site: site.parse().expect("a valid name"), address, tags: Vec::new(), variant: None }
    }

    pub(super) fn tagged(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(|tag| tag.parse().expect("a valid tag")).collect();
        self
    }

    pub(super) fn variant(mut self, variant: &'static str) -> Self {
        self.variant = Some(variant);
        self
    }

    /// The kind of selector without which a cache cannot hold it.
    pub(super) fn kind(&self) -> SelectorKind {
        match self.address {
            Address::Page(_) => SelectorKind::Url,
            Address::Key(_) => SelectorKind::Key,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Page(url) => write!(f, "{url}")?,
            Address::Key(key) => write!(f, "key {key} of {}", self.site)?,
        }
        match self.variant {
            Some(variant) => write!(f, " ({variant})"),
            None => Ok(()),
        }
    }
}

fn url_of(host: &str, path_and_query: &str) -> Url {
    format!("https://{host}{path_and_query}").parse().expect("a valid url")
}

fn of_main(selector: Selector) -> Purge {
    Purge::new(MAIN.parse().expect("a valid name"), selector, Mode::Hard)
}

fn address(path_and_query: &str, query: impl FnOnce(Option<Query>) -> QueryMatch) -> Purge {
    let url = url_of(HOST, path_and_query);
    of_main(Selector::Url {
        scheme: url.scheme,
        host: url.host,
        path: url.path,
        query: query(url.query),
    })
}

pub(super) fn url(path_and_query: &str) -> Purge {
    address(path_and_query, QueryMatch::Exact)
}

pub(super) fn any_query(path: &str) -> Purge {
    address(path, |_| QueryMatch::Any)
}

pub(super) fn prefix(path: &str) -> Purge {
    let url = url_of(HOST, path);
    of_main(Selector::Prefix { host: url.host, path: url.path })
}

pub(super) fn tag(tag: &str) -> Purge {
    of_main(Selector::Tag(tag.parse().expect("a valid tag")))
}

pub(super) fn key(key: &str) -> Purge {
    of_main(Selector::Key(key.parse().expect("a valid key")))
}

pub(super) fn everything() -> Purge {
    of_main(Selector::Everything)
}

/// One object for each narrow kind that the cache supports, with the purge that names it and nothing else.
pub(super) fn named(
    abilities: &Abilities,
    name: &str,
) -> impl Iterator<Item = (Object, Purge)> + use<> {
    let path = |kind: &str| format!("/{kind}-{name}");
    let tagged = format!("tag-{name}");
    let pairs = [
        (Object::page(&path("url")), url(&path("url"))),
        (Object::page(&(path("any") + "?x=1")), any_query(&path("any"))),
        (Object::page(&(path("prefix") + "/below")), prefix(&path("prefix"))),
        (Object::page(&path("tagged")).tagged(&[&tagged]), tag(&tagged)),
        (Object::key(MAIN, name), key(name)),
    ];
    let abilities = abilities.clone();
    pairs.into_iter().filter(move |(object, purge)| {
        [object.kind(), purge.selector.kind()]
            .into_iter()
            .all(|kind| abilities.of(kind) == Ability::Supported)
    })
}

/// The first of [`named`].
pub(super) fn lone(abilities: &Abilities, name: &str) -> (Object, Purge) {
    named(abilities, name).next().expect("a driver supports at least one narrow kind")
}
