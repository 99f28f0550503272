//! What was asked of a consumer and has not come yet. A server that owes nothing sends nothing: so more is asked for while
//! it still owes some, and a reader that is far away never waits for its own request to arrive. Knows no clock.

use std::time::Duration;

use tokio::time::Instant;

/// Most messages asked for at once.
const MESSAGES: usize = 1_024;
/// Most bytes asked for at once; what is larger than that is asked for alone.
const BYTES: usize = 1 << 20;
/// The server forgets a pull after this; heartbeats end with it.
pub(super) const EXPIRES: Duration = Duration::from_secs(30);
/// A pull that has brought little is followed by another one after this: longer before the server forgets it than any way
/// there takes.
const FRESH: Duration = Duration::from_secs(20);
/// Whatever the server says of the pulls that it has ended, no more than this is asked for on top of it.
const OWED_MAX: usize = 2 * MESSAGES;

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pull {
    /// How many messages at most.
    pub(super) messages: usize,
    /// How many bytes at most; without a limit, where none would let the next message through.
    pub(super) bytes: Option<usize>,
}

const MANY: Pull = Pull { messages: MESSAGES, bytes: Some(BYTES) };
const ONE: Pull = Pull { messages: 1, bytes: None };

/// Everything that is owed.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    messages: usize,
    bytes: usize,
    /// When many were asked for last.
    asked: Option<Instant>,
    /// The next message is larger than what was asked for, and no other pull is open.
    too_large: bool,
}

impl Pulls {
    /// What should be asked for now; to be asked again after each.
    pub(super) fn wanted(&self, now: Instant) -> Option<Pull> {
        if self.too_large {
            return Some(ONE);
        }
        let fresh = self.asked.is_some_and(|asked| now < asked + FRESH);
        let enough = self.messages > MESSAGES / 2 && self.bytes > BYTES / 2 && fresh;
        (!enough && self.messages <= OWED_MAX).then_some(MANY)
    }

    /// It was asked for.
    pub(super) fn asked(&mut self, pull: Pull, now: Instant) {
        self.messages += pull.messages;
        self.bytes += pull.bytes.unwrap_or_default();
        match pull.bytes {
            Some(_) => self.asked = Some(now),
            None => self.too_large = false,
        }
    }

    /// A message of so many bytes came.
    pub(super) fn came(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The server has ended a pull of which it still owed that, maybe because the next message is larger.
    pub(super) fn ended(&mut self, messages: usize, bytes: usize, too_large: bool) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.too_large = too_large && self.messages == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks for all that is wanted.
    fn ask(pulls: &mut Pulls, now: Instant) -> Vec<Pull> {
        let mut asked = Vec::new();
        while let Some(pull) = pulls.wanted(now) {
            pulls.asked(pull, now);
            asked.push(pull);
        }
        asked
    }

    /// One that has asked.
    fn opened(now: Instant) -> Pulls {
        let mut pulls = Pulls::default();
        assert_eq!(ask(&mut pulls, now), [MANY]);
        pulls
    }

    #[test]
    fn more_is_asked_for_once_half_of_the_messages_have_come() {
        let now = Instant::now();
        let mut pulls = opened(now);
        for _ in 1..MESSAGES / 2 {
            pulls.came(100);
            assert_eq!(pulls.wanted(now), None);
        }
        pulls.came(100);
        assert_eq!(ask(&mut pulls, now), [MANY]);
    }

    #[test]
    fn more_is_asked_for_once_half_of_the_bytes_have_come() {
        let now = Instant::now();
        let mut pulls = opened(now);
        pulls.came(BYTES / 2 - 1);
        assert_eq!(pulls.wanted(now), None);
        pulls.came(1);
        assert_eq!(ask(&mut pulls, now), [MANY]);
    }

    #[test]
    fn a_pull_is_followed_before_the_server_forgets_it_and_forgotten_with_it() {
        let began = Instant::now();
        let mut pulls = opened(began);
        assert_eq!(pulls.wanted(began + FRESH - SECOND), None);
        assert_eq!(ask(&mut pulls, began + FRESH), [MANY]);
        pulls.ended(MESSAGES, BYTES, false);
        assert_eq!(pulls.wanted(began + EXPIRES), None, "the second is still open");
        assert_eq!((pulls.messages, pulls.bytes), (MESSAGES, BYTES));
        pulls.ended(MESSAGES, BYTES, false);
        assert_eq!(ask(&mut pulls, began + EXPIRES), [MANY]);
    }

    #[test]
    fn a_message_that_no_limit_lets_through_is_asked_for_alone_and_more_with_it() {
        let now = Instant::now();
        let mut pulls = opened(now);
        pulls.ended(MESSAGES, BYTES, true);
        assert_eq!(ask(&mut pulls, now), [ONE, MANY]);
        pulls.came(BYTES * 8);
        pulls.ended(MESSAGES, BYTES, true);
        assert_eq!(ask(&mut pulls, now), [ONE, MANY]);
    }

    #[test]
    fn a_pull_that_is_too_small_is_no_matter_while_another_one_is_open() {
        let now = Instant::now();
        let mut pulls = opened(now);
        pulls.came(BYTES / 2);
        assert_eq!(ask(&mut pulls, now), [MANY]);
        pulls.ended(MESSAGES - 1, BYTES / 2, true);
        assert_eq!(pulls.wanted(now), None);
    }

    #[test]
    fn what_is_asked_for_stays_bounded_whatever_the_server_says() {
        let now = Instant::now();
        let mut pulls = Pulls::default();
        for _ in 0..100 {
            ask(&mut pulls, now);
            pulls.ended(0, BYTES, false);
        }
        assert!(pulls.messages <= OWED_MAX + MESSAGES);
        pulls.ended(usize::MAX, usize::MAX, true);
        assert_eq!(ask(&mut pulls, now), [ONE, MANY]);
    }
}
