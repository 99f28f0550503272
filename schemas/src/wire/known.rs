//! The names that were said last: said again, they are shared, and need no second check.

use crate::{Host, PublisherName, Refusal, SiteName};

/// One of each kind, since few publishers speak and most for one site.
#[derive(Debug, Default)]
pub(super) struct Known {
    publisher: Option<PublisherName>,
    site: Option<SiteName>,
    host: Option<Host>,
}

impl Known {
    pub(super) fn publisher(&mut self, text: &str) -> Result<PublisherName, Refusal> {
        recall(&mut self.publisher, text, PublisherName::as_str, PublisherName::from_canonical)
    }

    pub(super) fn site(&mut self, text: &str) -> Result<SiteName, Refusal> {
        recall(&mut self.site, text, SiteName::as_str, SiteName::from_canonical)
    }

    pub(super) fn host(&mut self, text: &str) -> Result<Host, Refusal> {
        recall(&mut self.host, text, Host::as_str, Host::from_canonical)
    }
}

/// What `text` says: `last` where that is the same, which it is from now on.
fn recall<T: Clone>(
    last: &mut Option<T>,
    text: &str,
    as_str: fn(&T) -> &str,
    from_canonical: fn(&str) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    match last {
        Some(last) if as_str(last) == text => Ok(last.clone()),
        _ => Ok(last.insert(from_canonical(text)?).clone()),
    }
}
