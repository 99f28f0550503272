//! Which keys belong to which site: what a selector may touch, and what it may not.
//!
//! Every key of a site begins with one of the site's *heads*: a template rendered as far as it is
//! known before the selector is (`page:a.com/`). A key is touched on behalf of a site only if it
//! begins with a head of that site, whether it came from a selector, a tag set or a scan. Where a
//! head of one site begins a head of another, their keys cannot be told apart, and the kinds of
//! selector concerned are unsupported.

mod swept;

use std::collections::{BTreeMap, BTreeSet};

use schemas::{Abilities, Ability, Region, Selector, SiteName, Sites};

use super::cursor::RESERVED;
use super::template::{Slot, Template};

pub(super) use self::swept::Swept;

/// Most selectors in one batch: their keys fit a few commands.
const BATCH_SELECTORS_MAX: u32 = 1_000;

/// The templates of a config; at least one.
pub(super) type Templates = BTreeMap<Slot, Template>;

#[derive(Debug)]
struct Head {
    slot: Slot,
    text: String,
}

/// The keys of all sites.
#[derive(Debug)]
pub(super) struct Keyspace {
    templates: Templates,
    region: Region,
    heads: BTreeMap<SiteName, Vec<Head>>,
    /// Templates under which the keys of several sites cannot be told apart.
    shared: BTreeSet<Slot>,
    allow_raw_keys: bool,
}

impl Keyspace {
    pub(super) fn new(
        templates: Templates,
        allow_raw_keys: bool,
        sites: &Sites,
        region: Region,
    ) -> Self {
        let heads: BTreeMap<_, Vec<Head>> = sites
            .iter()
            .map(|site| {
                let heads = templates.iter().flat_map(|(slot, template)| {
                    let texts = template.heads(site, &region).into_iter();
                    texts.map(|text| Head { slot: *slot, text })
                });
                (site.name.clone(), heads.collect())
            })
            .collect();
        let shared = shared(&heads);
        Self { templates, region, heads, shared, allow_raw_keys }
    }

    /// What can be done with each kind of selector on the server that `server` describes.
    pub(super) fn abilities(&self, server: &str) -> Abilities {
        let url = self.ability(&[Slot::Url]);
        let pages_held = url != Ability::NotHeld;
        let query_counts = self.templates.get(&Slot::Url).is_some_and(Template::has_query);
        Abilities {
            url,
            url_any_query: match url {
                Ability::Supported if query_counts => Ability::Unsupported,
                other => other,
            },
            // It would take a pattern made from input.
            prefix: if pages_held { Ability::Unsupported } else { Ability::NotHeld },
            tag: match self.ability(&[Slot::Tag, Slot::TagSet]) {
                // Its pages may have tags of which no template tells.
                Ability::NotHeld if pages_held => Ability::Unsupported,
                other => other,
            },
            key: self.ability(&[Slot::Key]),
            everything: if self.content_is_distinct() {
                Ability::Supported
            } else {
                Ability::Unsupported
            },
            soft: false,
            batch_selectors_max: BATCH_SELECTORS_MAX,
            manner: self.manner(server),
        }
    }

    fn ability(&self, slots: &[Slot]) -> Ability {
        if !slots.iter().any(|slot| self.templates.contains_key(slot)) {
            Ability::NotHeld
        } else if self.allow_raw_keys || !slots.iter().any(|slot| self.shared.contains(slot)) {
            Ability::Supported
        } else {
            Ability::Unsupported
        }
    }

    /// Raw keys do not count here: whoever allows them does not thereby give away the database.
    fn content_is_distinct(&self) -> bool {
        let nameless = |head: &Head| head.slot.holds_content() && head.text.is_empty();
        !self.shared.iter().any(|slot| slot.holds_content())
            && !self.heads.values().flatten().any(nameless)
    }

    fn manner(&self, server: &str) -> String {
        let templates =
            self.templates.values().map(Template::as_str).collect::<Vec<_>>().join(", ");
        let manner = format!("UNLINK of {templates} on {server}");
        if self.shared.is_empty() {
            return manner;
        }
        let shared = self.shared.iter().map(|slot| slot.as_str()).collect::<Vec<_>>().join(", ");
        format!("{manner}; sites cannot be told apart in {shared}: begin with {{site}}")
    }

    /// How the keys of each template begin, for one site that has any.
    pub(super) fn sample_heads(&self) -> BTreeMap<Slot, &str> {
        let heads = self.heads.values().flatten();
        heads.map(|head| (head.slot, head.text.as_str())).collect()
    }

