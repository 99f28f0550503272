//! What a sweep of a site removes: the patterns of SCAN that find it, and which of the keys found go.

use schemas::SiteName;

use super::Keyspace;
use crate::driver::redis::template::{Slot, Template};

/// How much of a site's content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver::redis) enum Swept {
    /// All of it.
    All,
    /// The keys that begin as those of this template do.
    Of(Slot),
}

impl Keyspace {
    /// Whether all content of `site` can be told from all other keys.
    pub(in crate::driver::redis) fn can_be_swept(&self, site: &SiteName) -> bool {
        self.heads.contains_key(site) && self.content_is_distinct()
    }

    /// What a template stands for, as a cursor names it: the keys that it makes. A set of keys may name any content.
    pub(in crate::driver::redis) fn named(&self, template: &str) -> Option<Swept> {
        let named = |(slot, known): &(&Slot, &Template)| slot.named(known.as_str()) == template;
        let (slot, _) = self.templates.iter().find(named)?;
        Some(if slot.holds_content() { Swept::Of(*slot) } else { Swept::All })
    }

    /// Whether `key` goes with so much of `site`.
    pub(in crate::driver::redis) fn is_swept(
        &self,
        site: &SiteName,
        swept: Swept,
        key: &[u8],
    ) -> bool {
        let of_slot = |slot| {
            let heads = self.heads.get(site).into_iter().flatten();
            let mut heads = heads.filter(|head| head.slot == slot);
            heads.any(|head| key.starts_with(head.text.as_bytes()))
        };
        self.is_content(site, key)
            && match swept {
                Swept::All => true,
                Swept::Of(slot) => of_slot(slot),
            }
    }

    /// Patterns of SCAN that together match so much of `site`, and more: one per template.
    pub(in crate::driver::redis) fn patterns(&self, site: &SiteName, swept: Swept) -> Vec<Vec<u8>> {
        let Some(heads) = self.heads.get(site) else { return Vec::new() };
        let wanted = |slot: &&Slot| match swept {
            Swept::All => slot.holds_content(),
            Swept::Of(one) => **slot == one,
        };
        let content = self.templates.keys().filter(wanted);
        content
            .filter_map(|slot| {
                let heads = heads.iter().filter(|head| head.slot == *slot);
                heads.map(|head| head.text.as_bytes()).reduce(common_start)
            })
            .map(pattern)
            .collect()
    }
}

fn common_start<'a>(a: &'a [u8], b: &'a [u8]) -> &'a [u8] {
    let length = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    &a[..length]
}

/// Matches what begins with `literal`. Every byte that could mean something to Redis is escaped.
fn pattern(literal: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(literal.len() * 2 + 1);
    for byte in literal {
        if !byte.is_ascii_alphanumeric() {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PAGES, RAW, keyspace};
    use super::*;

    #[test]
    fn patterns_are_literal_to_the_last_byte() {
        let templates =
            [(Slot::Url, "pa*e?[x]^-\\:{host}{path}"), (Slot::TagSet, "tags:{tag}"), RAW];
        let keyspace = keyspace(&templates, &[("main", &["www.a.com", "www.b.com"])]);
        let main: SiteName = "main".parse().unwrap();
        let expected: [&[u8]; 2] = [br"pa\*e\?\[x\]\^\-\\\:www\.*", br"main\:*"];
        assert_eq!(keyspace.patterns(&main, Swept::All), expected);
        assert_eq!(keyspace.patterns(&main, Swept::Of(Slot::Url)), expected[..1]);
    }

    #[test]
    fn what_one_template_names_is_told_from_what_others_do() {
        let sets = (Slot::TagSet, "{site}:tags:{tag}");
        let keyspace = keyspace(&[PAGES, RAW, sets], &[("main", &["a.com"]), ("shop", &[])]);
        let main: SiteName = "main".parse().unwrap();
        let (pages, raw) = (Swept::Of(Slot::Url), Swept::Of(Slot::Key));
        assert_eq!(keyspace.named("keys.url=page:{host}{path}"), Some(pages));
        assert_eq!(keyspace.named("keys.key={site}:{key}"), Some(raw));
        assert_eq!(keyspace.named("keys.tag_set={site}:tags:{tag}"), Some(Swept::All));
        assert_eq!(keyspace.named("keys.url=html:{host}{path}"), None);
        for (key, expected) in [
            ("page:a.com/x", [true, true, false]),
            ("main:user", [true, false, true]),
            ("main:tags:news", [false; 3]),
            ("shop:user", [false; 3]),
        ] {
            let swept = [Swept::All, pages, raw]
                .map(|swept| keyspace.is_swept(&main, swept, key.as_bytes()));
            assert_eq!(swept, expected, "{key}");
        }
    }
}
