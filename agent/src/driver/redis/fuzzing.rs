//! What hears a Redis, and names its keys, for `tests/fuzz`.

use bytes::Bytes;
use redis::InfoDict;
use schemas::{Region, Selector, Site};

use super::template::{Slot, Template};
use super::{cursor, server};
use crate::driver::Content;

/// The key of a selector under a template of one of the four slots, and how every key of the site begins there.
pub fn key(
    slot: u8,
    template: &str,
    site: &Site,
    region: &Region,
    selector: &Selector,
) -> Option<(Option<String>, Vec<String>)> {
    let slots = [Slot::Url, Slot::Tag, Slot::TagSet, Slot::Key];
    let template = Template::parse(slots[usize::from(slot) % slots.len()], template).ok()?;
    Some((template.render(&site.name, region, selector), template.heads(site, region)))
}

/// The cursor in a key's value.
pub fn cursor(value: Vec<u8>) -> Option<Bytes> {
    match cursor::split(value).1 {
        Content::Bytes(cursor) => Some(cursor),
        _ => None,
    }
}

/// Who a server says it is, or why it is not taken.
pub fn server(info: &str) -> (Result<String, String>, Option<String>) {
    let info = InfoDict::new(info);
    let recognised = server::recognise(&info);
    (recognised.map_err(|objection| objection.to_string()), server::identity(&info))
}
