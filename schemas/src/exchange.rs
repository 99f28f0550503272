//! What a cache answered when it refused, in its own words: whoever wrote them, they are bounded, and only text.

/// Longest status line that is kept, in bytes.
const STATUS_BYTES_MAX: usize = 256;
/// So much of what follows it is kept, in bytes.
const ANSWER_BYTES_MAX: usize = 1_024;
/// Longest character, in bytes.
const CHARACTER_BYTES_MAX: usize = 4;

/// The beginning of an answer. It may hold whatever a cache can say: see [`legible`](crate::legible).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    status: String,
    answer: Option<String>,
}

impl Exchange {
    /// A status line and what followed it, as they came: what is no UTF-8 is replaced, what is too long is cut.
    pub fn new(status: &[u8], answer: &[u8]) -> Self {
        let answer = Some(beginning(answer, ANSWER_BYTES_MAX));
        Self { status: beginning(status, STATUS_BYTES_MAX), answer }
    }

    /// No more than the status line, where there is no room for the rest.
    #[must_use]
    pub fn without_answer(self) -> Self {
        Self { answer: None, ..self }
    }

    /// `HTTP/1.1 405 Not Allowed`, or what stands for that where no HTTP is spoken.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The first 1 KiB of what followed; `None` where it was left out.
    pub fn answer(&self) -> Option<&str> {
        self.answer.as_deref()
    }
}

/// The first so many bytes as text, without a part of a character at the end.
fn beginning(bytes: &[u8], most: usize) -> String {
    let bytes = &bytes[..bytes.len().min(most + CHARACTER_BYTES_MAX)];
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_at_the_end_is_whole_or_not_there() {
        let long = "ü".repeat(1_000);
        let exchange = Exchange::new(format!("x{long}").as_bytes(), long.as_bytes());
        assert_eq!(exchange.status(), format!("x{}", "ü".repeat(127)));
        assert_eq!(exchange.answer(), Some(&*"ü".repeat(512)));
        assert_eq!(exchange.without_answer().answer(), None);
    }

    proptest! {
        #[test]
        fn whatever_a_cache_says_is_bounded_text_and_stays_as_it_is(
            status in proptest::collection::vec(any::<u8>(), 0..600),
            answer in proptest::collection::vec(any::<u8>(), 0..3_000),
        ) {
            let exchange = Exchange::new(&status, &answer);
            let told = exchange.answer().expect("it was not left out");
            prop_assert!(exchange.status().len() <= 256 && told.len() <= 1_024);
            prop_assert_eq!(&Exchange::new(exchange.status().as_bytes(), told.as_bytes()), &exchange);
        }
    }
}
