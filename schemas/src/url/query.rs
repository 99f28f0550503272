//! Queries: significant to the byte once normalised.

use std::borrow::Cow;

use super::percent;
use crate::Refusal;
use crate::text::text;

/// What clients send encoded in a query even when it was written raw (WHATWG URL, query percent-encode set).
const ALWAYS_ENCODED: &[u8] = b"\"<>";

text! {
    /// A query without its question mark; significant to the byte after normalisation.
    Query = "query", canonical;
}

fn canonical<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    percent::canonical(what, text, ALWAYS_ENCODED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_has_one_spelling() {
        for (written, canonical) in [
            ("", ""),
            ("a=%41&b=%26", "a=A&b=%26"),
            ("f[x]=1|2&u=/a/../b?c", "f[x]=1|2&u=/a/../b?c"),
            ("q=\"<b>\"", "q=%22%3Cb%3E%22"),
            ("q=a+b%2bc%20d", "q=a+b%2Bc%20d"),
        ] {
            assert_eq!(written.parse::<Query>().map(String::from).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn bytes_that_no_client_sends_are_refused() {
        for written in ["a b", "a#b", "a\\b", "é", "a\r\n", "%0d%0a", "%00", "%C0%AF", "%zz", "\0"]
        {
            let refusal = written.parse::<Query>().expect_err(written);
            assert_eq!(refusal.what(), "query");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_canonical(text in "([ -~]|%[0-9a-fA-F]{2}){0,12}") {
            if let Ok(query) = text.parse::<Query>() {
                prop_assert_eq!(Query::from_canonical(query.as_str()), Ok(query));
            }
        }
    }
}
