//! Paths: absolute, without dot segments, and the prefixes that include them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::percent;
use crate::Refusal;
use crate::text::text;

/// What clients send encoded in a path even when it was written raw (WHATWG URL, path percent-encode set).
const ALWAYS_ENCODED: &[u8] = b"\"<>`{}^";

text! {
    /// An absolute path: bytes 0x21 to 0x7E, percent-encoding normalised, no dot segments.
    Path = "path", canonical;
}

impl Path {
    /// The path prefixes that include this path, longest first: `/a/b` lies below `/a/b`, `/a/`, `/a` and `/`.
    pub fn prefixes(&self) -> impl Iterator<Item = Self> + '_ {
        let bytes = self.0.as_bytes();
        (1..=bytes.len())
            .rev()
            .filter(|&end| {
                bytes[end - 1] == b'/' || bytes.get(end).is_none_or(|next| *next == b'/')
            })
            .map(|end| Self(self.0[..end].into()))
    }
}

fn canonical<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    if !text.starts_with('/') {
        return Err(Refusal::new(what, "does not start with '/'"));
    }
    if text.contains('?') {
        return Err(Refusal::new(what, "holds '?'; leave the query out, or write %3F"));
    }
    let path = percent::canonical(what, text, ALWAYS_ENCODED)?;
    refuse_dot_segments(what, &path)?;
    Ok(path)
}

