//! What an answer's head says, read with `httparse` under limits.

use std::time::Duration;

use schemas::Exchange;

use super::connection::ExchangeError;

/// Longest status line and headers.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 100;

/// One answer, as far as a purge cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `X-Varnish` is there: Varnish answered.
    pub(super) varnish: bool,
    /// The transaction that stored the object: `X-Varnish` names it second. It tells objects apart.
    pub(super) stored_by: Option<String>,
    /// It has an `Age`: an object, or what the origin said, not something that the VCL made up.
    pub(super) has_age: bool,
    /// What our VCL says of itself.
    pub(super) purgebus: Option<String>,
    /// How our VCL names the cache.
    pub(super) cache: Option<String>,
    /// The fence that our VCL has raised.
    pub(super) fence: Option<Fence>,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Body,
    /// Nothing more will come on this connection.
    pub(super) closes: bool,
    /// How it begins, where it says that something is wrong: set once its body was read.
    pub(super) exchange: Option<Exchange>,
}

/// The fence of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence {
    /// How long fetches of this host take, once there was one.
    pub(super) fetch: Option<Duration>,
}

/// How far the body reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Answer {
    /// Whether it says that something is wrong.
    pub(super) fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// Whether it is an object from the cache.
    pub(super) fn is_hit(&self) -> bool {
        self.stored_by.is_some()
    }
}

/// The first answer in `bytes` and the length of its head; `None` if more bytes are needed.
pub(super) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<(Answer, usize)>, ExchangeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes).map_err(ExchangeError::Garbage)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        httparse::Status::Partial => return Err(ExchangeError::TooLong("head")),
    };
    let status = head.code.unwrap_or_default();
    if status < 200 {
        return Err(ExchangeError::Unexpected("an interim answer"));
    }
    let values = Values(head.headers);
    // What lies behind it may be another Varnish, whose own line comes first.
    let transactions = values.all("x-varnish").last();
    let fenced = values.first("x-purgebus-fenced");
    let answer = Answer {
        status,
        varnish: transactions.is_some_and(|ids| !ids.trim().is_empty()),
        stored_by: transactions.and_then(|ids| ids.split_whitespace().nth(1)).map(shortened),
        has_age: values.first("age").is_some(),
        purgebus: values.first("x-purgebus").map(shortened),
        cache: values.first("x-purgebus-cache").map(shortened),
        fence: fenced.map(|fetch| Fence { fetch: seconds(fetch) }),
        retry_after: values
            .first("retry-after")
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs),
        body: if to_head || matches!(status, 204 | 304) {
            Body::Length(0)
        } else {
            values.body()?
        },
        closes: head.version != Some(1) || values.lists("connection", "close"),
        exchange: None,
    };
    Ok(Some((answer, length)))
}

/// Beyond this a word of an answer is cut: it may stand in an error.
const WORD_CHARS_MAX: usize = 100;

fn shortened(word: &str) -> String {
    word.chars().take(WORD_CHARS_MAX).collect()
}

/// Reads `0.501s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

struct Values<'headers, 'bytes>(&'headers [httparse::Header<'bytes>]);

impl Values<'_, '_> {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| str::from_utf8(header.value).ok())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// Two lengths, or a length beside chunks, leave it open where the next answer begins.
    fn body(&self) -> Result<Body, ExchangeError> {
        let mut lengths = self.all("content-length");
        let encoding = self.first("transfer-encoding");
        match (lengths.next(), lengths.next(), encoding) {
            (None, None, None) => Ok(Body::UntilClose),
            (None, None, Some(encoding)) if encoding.eq_ignore_ascii_case("chunked") => {
                Ok(Body::Chunked)
            }
            (Some(length), None, None) => length
                .parse()
                .map(Body::Length)
                .map_err(|_| ExchangeError::Unexpected("a body without a clear length")),
            _ => Err(ExchangeError::Unexpected("a body without a clear length")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Answer {
        pub(in crate::driver::varnish) fn of(status: u16) -> Self {
            parsed(&format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n"))
        }
    }

    fn parsed(text: &str) -> Answer {
        parse(text.as_bytes(), false).unwrap().unwrap().0
    }

    #[test]
    fn a_purge_by_our_vcl_is_understood() {
        let text = "HTTP/1.1 200 Purged\r\nX-Varnish: 3\r\nX-Purgebus: 1; depth=8\r\nContent-Length: 0\r\n\r\n";
        let answer = parsed(text);
        assert_eq!((answer.status, answer.varnish, answer.has_age), (200, true, false));
        assert_eq!(answer.purgebus.as_deref(), Some("1; depth=8"));
        assert_eq!((answer.body, answer.closes), (Body::Length(0), false));
    }

    #[test]
    fn a_fence_tells_how_long_fetches_take_where_that_is_known() {
        for (value, fetch) in [
            ("0.501s", Some(Duration::from_millis(501))),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("infs", None),
            ("nans", None),
            ("9e99s", None),
        ] {
            let answer =
                parsed(&format!("HTTP/1.1 200 Purged\r\nX-Purgebus-Fenced: {value}\r\n\r\n"));
            assert_eq!(answer.fence, Some(Fence { fetch }), "{value}");
        }
        assert_eq!(Answer::of(200).fence, None);
    }

    #[test]
    fn a_hit_names_two_transactions() {
        assert!(parsed("HTTP/1.1 200 OK\r\nX-Varnish: 5 3\r\nAge: 4\r\n\r\n").is_hit());
        assert!(!parsed("HTTP/1.1 200 OK\r\nX-Varnish: 5\r\nAge: 0\r\n\r\n").is_hit());
    }

    #[test]
    fn of_two_varnishes_the_one_that_was_asked_says_whether_it_is_a_hit() {
        let both = |outer: &str| {
            parsed(&format!("HTTP/1.1 200 OK\r\nX-Varnish: 7 4\r\nX-Varnish: {outer}\r\n\r\n"))
        };
        assert!(!both("9").is_hit());
        assert_eq!(both("9 8").stored_by.as_deref(), Some("8"));
    }

    #[test]
    fn what_leaves_the_end_of_a_body_open_is_an_error() {
        for headers in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: -1",
            "Transfer-Encoding: gzip",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
            assert!(parse(text.as_bytes(), false).is_err(), "{headers}");
        }
    }

    #[test]
    fn a_date_to_retry_after_and_an_old_protocol_are_taken_calmly() {
        let answer =
            parsed("HTTP/1.0 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n");
        assert_eq!(
            (answer.retry_after, answer.closes, answer.body),
            (None, true, Body::UntilClose)
        );
        assert_eq!(
            parsed("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n").retry_after,
            Some(Duration::from_secs(7))
        );
    }
}
