//! An inner lane of which only the progress is modelled, on the one line of the simulation.

use parking_lot::Mutex;
use schemas::{LineId, Number, Place};

use crate::Moment;
use crate::order::{Floors, Inner};

#[derive(Debug)]
pub(super) struct Model {
    line: LineId,
    /// When each number was settled, in order, and when it was final.
    applied: Mutex<Vec<Moment>>,
    finals: Mutex<Vec<Moment>>,
}

impl Model {
    pub(super) fn new(line: LineId) -> Self {
        Self { line, applied: Mutex::default(), finals: Mutex::default() }
    }

    /// It settles up to so many more of what is `committed`, and then makes so many more of that final.
    pub(super) fn go_on(&self, settles: usize, finishes: usize, committed: usize, now: Moment) {
        let mut applied = self.applied.lock();
        let up_to = committed.min(applied.len() + settles);
        applied.resize(up_to, now);
        let mut finals = self.finals.lock();
        let up_to = applied.len().min(finals.len() + finishes);
        finals.resize(up_to, now);
    }

    /// When a number was settled, and when it was final.
    pub(super) fn was(&self, number: Number) -> (Option<Moment>, Option<Moment>) {
        let at = usize::try_from(number - 1).expect("small");
        (self.applied.lock().get(at).copied(), self.finals.lock().get(at).copied())
    }
}

impl Inner for Model {
    fn settled(&self, place: Place) -> bool {
        place.number <= self.applied(place.line)
    }

    fn applied(&self, _: LineId) -> Number {
        self.applied.lock().len() as Number
    }

    fn finals(&self) -> Floors {
        [(self.line, self.finals.lock().len() as Number)].into()
    }

    fn broken(&self) -> bool {
        false
    }

    fn flushing(&self) -> bool {
        false
    }

    fn flushes(&self) -> u64 {
        0
    }

    fn has_obeyed(&self, _: uuid::Uuid) -> bool {
        true
    }
}
