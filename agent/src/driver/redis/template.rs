//! Templates of keys: literal text and atoms, checked when the config is read.
//!
//! ```text
//! page:{host}{path}      literal "page:", then the host, then the path
//! ```

use schemas::{QueryMatch, Region, Selector, Site, SiteName};

/// What a template makes keys for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The key of a URL.
    Url,
    /// The key of a tag.
    Tag,
    /// The set that holds the keys of a tag.
    TagSet,
    /// A raw key.
    Key,
}

impl Slot {
    /// Its name in the config.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Url => "keys.url",
            Self::Tag => "keys.tag",
            Self::TagSet => "keys.tag_set",
            Self::Key => "keys.key",
        }
    }

    /// How a template of it is named in a cursor, and where it is flushed alone.
    pub(super) fn named(self, template: &str) -> String {
        format!("{}={template}", self.as_str())
    }

    /// Whether its keys hold content. The sets of tags are an index of it.
    pub(super) fn holds_content(self) -> bool {
        self != Self::TagSet
    }

    /// The atom without which all selectors would share one key.
    fn subject(self) -> Atom {
        match self {
            Self::Url => Atom::Path,
            Self::Tag | Self::TagSet => Atom::Tag,
            Self::Key => Atom::Key,
        }
    }

    fn atoms(self) -> &'static [Atom] {
        match self {
            Self::Url => {
                &[Atom::Scheme, Atom::Host, Atom::Path, Atom::Query, Atom::Site, Atom::Region]
            }
            Self::Tag | Self::TagSet => &[Atom::Tag, Atom::Site, Atom::Region],
            Self::Key => &[Atom::Key, Atom::Site, Atom::Region],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom {
    Scheme,
    Host,
    Path,
    Query,
    Tag,
    Key,
    Site,
    Region,
}

impl Atom {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "{scheme}",
            Self::Host => "{host}",
            Self::Path => "{path}",
            Self::Query => "{query}",
            Self::Tag => "{tag}",
            Self::Key => "{key}",
            Self::Site => "{site}",
            Self::Region => "{region}",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Atom(Atom),
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateMistake {
    #[error("{slot} has an unbalanced brace at byte {at}; write {{{{ or }}}} for one that is meant literally", slot = .slot.as_str())]
    UnbalancedBrace { slot: Slot, at: usize },
    #[error("{slot} cannot use {{{atom}}}; use {}", atoms(*.slot), slot = .slot.as_str())]
    ForeignAtom { slot: Slot, atom: String },
    #[error("{slot} lacks {subject}, so that everything would have one key; add it", slot = .slot.as_str(), subject = .slot.subject().as_str())]
    NoSubject { slot: Slot },
}

fn atoms(slot: Slot) -> String {
    slot.atoms().iter().map(|atom| atom.as_str()).collect::<Vec<_>>().join(", ")
}

/// A checked template: makes the keys of one kind of selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Parses `text`; only the atoms of `slot` may occur. `{{` and `}}` are literal braces.
    pub(super) fn parse(slot: Slot, text: &str) -> Result<Self, TemplateMistake> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '{' | '}' if chars.next_if(|(_, next)| *next == c).is_some() => literal.push(c),
                '{' => {
                    let end = text[at..]
                        .find('}')
                        .ok_or(TemplateMistake::UnbalancedBrace { slot, at })?
                        + at;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Atom(atom(slot, &text[at..=end])?));
                    while chars.next_if(|(next, _)| *next <= end).is_some() {}
                }
                '}' => return Err(TemplateMistake::UnbalancedBrace { slot, at }),
                _ => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if !parts.contains(&Part::Atom(slot.subject())) {
            return Err(TemplateMistake::NoSubject { slot });
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As written in the config.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it begins with a literal or the site, so that its keys lie apart from others.
    pub(super) fn has_prefix(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Literal(_) | Part::Atom(Atom::Site)))
    }

    /// Whether the query is part of the key, so that a URL with any query has keys without number.
    pub(super) fn has_query(&self) -> bool {
        self.parts.contains(&Part::Atom(Atom::Query))
    }

    /// The key of `selector`; none where it has no such atom, or more than one key.
    pub(super) fn render(
        &self,
        site: &SiteName,
        region: &Region,
        selector: &Selector,
    ) -> Option<String> {
        let mut key = String::with_capacity(self.text.len());
        for part in &self.parts {
            match (part, selector) {
                (Part::Literal(literal), _) => key.push_str(literal),
                (Part::Atom(Atom::Site), _) => key.push_str(site.as_str()),
                (Part::Atom(Atom::Region), _) => key.push_str(region.as_str()),
                (Part::Atom(Atom::Tag), Selector::Tag(tag)) => key.push_str(tag.as_str()),
                (Part::Atom(Atom::Key), Selector::Key(raw)) => key.push_str(raw.as_str()),
                (Part::Atom(atom), Selector::Url { scheme, host, path, query }) => {
                    match (atom, query) {
                        (Atom::Scheme, _) => key.push_str(scheme.as_str()),
                        (Atom::Host, _) => key.push_str(host.as_str()),
                        (Atom::Path, _) => key.push_str(path.as_str()),
                        (Atom::Query, QueryMatch::Exact(None)) => {}
                        (Atom::Query, QueryMatch::Exact(Some(query))) => {
                            key.push('?');
                            key.push_str(query.as_str());
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
        Some(key)
    }

    /// How every key of `site` begins: one text per host and scheme, as far as it is known before
    /// the selector is.
    pub(super) fn heads(&self, site: &Site, region: &Region) -> Vec<String> {
        let is_unknown = |part: &Part| {
            matches!(part, Part::Atom(Atom::Path | Atom::Query | Atom::Tag | Atom::Key))
        };
        let known = self.parts.iter().position(is_unknown).unwrap_or(self.parts.len());
        let (known, rest) = self.parts.split_at(known);
        // A path begins with a slash, which keeps a.com apart from a.com.au.
        let end = if rest.first() == Some(&Part::Atom(Atom::Path)) { "/" } else { "" };
        let names = |atom| known.contains(&Part::Atom(atom));
        let schemes = if names(Atom::Scheme) { &["http", "https"][..] } else { &[""] };
        let hosts = if names(Atom::Host) {
            site.hosts.iter().map(schemas::Host::as_str).collect()
        } else {
            vec![""]
        };
        // A key has one scheme and one host, however often its template names them.
        let pairs = schemes.iter().flat_map(|scheme| hosts.iter().map(move |host| (scheme, host)));
        let head = |(scheme, host): (&&str, &&str)| {
            let text = known.iter().map(|part| match part {
                Part::Literal(literal) => literal.as_str(),
                Part::Atom(Atom::Region) => region.as_str(),
                Part::Atom(Atom::Scheme) => *scheme,
                Part::Atom(Atom::Host) => *host,
                Part::Atom(_) => site.name.as_str(),
            });
            text.chain([end]).collect()
        };
        pairs.map(head).collect()
    }
}

fn atom(slot: Slot, braced: &str) -> Result<Atom, TemplateMistake> {
    slot.atoms().iter().copied().find(|atom| atom.as_str() == braced).ok_or_else(|| {
        TemplateMistake::ForeignAtom { slot, atom: braced.trim_matches(['{', '}']).to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use schemas::{Audience, Scheme, Url};

    use super::*;

    fn site(hosts: &[&str]) -> Site {
        Site {
            name: "main".parse().unwrap(),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            regions: Audience::All,
        }
    }

    fn region() -> Region {
        "eu-west".parse().unwrap()
    }

    fn url(text: &str) -> Selector {
        let Url { scheme, host, path, query } = text.parse().unwrap();
        Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) }
    }

    fn rendered(slot: Slot, template: &str, selector: &Selector) -> Option<String> {
        Template::parse(slot, template).unwrap().render(
            &"main".parse().unwrap(),
            &region(),
            selector,
        )
    }

    #[test]
    fn every_atom_is_rendered_where_it_stands() {
        let tag = Selector::Tag("news".parse().unwrap());
        let key = Selector::Key("user:42".parse().unwrap());
        for (slot, template, selector, expected) in [
            (Slot::Url, "page:{host}{path}", &url("https://a.com/x"), "page:a.com/x"),
            (
                Slot::Url,
                "{site}|{scheme}://{host}{path}{query}",
                &url("http://a.com/x?b=1"),
                "main|http://a.com/x?b=1",
            ),
            (Slot::Tag, "tag:{region}:{tag}", &tag, "tag:eu-west:news"),
            (Slot::TagSet, "tags:{site}:{tag}:set", &tag, "tags:main:news:set"),
            (Slot::Key, "{site}:{key}", &key, "main:user:42"),
            (Slot::Key, "{{{site}}}:{key}", &key, "{main}:user:42"),
        ] {
            assert_eq!(rendered(slot, template, selector).as_deref(), Some(expected), "{template}");
        }
    }

    #[test]
    fn a_query_brings_its_question_mark_and_no_query_brings_none() {
        let template = "page:{path}{query}";
        for (address, expected) in [
            ("https://a.com/x", "page:/x"),
            ("https://a.com/x?", "page:/x?"),
            ("https://a.com/x?b=1&c", "page:/x?b=1&c"),
        ] {
            assert_eq!(rendered(Slot::Url, template, &url(address)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn without_a_query_atom_all_queries_have_one_key() {
        let any = Selector::Url {
            scheme: Scheme::Https,
            host: "a.com".parse().unwrap(),
            path: "/x".parse().unwrap(),
            query: QueryMatch::Any,
        };
        for selector in [&url("https://a.com/x"), &url("https://a.com/x?b=1"), &any] {
            assert_eq!(
                rendered(Slot::Url, "page:{host}{path}", selector).as_deref(),
                Some("page:a.com/x")
            );
        }
        assert_eq!(rendered(Slot::Url, "page:{host}{path}{query}", &any), None);
    }

    #[test]
    fn mistakes_name_the_template_and_the_fix() {
        for (slot, text, expected) in [
            (
                Slot::Url,
                "page:{host",
                "keys.url has an unbalanced brace at byte 5; write {{ or }} for one that is meant literally",
            ),
            (
                Slot::Url,
                "page:}{path}",
                "keys.url has an unbalanced brace at byte 5; write {{ or }} for one that is meant literally",
            ),
            (
                Slot::Url,
                "page:{hots}{path}",
                "keys.url cannot use {hots}; use {scheme}, {host}, {path}, {query}, {site}, {region}",
            ),
            (
                Slot::Tag,
                "tag:{host}:{tag}",
                "keys.tag cannot use {host}; use {tag}, {site}, {region}",
            ),
            (
                Slot::TagSet,
                "tags:{key}",
                "keys.tag_set cannot use {key}; use {tag}, {site}, {region}",
            ),
            (Slot::Key, "{site}:{}", "keys.key cannot use {}; use {key}, {site}, {region}"),
            (
                Slot::Key,
                "{site}:",
                "keys.key lacks {key}, so that everything would have one key; add it",
            ),
            (Slot::Url, "", "keys.url lacks {path}, so that everything would have one key; add it"),
        ] {
            let mistake = Template::parse(slot, text).unwrap_err();
            assert_eq!(mistake.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_host_that_is_named_often_is_one_host() {
        let template =
            Template::parse(Slot::Url, &format!("{}{{path}}", "{host}{scheme}".repeat(40)));
        let heads = template.unwrap().heads(&site(&["a.com", "b.com"]), &region());
        assert_eq!(heads.len(), 4);
        assert!(heads.contains(&format!("{}/", "b.comhttps".repeat(40))));
    }

    #[test]
    fn heads_go_as_far_as_is_known_before_the_selector_is() {
        let site = site(&["a.com", "b.org"]);
        for (slot, template, expected) in [
            (Slot::Url, "page:{host}{path}", vec!["page:a.com/", "page:b.org/"]),
            (Slot::Url, "{scheme}://{path}", vec!["http:///", "https:///"]),
            (Slot::Url, "p:{path}:{host}", vec!["p:/"]),
            (Slot::Key, "{region}:{site}:{key}", vec!["eu-west:main:"]),
            (Slot::Tag, "{tag}", vec![""]),
        ] {
            let template = Template::parse(slot, template).unwrap();
            assert_eq!(template.heads(&site, &region()), expected);
        }
        let hostless = Template::parse(Slot::Url, "page:{host}{path}").unwrap();
        assert!(hostless.heads(&self::site(&[]), &region()).is_empty());
    }

    #[test]
    fn only_a_literal_or_the_site_is_a_prefix() {
        for (template, expected) in
            [("p:{path}", true), ("{site}{path}", true), ("{host}{path}", false), ("{path}", false)]
        {
            assert_eq!(Template::parse(Slot::Url, template).unwrap().has_prefix(), expected);
        }
    }
}
