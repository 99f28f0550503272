//! What hears a Varnish, for `tests/fuzz`: bytes in, words out.

use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use schemas::{Mode, QueryMatch, Selector, SiteName, Sites, Url};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::answer::{Answer, Body};
use super::answering::Answering;
use super::fence::Fences;
use crate::driver::{Batch, Purge};

/// What is understood of `bytes` that come in two pieces: the answers, and why there is no further one.
pub fn answers(bytes: &[u8], cut: usize, to_head: bool) -> (Vec<String>, String) {
    let (mut answers, end) = read(bytes, cut, to_head);
    // Of a body that ends with its connection as much is kept as came with the head.
    for answer in answers.iter_mut().filter(|answer| answer.body == Body::UntilClose) {
        answer.exchange = None;
    }
    (answers.iter().map(|answer| format!("{answer:?}")).collect(), end)
}

/// Whether a host of the site is fenced again at once, and after `pause`, when these were the answers to its fence.
pub fn fences(
    bytes: &[u8],
    sites: &Sites,
    site: &SiteName,
    url: Url,
    pause: Duration,
) -> [bool; 2] {
    let Url { scheme, host, path, query } = url;
    let selector = Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) };
    let batch = Batch { purges: vec![Purge::new(site.clone(), selector, Mode::Hard)] };
    let (fences, began) = (Fences::new(Some(5)), Instant::now());
    let plan = fences.plan(&batch, sites, began);
    fences.purged(&plan, &[read(bytes, 0, false).0], began);
    [began, began + pause].map(|now| !fences.plan(&batch, sites, now).due.is_empty())
}

fn read(bytes: &[u8], cut: usize, to_head: bool) -> (Vec<Answer>, String) {
    let (early, late) = bytes.split_at(cut.min(bytes.len()));
    let mut unread = BytesMut::new();
    let mut answering = Answering { read: early.chain(late), unread: &mut unread };
    let mut answers = Vec::new();
    loop {
        match answering
            .next(to_head)
            .now_or_never()
            .expect("bytes that are here are not waited for")
        {
            Ok(answer) if answer.closes => {
                answers.push(answer);
                return (answers, "closes".to_owned());
            }
            Ok(answer) => answers.push(answer),
            Err(error) => return (answers, crate::error_chain(&error)),
        }
    }
}
