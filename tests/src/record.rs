//! Frames as a publisher packs them, made without one: what a log holds before a run.

use std::sync::Arc;

use bytes::Bytes;
use daemon::Clock;
use schemas::{
    Audience, Frame, Heartbeat, Invalidation, LineId, LogMessage, Number, QueryMatch, Selector,
    Site, Sites, Url, wire,
};
use uuid::Uuid;

/// The host of the one site.
pub const HOST: &str = "www.example.com";
/// Who is said to speak.
const PUBLISHER: &str = "publisher-1";

/// The one site, with its one host.
///
/// # Panics
/// Never: the words are valid.
pub fn sites() -> Arc<Sites> {
    Arc::new(Sites::new([Site {
        name: "main".parse().expect("a name"),
        hosts: [HOST.parse().expect("a host")].into(),
        regions: Audience::All,
    }]))
}

/// What a number names, and no other one does.
pub type Named = fn(Number) -> Selector;

/// The frame of a line's numbers from `first` on, each with one URL that no other number has.
///
/// # Panics
/// Never: the words are valid.
pub fn frame(line: LineId, first: Number, count: u64) -> Frame {
    frame_of(line, first, count, page)
}

/// The same where each number names what it is told to.
///
/// # Panics
/// Never: the words are valid.
pub fn frame_of(
    line: LineId,
    first: Number,
    count: u64,
    named: impl Fn(Number) -> Selector,
) -> Frame {
    Frame {
        publisher: PUBLISHER.parse().expect("a name"),
        line,
        first,
        committed_at: Clock::system().now(),
        invalidations: (first..first + count).map(|number| invalidation(named(number))).collect(),
        signature: None,
    }
}

/// The bytes of frames of `each` invalidations, `count` in all, numbered from 1 on.
pub fn frames(line: LineId, count: u64, each: u64) -> impl Iterator<Item = Bytes> {
    frames_of(line, count, each, page)
}

/// The same where each number names something else than a page.
pub fn frames_of(line: LineId, count: u64, each: u64, named: Named) -> impl Iterator<Item = Bytes> {
    let firsts = (1..=count).step_by(usize::try_from(each).unwrap_or(usize::MAX));
    firsts.map(move |first| {
        let frame = frame_of(line, first, each.min(count + 1 - first), named);
        wire::encode_log(&LogMessage::Frame(frame))
    })
}

/// The bytes of a heartbeat of a line with its last number.
///
/// # Panics
/// Never: the words are valid.
pub fn heartbeat(line: LineId, last: Number) -> Bytes {
    wire::encode_log(&LogMessage::Heartbeat(Heartbeat {
        publisher: PUBLISHER.parse().expect("a name"),
        at: Clock::system().now(),
        lines: vec![(line, last)],
        agents: None,
    }))
}

/// The page of a number.
///
/// # Panics
/// Never: it is a URL.
pub fn page(number: Number) -> Selector {
    let url = format!("https://{HOST}/page/{number}").parse::<Url>().expect("a url");
    let Url { scheme, host, path, query } = url;
    Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) }
}

/// The tag of a number.
///
/// # Panics
/// Never: it is a tag.
pub fn tag(number: Number) -> Selector {
    Selector::Tag(format!("n{number}").parse().expect("a tag"))
}

/// The raw key of a number.
///
/// # Panics
/// Never: it is a key.
pub fn key(number: Number) -> Selector {
    Selector::Key(format!("n{number}").parse().expect("a key"))
}

/// The number that names this.
pub fn number(selector: &Selector) -> Option<Number> {
    let digits = match selector {
        Selector::Url { path, .. } => path.as_str().strip_prefix("/page/")?,
        Selector::Tag(tag) => tag.as_str().strip_prefix('n')?,
        Selector::Key(key) => key.as_str().strip_prefix('n')?,
        _ => return None,
    };
    digits.parse().ok()
}

fn invalidation(selector: Selector) -> Invalidation {
    let site = "main".parse().expect("a name");
    Invalidation::new(Uuid::now_v7(), site, vec![selector], Clock::system().now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_frame_holds_what_is_left() {
        let numbers =
            frames(LineId::from_bytes([1; 16]), 7, 3).map(|bytes| {
                match wire::decode_log(&bytes).expect("a frame") {
                    LogMessage::Frame(frame) => (frame.first, frame.invalidations.len()),
                    other => panic!("{other:?}"),
                }
            });
        assert_eq!(numbers.collect::<Vec<_>>(), [(1, 3), (4, 3), (7, 1)]);
    }

    #[test]
    fn what_a_number_names_tells_the_number() {
        for named in [page, tag, key] {
            let frame = frame_of(LineId::from_bytes([1; 16]), 41, 2, named);
            let named = frame.invalidations.iter().map(|one| number(&one.selectors[0]));
            assert_eq!(named.collect::<Vec<_>>(), [Some(41), Some(42)]);
        }
        assert_eq!(number(&Selector::Everything), None);
    }
}
