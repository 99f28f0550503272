//! When a client that nobody answers is replaced.
//!
//! A cluster that has just come back may say for a moment that it has no brokers: all were taken for dead. librdkafka
//! then gives up the brokers it knows, those of its configuration too, and may never ask again. Only another client
//! helps. A cluster that is really down looks the same; so clients are replaced ever more rarely while nobody answers.

use std::time::Duration;

use tokio::time::Instant;

/// A client is replaced after so long without any answer.
const FIRST: Duration = Duration::from_secs(12);
/// And at least this long after the one before, however long nobody answers.
const LONGEST: Duration = Duration::from_mins(1);

/// How long one kind of client has had no answer.
#[derive(Debug)]
pub(super) struct Silence {
    since: Option<Instant>,
    patience: Duration,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self { since: None, patience: FIRST }
    }

    /// Somebody has answered.
    pub(super) fn over(&mut self) {
        *self = Self::new();
    }

    /// Nobody has answered; `true` if it is time for another client, which then has its own time.
    pub(super) fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let replace = now.duration_since(since) >= self.patience;
        if replace {
            self.since = Some(now);
            self.patience = (self.patience * 2).min(LONGEST);
        }
        replace
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// After how many seconds of silence, asked each second, another client is due.
    async fn replacements(silence: &mut Silence, seconds: u32) -> Vec<u32> {
        let mut due = Vec::new();
        for second in 0..seconds {
            if silence.goes_on() {
                due.push(second);
            }
            advance(Duration::from_secs(1)).await;
        }
        due
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_replaced_ever_more_rarely_until_somebody_answers() {
        let mut silence = Silence::new();
        assert_eq!(replacements(&mut silence, 240).await, [12, 36, 84, 144, 204]);
        silence.over();
        assert_eq!(replacements(&mut silence, 30).await, [12]);
    }
}
