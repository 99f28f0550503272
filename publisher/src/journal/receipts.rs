//! Callers whose invalidations are committed, until the broker has them or their patience ends.
//!
//! They wait together, frame by frame: an ack wakes each of them once, and none needs a timer of its own.

use parking_lot::Mutex;
use schemas::api::Durable;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Identity, Receipt, Refusal};

/// Who gets a receipt.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) done: oneshot::Sender<Result<Receipt, Refusal>>,
}

/// The callers of one frame.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Of the frame.
    pub(super) sequence: u64,
    /// They wait no longer.
    pub(super) until: Instant,
    pub(super) callers: Vec<Caller>,
}

/// The callers that wait for one stream.
#[derive(Debug, Default)]
pub(super) struct Receipts(Mutex<Vec<Waiting>>);

impl Receipts {
    /// Holds callers back; nothing is checked.
    pub(super) fn hold(&self, waiting: Waiting) {
        self.0.lock().push(waiting);
    }

    /// The broker has everything below the sequence `forwarded`.
    pub(super) fn acked(&self, forwarded: u64) {
        self.answer(Durable::Broker, |waiting| waiting.sequence < forwarded);
    }

    /// Answers whose patience has ended; tells when that of the next one will.
    pub(super) fn overdue(&self, now: Instant) -> Option<Instant> {
        self.answer(Durable::Journal, |waiting| waiting.until <= now);
        self.0.lock().iter().map(|waiting| waiting.until).min()
    }

    /// Answers everyone: nobody will ack any more.
    pub(super) fn end(&self) {
        self.answer(Durable::Journal, |_| true);
    }

    fn answer(&self, durable: Durable, which: impl Fn(&Waiting) -> bool) {
        let answered: Vec<Waiting> =
            self.0.lock().extract_if(.., |waiting| which(waiting)).collect();
        for caller in answered.into_iter().flat_map(|waiting| waiting.callers) {
            caller.answer(durable);
        }
    }
}

impl Caller {
    /// Gives it its receipt.
    pub(super) fn answer(self, durable: Durable) {
        let Identity { id, place, accepted_at } = self.identity;
        give(self.done, Ok(Receipt { id, place, durable, accepted_at }));
    }
}

/// Tells a caller what became of its wish.
pub(super) fn give(
    done: oneshot::Sender<Result<Receipt, Refusal>>,
    verdict: Result<Receipt, Refusal>,
) {
    if done.send(verdict).is_err() {
        tracing::trace!("a caller left before its receipt");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use schemas::{LineId, Place};
    use uuid::Uuid;

    use super::*;

    type Told = oneshot::Receiver<Result<Receipt, Refusal>>;

    /// Two callers of a frame of that sequence.
    fn hold(receipts: &Receipts, sequence: u64, until: Instant) -> [Told; 2] {
        let line = LineId::from_bytes([1; 16]);
        let channels = [1, 2].map(|number| (Place { line, number }, oneshot::channel()));
        let (mut callers, mut told) = (Vec::new(), Vec::new());
        for (place, (done, receiver)) in channels {
            let identity = Identity { id: Uuid::nil(), place, accepted_at: Timestamp::UNIX_EPOCH };
            callers.push(Caller { identity, done });
            told.push(receiver);
        }
        receipts.hold(Waiting { sequence, until, callers });
        told.try_into().unwrap()
    }

    /// What both were told, if they were.
    fn told(callers: &mut [Told; 2]) -> Option<[(u64, Durable); 2]> {
        let [one, other] = callers.each_mut().map(|caller| caller.try_recv().ok());
        Some([one?, other?].map(|receipt| receipt.unwrap()).map(|it| (it.place.number, it.durable)))
    }

    #[test]
    fn an_ack_answers_all_callers_of_what_lies_below_it() {
        let (receipts, until) = (Receipts::default(), Instant::now());
        let [mut below, mut at] = [6, 7].map(|sequence| hold(&receipts, sequence, until));
        receipts.acked(7);
        assert_eq!(told(&mut below), Some([(1, Durable::Broker), (2, Durable::Broker)]));
        assert_eq!(told(&mut at), None);
        receipts.acked(8);
        assert_eq!(told(&mut at), Some([(1, Durable::Broker), (2, Durable::Broker)]));
    }

    #[test]
    fn patience_ends_in_time_whatever_the_sequence() {
        let (receipts, now) = (Receipts::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        let (mut early, mut late) = (hold(&receipts, 9, now), hold(&receipts, 3, later));
        assert_eq!(receipts.overdue(now), Some(later));
        assert_eq!(told(&mut early), Some([(1, Durable::Journal), (2, Durable::Journal)]));
        assert_eq!(told(&mut late), None);
        assert_eq!(receipts.overdue(later), None);
        assert_eq!(told(&mut late), Some([(1, Durable::Journal), (2, Durable::Journal)]));
    }
}
