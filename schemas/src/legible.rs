//! Text that others wrote, fit for a terminal, a log and a page.

use std::fmt::Write as _;

/// `text` on one line: whatever a terminal would obey, or no eye would see, is written as an escape.
pub fn legible(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same of several lines: their ends stay.
pub fn legible_lines(text: &str) -> String {
    escaped(&text.replace("\r\n", "\n"), |c| c == '\n')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // Quotes and backslashes are as harmless as letters.
        if stays(c) || c.is_ascii_graphic() {
            escaped.push(c);
        } else {
            write!(escaped, "{}", c.escape_debug()).expect("a String takes all text");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_as_escapes() {
        for (text, shown) in [
            ("405 \"Not\" \\ allowed’ für 日本", "405 \"Not\" \\ allowed’ für 日本"),
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\0"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("a\u{200b}b\u{2028}c", "a\\u{200b}b\\u{2028}c"),
        ] {
            assert_eq!(legible(text), shown, "{text:?}");
        }
    }

    #[test]
    fn of_several_lines_only_their_ends_stay() {
        assert_eq!(legible_lines("a: b\r\n\r\n<p>\rx\u{1b}c\n"), "a: b\n\n<p>\\rx\\u{1b}c\n");
    }
}
