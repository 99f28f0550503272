//! Requests as editors write them, and the pages that each of them names.

use schemas::api::{InvalidationRequest, UrlRequest};

use super::page::{HOST, Page, SITE};

fn address(path: &str) -> String {
    format!("https://{HOST}{path}")
}

fn wish() -> InvalidationRequest {
    InvalidationRequest { site: Some(SITE.to_owned()), ..InvalidationRequest::default() }
}

/// The page at `path` has changed.
pub fn url(path: &str) -> InvalidationRequest {
    InvalidationRequest { urls: vec![UrlRequest::Exact(address(path))], ..wish() }
}

/// Everything below `path` has changed.
pub fn prefix(path: &str) -> InvalidationRequest {
    InvalidationRequest { prefixes: vec![address(path)], ..wish() }
}

/// Everything with this tag has changed: `blog` or `shop`.
pub fn tag(name: &str) -> InvalidationRequest {
    InvalidationRequest { tags: vec![name.to_owned()], ..wish() }
}

/// The whole site has changed.
pub fn everything() -> InvalidationRequest {
    InvalidationRequest { everything: true, confirm: Some(SITE.to_owned()), ..wish() }
}

/// Some change of `page`: mostly of it alone, sometimes of its whole section or site.
pub(super) fn any(page: &Page, rng: &mut fastrand::Rng) -> InvalidationRequest {
    match rng.u8(..100) {
        0..70 => url(&page.path()),
        70..84 => prefix(&format!("/{}", page.section())),
        84..98 => tag(page.section()),
        _ => everything(),
    }
}

/// Whether `request` names `page`.
pub(super) fn names(request: &InvalidationRequest, page: &Page) -> bool {
    let path = page.path();
    let exactly = UrlRequest::Exact(address(&path));
    request.everything
        || request.urls.contains(&exactly)
        || request.tags.iter().any(|tag| tag == page.section())
        || request.prefixes.iter().any(|prefix| address(&path).starts_with(&format!("{prefix}/")))
}