    /// The keys that stand for `selector`, each with its slot; none where no template makes one
    /// or where it would not be the site's own.
    pub(super) fn keys(&self, site: &SiteName, selector: &Selector) -> Vec<(Slot, String)> {
        let rendered = self.templates.iter().filter_map(|(slot, template)| {
            Some((*slot, template.render(site, &self.region, selector)?))
        });
        rendered.filter(|(_, key)| self.head_of(site, key.as_bytes()).is_some()).collect()
    }

    /// Whether `key` is content of `site`. Where a key begins with several heads the longest
    /// decides, and content wins over the set of a tag.
    pub(super) fn is_content(&self, site: &SiteName, key: &[u8]) -> bool {
        self.head_of(site, key).is_some_and(|head| head.slot.holds_content())
    }

    fn head_of(&self, site: &SiteName, key: &[u8]) -> Option<&Head> {
        // Whatever the templates say: a cursor is nobody's content.
        if key.starts_with(RESERVED.as_bytes()) {
            return None;
        }
        let heads = self.heads.get(site)?.iter();
        heads
            .filter(|head| key.starts_with(head.text.as_bytes()))
            .max_by_key(|head| (head.text.len(), head.slot.holds_content()))
    }
}

/// The slots of which a head of one site begins a head of another.
fn shared(heads: &BTreeMap<SiteName, Vec<Head>>) -> BTreeSet<Slot> {
    let mut all: Vec<(&SiteName, &Head)> =
        heads.iter().flat_map(|(site, heads)| heads.iter().map(move |head| (site, head))).collect();
    all.sort_by(|(_, a), (_, b)| a.text.cmp(&b.text));
    let mut shared = BTreeSet::new();
    for (at, (site, head)) in all.iter().enumerate() {
        // Sorted, the texts that begin with this one follow it without a gap.
        for (_, longer) in all[at + 1..]
            .iter()
            .take_while(|(_, longer)| longer.text.starts_with(&head.text))
            .filter(|(other, _)| other != site)
        {
            shared.extend([head.slot, longer.slot]);
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use schemas::{Audience, QueryMatch, Site, Url};

    use super::*;

    pub(super) const PAGES: (Slot, &str) = (Slot::Url, "page:{host}{path}");
    pub(super) const RAW: (Slot, &str) = (Slot::Key, "{site}:{key}");

    fn keyspace_with(
        templates: &[(Slot, &str)],
        sites: &[(&str, &[&str])],
        allow_raw_keys: bool,
    ) -> Keyspace {
        let parse = |(slot, text): &(Slot, &str)| (*slot, Template::parse(*slot, text).unwrap());
        let sites = Sites::new(sites.iter().map(|(name, hosts)| Site {
            name: name.parse().unwrap(),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            regions: Audience::All,
        }));
        let region = "eu".parse().unwrap();
        Keyspace::new(templates.iter().map(parse).collect(), allow_raw_keys, &sites, region)
    }

    pub(super) fn keyspace(templates: &[(Slot, &str)], sites: &[(&str, &[&str])]) -> Keyspace {
        keyspace_with(templates, sites, false)
    }

    fn keys(keyspace: &Keyspace, site: &str, selector: &Selector) -> Vec<String> {
        let keys = keyspace.keys(&site.parse().unwrap(), selector);
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn url(text: &str) -> Selector {
        let Url { scheme, host, path, query } = text.parse().unwrap();
        Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) }
    }

    #[test]
    fn a_cache_of_raw_keys_holds_nothing_derived_from_urls() {
        let abilities = keyspace(&[RAW], &[("main", &["a.com"])]).abilities("Redis 7");
        for kind in [abilities.url, abilities.url_any_query, abilities.prefix, abilities.tag] {
            assert_eq!(kind, Ability::NotHeld);
        }
        assert_eq!(abilities.key, Ability::Supported);
        assert_eq!(abilities.everything, Ability::Supported);
    }

    #[test]
    fn a_cache_of_pages_cannot_enumerate_prefixes_queries_or_unknown_tags() {
        let pages = keyspace(&[PAGES], &[("main", &["a.com"])]).abilities("Redis 7");
        assert_eq!((pages.url, pages.url_any_query), (Ability::Supported, Ability::Supported));
        assert_eq!((pages.prefix, pages.tag), (Ability::Unsupported, Ability::Unsupported));
        assert_eq!(pages.key, Ability::NotHeld);

        let with_query = [(Slot::Url, "page:{host}{path}{query}"), (Slot::TagSet, "tags:{tag}")];
        let pages = keyspace(&with_query, &[("main", &["a.com"])]).abilities("Redis 7");
        assert_eq!((pages.url, pages.url_any_query), (Ability::Supported, Ability::Unsupported));
        assert_eq!(pages.tag, Ability::Supported);
    }

    #[test]
    fn templates_that_mix_sites_are_unsupported_as_soon_as_there_are_several() {
        let templates = [PAGES, (Slot::Tag, "tag:{tag}")];
        let one = keyspace(&templates, &[("main", &["a.com"])]).abilities("Redis 7");
        assert_eq!((one.tag, one.everything), (Ability::Supported, Ability::Supported));

        let sites: [(&str, &[&str]); 2] = [("main", &["a.com"]), ("shop", &["b.com"])];
        let two = keyspace(&templates, &sites).abilities("Redis 7");
        assert_eq!(two.url, Ability::Supported);
        assert_eq!((two.tag, two.everything), (Ability::Unsupported, Ability::Unsupported));
        assert!(two.manner.ends_with("sites cannot be told apart in keys.tag: begin with {site}"));

        let raw = keyspace_with(&templates, &sites, true).abilities("Redis 7");
        assert_eq!((raw.tag, raw.everything), (Ability::Supported, Ability::Unsupported));
    }

    #[test]
    fn sites_mix_through_different_templates_and_through_names_that_begin_alike() {
        let shared = |templates: &[(Slot, &str)], sites: &[(&str, &[&str])]| {
            keyspace(templates, sites).shared.into_iter().collect::<Vec<_>>()
        };
        // The site `page` could name the pages of `main` by its raw keys.
        let page: [(&str, &[&str]); 2] = [("main", &["a.com"]), ("page", &["b.com"])];
        assert_eq!(shared(&[PAGES, RAW], &page), [Slot::Url, Slot::Key]);

        let alike: [(&str, &[&str]); 2] = [("a", &["a.com"]), ("ab", &["a.com.au", "a.com:80"])];
        assert_eq!(shared(&[PAGES, RAW], &alike), []);
        assert_eq!(shared(&[(Slot::Key, "{site}{key}")], &alike), [Slot::Key]);
    }

    #[test]
    fn everything_is_never_the_whole_database() {
        let templates = [(Slot::Key, "{key}")];
        let raw = keyspace_with(&templates, &[("main", &[])], true).abilities("Redis 7");
        assert_eq!((raw.key, raw.everything), (Ability::Supported, Ability::Unsupported));
    }

    #[test]
    fn no_template_makes_or_sweeps_the_key_of_a_cursor() {
        let cursor = "purgebus:cursor:edge-1:redis:normal";
        let raw = keyspace_with(&[(Slot::Key, "{key}")], &[("main", &[])], true);
        let site = keyspace(&[RAW], &[("purgebus", &[])]);
        let key = |text: &str| Selector::Key(text.parse().unwrap());
        assert!(keys(&raw, "main", &key(cursor)).is_empty());
        assert!(keys(&site, "purgebus", &key("cursor:edge-1:redis:normal")).is_empty());
        assert_eq!(keys(&site, "purgebus", &key("cursors")), ["purgebus:cursors"]);
        assert!(!site.is_content(&"purgebus".parse().unwrap(), cursor.as_bytes()));
    }

    #[test]
    fn no_selector_has_a_key_of_another_site() {
        let sites: [(&str, &[&str]); 2] = [("main", &["a.com"]), ("shop", &["b.com"])];
        let keyspace = keyspace(&[PAGES, RAW], &sites);
        assert_eq!(keys(&keyspace, "main", &url("https://a.com/x")), ["page:a.com/x"]);
        assert!(keys(&keyspace, "main", &url("https://b.com/x")).is_empty());
        assert!(keys(&keyspace, "none", &url("https://a.com/x")).is_empty());
    }

    #[test]
    fn the_longest_head_tells_content_from_the_sets_of_tags() {
        let templates =
            [RAW, (Slot::TagSet, "{site}:tags:{tag}"), (Slot::Tag, "{site}:tags:x:{tag}")];
        let keyspace = keyspace(&templates, &[("main", &[])]);
        for (key, expected) in [
            ("main:user", true),
            ("main:tags:news", false),
            ("main:tags:x:news", true),
            ("shop:user", false),
            ("mai", false),
        ] {
            let site = "main".parse().unwrap();
            assert_eq!(keyspace.is_content(&site, key.as_bytes()), expected, "{key}");
        }
    }
}
