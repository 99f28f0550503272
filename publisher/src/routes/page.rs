//! Pages of a list: how long they are, and the cursor that leads to the next one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::openapi::Operation;
use super::parameters::Parameters;

/// Rows of a page where no `limit` is given, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;

impl Operation<'_> {
    /// Takes what chooses a page.
    pub(super) fn paged(self) -> Self {
        self.query::<usize>("limit", "at most so many rows: 1 to 200; left out: 50")
            .query::<String>(
                "cursor",
                "the `next_cursor` of the page before, with the same filters",
            )
    }
}

impl Parameters {
    /// How many rows the page may have at most.
    pub(super) fn limit(&mut self) -> usize {
        let fix = format!("give 1 to {LIMIT_MAX}");
        let limit = self.value("limit", &fix).unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            self.mistake("limit", format!("is out of range; {fix}"));
        }
        limit
    }

    /// Where the page begins: what `place` reads from the bytes that [`cursor`] was given.
    pub(super) fn cursor<T>(
        &mut self,
        version: u8,
        place: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(self.text("cursor")?).unwrap_or_default();
        let place = match bytes.split_first() {
            Some((first, bytes)) if *first == version => place(bytes),
            _ => None,
        };
        if place.is_none() {
            self.mistake("cursor", "is none that this API gives; begin without one");
        }
        place
    }
}

/// Where the next page begins, as text. A list's cursors have a `version` of their own: another list's, or an older
/// build's, have another meaning.
pub(super) fn cursor(version: u8, place: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[version], place].concat())
}
