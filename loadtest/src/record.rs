//! Frames as a publisher packs them, made without one: what a log holds before a run.

use std::collections::BTreeMap;

use bytes::Bytes;
use daemon::Clock;
use schemas::{
    Audience, Frame, Heartbeat, Invalidation, LineId, LogMessage, Mode, Number, Priority,
    QueryMatch, Selector, Url, wire,
};
use uuid::Uuid;

/// The host of the one site.
pub(crate) const HOST: &str = "www.example.com";
/// Who is said to speak.
const PUBLISHER: &str = "publisher-1";

/// The frame of a line's numbers from `first` on, each with one URL that no other number has.
///
/// # Panics
/// Never: the words are valid.
pub(crate) fn frame(line: LineId, first: Number, count: u64) -> Frame {
    Frame {
        publisher: PUBLISHER.parse().expect("a name"),
        line,
        first,
        committed_at: Clock::system().now(),
        invalidations: (first..first + count).map(invalidation).collect(),
        signature: None,
    }
}

/// The bytes of frames of `each` invalidations, `count` in all, numbered from 1 on.
pub(crate) fn frames(line: LineId, count: u64, each: u64) -> impl Iterator<Item = Bytes> {
    let firsts = (1..=count).step_by(usize::try_from(each).unwrap_or(usize::MAX));
    firsts.map(move |first| {
        let frame = frame(line, first, each.min(count + 1 - first));
        wire::encode_log(&LogMessage::Frame(frame))
    })
}

/// The bytes of a heartbeat of a line with its last number.
///
/// # Panics
/// Never: the words are valid.
pub(crate) fn heartbeat(line: LineId, last: Number) -> Bytes {
    wire::encode_log(&LogMessage::Heartbeat(Heartbeat {
        publisher: PUBLISHER.parse().expect("a name"),
        at: Clock::system().now(),
        lines: vec![(line, last)],
        agents: None,
    }))
}

/// The number of which this is the path.
pub(crate) fn number(path: &str) -> Option<Number> {
    path.strip_prefix("/page/")?.parse().ok()
}

fn invalidation(number: Number) -> Invalidation {
    let url = format!("https://{HOST}/page/{number}").parse::<Url>().expect("a url");
    let Url { scheme, host, path, query } = url;
    Invalidation {
        id: Uuid::now_v7(),
        site: "main".parse().expect("a name"),
        selectors: vec![Selector::Url { scheme, host, path, query: QueryMatch::Exact(query) }],
        mode: Mode::Hard,
        priority: Priority::Normal,
        audience: Audience::All,
        accepted_at: Clock::system().now(),
        expires_in: None,
        after: None,
        reason: None,
        labels: BTreeMap::new(),
    }
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
    fn a_path_tells_its_number() {
        let frame = frame(LineId::from_bytes([1; 16]), 41, 2);
        let numbers = frame.invalidations.iter().map(|invalidation| {
            let [Selector::Url { path, .. }] = &invalidation.selectors[..] else { panic!("a url") };
            number(path.as_str())
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(41), Some(42)]);
        assert_eq!(number("/other/1"), None);
    }
}
