//! What callers of the API write: the body of an invalidation, and queries.

use schemas::api::{SELECTORS_MAX, TAGS_MAX};
use schemas::wire;
use schemas::{Frame, Invalidation, LineId, LogMessage, Selector};

use super::shop;
use crate::memory;

/// JSON takes a few times its bytes; a thousand mistakes take more.
const MEMORY_MAX: usize = 4 * 1024 * 1024;

pub(super) fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'?', query)) => query_of(query),
        Some(_) => body(bytes),
        None => {}
    }
}

fn body(bytes: &[u8]) {
    let (sites, regions) = (shop::sites(), [shop::region()].into());
    let only_site = shop::site().name;
    for only_site in [None, Some(&only_site)] {
        let read = memory::within(MEMORY_MAX, || {
            publisher::fuzzing::request(bytes, only_site, &sites, &regions)
        });
        match read {
            None => {}
            Some(Err(mistakes)) => assert!(!mistakes.is_empty(), "refused without a word"),
            Some(Ok(invalidation)) => {
                let own = |selector: &Selector| {
                    let site = selector.host().map(|host| sites.of_host(host));
                    site.is_none_or(|site| site.is_some_and(|site| site.name == invalidation.site))
                };
                assert!(invalidation.selectors.iter().all(own), "{invalidation:?}");
                carried(invalidation);
            }
        }
    }
}

/// What is accepted can be carried: readers, who repair nothing, understand it.
fn carried(invalidation: Invalidation) {
    let selectors = &invalidation.selectors;
    let tags = selectors.iter().filter(|selector| matches!(selector, Selector::Tag(_))).count();
    assert!((1..=SELECTORS_MAX).contains(&selectors.len()) && tags <= TAGS_MAX);
    let message = LogMessage::Frame(Frame {
        publisher: "p".parse().expect("a name"),
        line: LineId::from_bytes([1; 16]),
        first: 1,
        committed_at: invalidation.accepted_at,
        invalidations: vec![invalidation],
        signature: None,
    });
    assert_eq!(wire::decode_log(&wire::encode_log(&message)), Ok(message));
}

fn query_of(query: &[u8]) {
    let Ok(query) = str::from_utf8(query) else { return };
    let Some((_, _, cursor)) = publisher::fuzzing::query(&format!("/v1/invalidations?{query}"))
    else {
        return;
    };
    if let Some(cursor) = cursor {
        let again = publisher::fuzzing::query(&format!("/v1/invalidations?cursor={cursor}"));
        assert_eq!(again.and_then(|(_, _, again)| again), Some(cursor));
    }
}
