//! The pages of the one site, and which selector names which of them: written anew, not borrowed from the code under test.

use schemas::{QueryMatch, Selector};

/// The site of every world.
pub(super) const SITE: &str = "main";
/// Its host.
pub(super) const HOST: &str = "www.example.com";
/// Half of the pages lie in each section; a section is a prefix and a tag.
const SECTIONS: [&str; 2] = ["blog", "shop"];

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page {
    section: &'static str,
    number: usize,
}

impl Page {
    /// The first `count` pages of the site.
    pub(super) fn all(count: usize) -> Vec<Self> {
        let sections = SECTIONS.iter().cycle();
        sections.take(count).enumerate().map(|(number, section)| Self { section, number }).collect()
    }

    /// Its path.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.section, self.number)
    }

    /// Its section: `blog` or `shop`.
    pub(super) fn section(&self) -> &'static str {
        self.section
    }

    /// Whether `selector` names it.
    pub(super) fn is_named_by(&self, selector: &Selector) -> bool {
        let path = self.path();
        match selector {
            Selector::Url { path: named, query, .. } => {
                named.as_str() == path && !matches!(query, QueryMatch::Exact(Some(_)))
            }
            Selector::Prefix { path: prefix, .. } => {
                let below = path.strip_prefix(prefix.as_str());
                let whole_segments = |rest: &str| rest.is_empty() || rest.starts_with('/');
                below.is_some_and(|rest| prefix.as_str().ends_with('/') || whole_segments(rest))
            }
            Selector::Tag(tag) => tag.as_str() == self.section,
            Selector::Everything => true,
            Selector::Key(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_whole_segments_only() {
        let prefix = |path: &str| Selector::Prefix {
            host: HOST.parse().expect("a host"),
            path: path.parse().expect("a path"),
        };
        let page = Page { section: "blog", number: 12 };
        for path in ["/", "/blog", "/blog/", "/blog/12"] {
            assert!(page.is_named_by(&prefix(path)), "{path}");
        }
        for path in ["/blo", "/blog/1", "/blog/12/", "/shop"] {
            assert!(!page.is_named_by(&prefix(path)), "{path}");
        }
    }
}