/// Refuses `.` and `..`, and what some servers take for them: `..;x`, and both between encoded slashes.
fn refuse_dot_segments(what: &'static str, path: &str) -> Result<(), Refusal> {
    // A dot has no other spelling.
    if !path.contains('.') {
        return Ok(());
    }
    if path.split('/').any(is_dots) {
        let reason = format!("holds a dot segment; write {}", without_dot_segments(path));
        return Err(Refusal::new(what, reason));
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let disguised = decoded.split(['/', '\\']).any(|segment| {
        segment.split_once(';').is_some_and(|(name, _)| is_dots(name)) || is_dots(segment)
    });
    if disguised {
        return Err(Refusal::new(
            what,
            "holds what some servers take for a dot segment (before ';' or an encoded slash); leave it out",
        ));
    }
    Ok(())
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// The path with its dot segments resolved (RFC 3986, 5.2.4).
fn without_dot_segments(path: &str) -> String {
    let mut kept = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = is_dots(segment);
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::url::PATH_BYTES_MAX;

    fn refusal(text: &str) -> String {
        text.parse::<Path>().expect_err(text).to_string()
    }

    #[test]
    fn a_path_has_one_spelling() {
        for (written, canonical) in [
            ("/", "/"),
            ("//", "//"),
            ("/%41%7e%2d", "/A~-"),
            ("/a%2fb%3f%23", "/a%2Fb%3F%23"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/my%20file", "/my%20file"),
            ("/{id}/<b>\"", "/%7Bid%7D/%3Cb%3E%22"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/a;v=1,2/b@c:d!$&'()*+=|[]", "/a;v=1,2/b@c:d!$&'()*+=|[]"),
            ("/...", "/..."),
            ("/a%5Cb", "/a%5Cb"),
        ] {
            assert_eq!(written.parse::<Path>().map(String::from).as_deref(), Ok(canonical));
            assert_eq!(Path::from_canonical(written).is_ok(), written == canonical, "{written}");
        }
    }

    #[test]
    fn bytes_that_no_client_sends_are_refused_with_the_fix() {
        for (written, reason) in [
            ("a", "path does not start with '/'"),
            ("", "path does not start with '/'"),
            ("/a b", "path holds ' ' at byte 2; write %20"),
            ("/a\\b", "path holds '\\\\' at byte 2; write / between segments, or %5C"),
            ("/a?b", "path holds '?'; leave the query out, or write %3F"),
            ("/a#b", "path holds '#' at byte 2; leave the fragment out, or write %23"),
            ("/é", "path holds 'é' at byte 1; write %C3%A9"),
            ("/a\0", "path holds '\\0' at byte 2; no URL may hold control characters"),
            ("/a\r\nX: y", "path holds '\\r' at byte 2; no URL may hold control characters"),
            ("/a\u{7f}", "path holds '\\u{7f}' at byte 2; no URL may hold control characters"),
            ("/a%00", "path encodes the control character '\\0'; leave it out"),
            ("/a%0d%0aX", "path encodes the control character '\\r'; leave it out"),
            ("/a%0A", "path encodes the control character '\\n'; leave it out"),
            ("/a%09", "path encodes the control character '\\t'; leave it out"),
            ("/a%7F", "path encodes the control character '\\u{7f}'; leave it out"),
            ("/%C2%85", "path encodes the control character '\\u{85}'; leave it out"),
            ("/%C0%AF", "path encodes bytes that are not UTF-8; encode the text as UTF-8"),
            ("/%E0%80%AF", "path encodes bytes that are not UTF-8; encode the text as UTF-8"),
            ("/%C0%80", "path encodes bytes that are not UTF-8; encode the text as UTF-8"),
            ("/%ED%A0%80", "path encodes bytes that are not UTF-8; encode the text as UTF-8"),
            ("/%E9", "path encodes bytes that are not UTF-8; encode the text as UTF-8"),
            ("/%", "path holds a '%' that two hexadecimal digits do not follow; write %25"),
            ("/%4", "path holds a '%' that two hexadecimal digits do not follow; write %25"),
            ("/%+1x", "path holds a '%' that two hexadecimal digits do not follow; write %25"),
        ] {
            assert_eq!(refusal(written), reason, "{written:?}");
        }
    }

    #[test]
    fn dot_segments_are_refused_and_the_canonical_spelling_is_named() {
        for (written, canonical) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/%2e", "/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/../../etc", "/etc"),
            ("/a//../b", "/a/b"),
        ] {
            assert_eq!(refusal(written), format!("path holds a dot segment; write {canonical}"));
            assert!(canonical.parse::<Path>().is_ok());
        }
    }

    #[test]
    fn disguised_dot_segments_are_refused() {
        for written in ["/a/..;/b", "/a/.;x=1/b", "/a/..%3bv/b", "/a%2f..%2fb", "/a/..%5cb"] {
            assert!(refusal(written).contains("some servers take for a dot segment"), "{written}");
        }
    }

    #[test]
    fn the_limit_counts_canonical_bytes() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert!(longest.parse::<Path>().is_ok());
        assert!(format!("/{}", "%61".repeat(PATH_BYTES_MAX - 1)).parse::<Path>().is_ok());
        assert_eq!(
            refusal(&format!("{longest}a")),
            "path is 2049 bytes long; give at most 2048, or purge a prefix or a tag"
        );
        assert!(format!("/{}", "{".repeat(PATH_BYTES_MAX / 3)).parse::<Path>().is_ok());
        assert!(format!("/{}", "{".repeat(PATH_BYTES_MAX / 3 + 1)).parse::<Path>().is_err());
    }

    fn covers(prefix: &str, path: &str) -> bool {
        path == prefix
            || path.strip_prefix(prefix).is_some_and(|below| below.starts_with('/'))
            || prefix.ends_with('/') && path.starts_with(prefix)
    }

    #[test]
    fn a_prefix_is_made_of_whole_segments() {
        let prefixes = |path: &str| {
            path.parse::<Path>().unwrap().prefixes().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(prefixes("/blog/a"), ["/blog/a", "/blog/", "/blog", "/"]);
        assert_eq!(prefixes("/blogger"), ["/blogger", "/"]);
        assert_eq!(prefixes("/blog"), ["/blog", "/"]);
        assert_eq!(prefixes("/"), ["/"]);
    }

    proptest! {
        #[test]
        fn whatever_parses_is_canonical(text in "/([a-c./%;{}0-9A-F~]|%[0-9a-fA-F]{2}|%25[2-6][0-9A-F]){0,9}|/[ -~]{0,8}") {
            if let Ok(path) = text.parse::<Path>() {
                prop_assert_eq!(Path::from_canonical(path.as_str()), Ok(path));
            }
        }

        #[test]
        fn the_prefixes_of_a_path_are_those_that_cover_it(
            path in "/[ab/]{0,8}", other in "/[ab/]{0,8}",
        ) {
            let prefixes: Vec<_> = path.parse::<Path>().unwrap().prefixes().map(String::from).collect();
            prop_assert!(prefixes.is_sorted_by(|longer, shorter| longer.len() > shorter.len()));
            prop_assert_eq!(prefixes.contains(&other), covers(&other, &path));
            for end in 1..=path.len() {
                let start = &path[..end];
                prop_assert_eq!(prefixes.iter().any(|prefix| prefix == start), covers(start, &path));
            }
        }
    }
}
