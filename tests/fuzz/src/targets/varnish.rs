//! What a Varnish, or whatever stands in its place, answers to purges.

use std::time::Duration;

use super::shop;
use crate::memory;

/// So much of an answer is ever held, and the words of it that are kept.
const MEMORY_MAX: usize = 256 * 1024;

pub(super) fn run(bytes: &[u8]) {
    let Some(([manner, cut], answers)) = bytes.split_first_chunk() else { return };
    let to_head = manner & 1 == 1;
    let hear = |cut| {
        memory::within(MEMORY_MAX, || agent::fuzzing::varnish::answers(answers, cut, to_head))
    };
    // However the bytes come, they say the same.
    assert_eq!(hear(0), hear(usize::from(*cut)));
    let url = "https://a.com/".parse().expect("a URL");
    let pause = Duration::from_secs(u64::from(*cut));
    let fenced =
        agent::fuzzing::varnish::fences(answers, &shop::sites(), &shop::site().name, url, pause);
    assert!(fenced[1] || !fenced[0], "a host that is fenced at once is so later");
}
