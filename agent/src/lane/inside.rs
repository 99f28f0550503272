//! A cursor that lies inside the cache: read on every new connection, and fallen back to where the cache has lost what
//! was done there.
//!
//! ```text
//! no session --read--> same server, same cursor, or evicted -> go on as before
//!     ^                another cursor                       -> a new life, from there
//!     |                none, or no cursor                   -> a new life without one: flush, or replay
//!     +-- a connection that failed, or holds another cursor than was stored
//! ```

use std::time::Duration;

use bytes::Bytes;
use schemas::{Cursor, Number, wire};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Lane;
use super::remembering::gone_on_from;
use crate::Moment;
use crate::driver::{Content, Session, Shelved};
use crate::errand::{self, Flights, Inward};
use crate::machine::Failure;

/// An idle connection is looked at so often: it may have died, or lead to other data by now.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Beyond every number that publishers give, and far from where counting ends.
const NUMBER_MAX: Number = Number::MAX / 2;
/// Most lines or partitions in a cursor.
const ROWS_MAX: usize = 10_000;

/// The state of a lane whose cursor lies inside its cache.
#[derive(Debug)]
pub(super) struct Inside {
    /// The connection on which the cursor was read last.
    session: Option<Session>,
    /// Which server that was, or the one of the copy in the state folder.
    server: Option<String>,
    reading: bool,
    looking: bool,
    looked: Instant,
}

impl Inside {
    /// Nothing was read yet; the copy in the state folder is of that `server`.
    pub(super) fn new(server: Option<String>, now: Instant) -> Self {
        Self { session: None, server, reading: false, looking: false, looked: now }
    }
}

/// What a lane makes of what it has read.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing can have been lost.
    Stay,
    /// The cache is as this cursor says.
    Return(Box<Cursor>),
    /// There is no telling what the cache has seen, and why.
    Nothing(Loss),
}

/// Why there is no cursor.
#[derive(Debug, PartialEq, Eq)]
enum Loss {
    Missing,
    Undecodable(String),
}

impl Lane {
    /// Whether purges may go out. One that is done on a new connection before the cursor was read there does no harm:
    /// it was done, and nothing is stored before.
    pub(super) fn in_session(&self) -> bool {
        let (Some(inside), Some(keeper)) = (&self.inside, self.driver.shelf()) else { return true };
        inside.session.is_some() && keeper.session() == inside.session
    }

    /// Where the next cursor is stored inside the cache, if it is.
    pub(super) fn inward(&self) -> Option<Inward> {
        let inside = self.inside.as_ref()?;
        let (session, server) = (inside.session?, inside.server.clone());
        Some(Inward { driver: self.driver.clone(), session, server })
    }

    /// Reads the cursor on a new connection, and looks at it on an old one.
    pub(super) fn tend(&mut self, flights: &Flights, now: Moment) {
        let in_session = self.in_session();
        let Some(inside) = &mut self.inside else { return };
        if inside.reading || inside.looking || self.storing {
            return;
        }
        if let Some(session) = inside.session.filter(|_| in_session) {
            if inside.looked.elapsed() >= LOOK_EVERY {
                inside.looking = true;
                flights.push(Box::pin(errand::look(self.driver.clone(), session)));
            }
        } else if self.machine.may_be_asked(now) {
            inside.reading = true;
            let (driver, copy) = (self.driver.clone(), self.shelf.clone());
            flights.push(Box::pin(errand::recall(driver, copy, inside.server.clone())));
        }
    }

    /// When the machine has something to do by itself, or the cursor is read again.
    pub(super) fn due(&self) -> Option<Moment> {
        let now = self.now();
        match &self.inside {
            Some(inside) if !self.in_session() => {
                Some(self.machine.again_at()).filter(|at| *at > now && !inside.reading)
            }
            _ => self.machine.deadline(now),
        }
    }

    /// Somebody has looked at the connection; the driver remembers what came of it.
    pub(super) fn looked(&mut self, result: Result<(), Failure>) {
        let Some(inside) = &mut self.inside else { return };
        inside.looking = false;
        inside.looked = Instant::now();
        if let Err(failure) = result {
            info!(lane = self.name, error = failure.error(), "the cursor is read again");
        }
    }

    /// The cursor was read on a new connection.
    pub(super) fn recalled(&mut self, result: Result<Shelved, Failure>) {
        let now = self.now();
        let Some(inside) = &mut self.inside else { return };
        inside.reading = false;
        inside.looked = Instant::now();
        let shelved = match result {
            Ok(shelved) => shelved,
            Err(failure) => {
                warn!(lane = self.name, error = failure.error(), "cannot read the cursor");
                return self.machine.unable(failure, now);
            }
        };
        let same = shelved.server.is_some() && shelved.server == inside.server;
        let fresh = inside.session.is_none() && inside.server.is_none() && self.stored.is_none();
        let evicted = same && shelved.content == Content::Absent;
        inside.session = Some(shelved.session);
        inside.server = shelved.server;
        let known = self.stored.as_ref().map(|(cursor, _)| cursor);
        match judge(&shelved.content, same, known) {
            Verdict::Stay if evicted => self.stored = None,
            Verdict::Stay => {}
            Verdict::Return(cursor) => {
                warn!(lane = self.name, "the cache is as an older cursor says: back to it");
                self.metrics.relapsed("older");
                self.go_back(Some(*cursor), now);
            }
            // A cache that was never purged from here has lost nothing.
            Verdict::Nothing(Loss::Missing) if fresh => {}
            Verdict::Nothing(Loss::Missing) => {
                warn!(lane = self.name, "the cache holds no cursor, and may have lost purges");
                self.metrics.relapsed("missing");
                self.go_back(None, now);
            }
            Verdict::Nothing(Loss::Undecodable(error)) => {
                warn!(lane = self.name, error, "what the cache holds is no cursor");
                self.metrics.relapsed("undecodable");
                self.go_back(None, now);
            }
        }
    }

    /// What others have done to the cache was read.
    pub(super) fn others_told(&mut self, result: Result<Vec<Bytes>, Failure>) {
        let now = self.now();
        let held = match result {
            Ok(held) => held,
            Err(failure) => {
                let error = failure.error();
                warn!(lane = self.name, error, "cannot read the cursors of others");
                return self.machine.others_unheard(failure, now);
            }
        };
        let cursors = held.iter().filter_map(|bytes| wire::decode_cursor(bytes).ok());
        let cursors = cursors.filter(is_sound).collect();
        if let Some(cursor) = self.machine.others_told(cursors, now) {
            info!(lane = self.name, "others have flushed the cache: on from the cursor of one");
            self.go_back(Some(cursor), now);
            self.machine.spared_a_flush();
        }
    }

    pub(super) fn go_back(&mut self, cursor: Option<Cursor>, now: Moment) {
        self.tell_return(cursor.as_ref());
        let kept = self.machine.kept_letters();
        let going_on = gone_on_from(&self.name, cursor.clone(), &kept);
        self.machine.begin_again(going_on.as_ref(), now);
        self.hard_flushes = 0;
        self.progress.begin_again(self.machine.drain_settled());
        self.stored = cursor.map(|cursor| (cursor, Instant::now()));
        self.returned = true;
        self.unshown = true;
    }

    /// An outer lane goes back with this one, unless that flushes: then it flushes after it.
    pub(super) fn tell_return(&self, cursor: Option<&Cursor>) {
        match cursor {
            Some(cursor) => self.progress.returned(cursor.clone()),
            None if self.machine.is_shared() => self.progress.returned(self.machine.replay()),
            None => {}
        }
    }
}

/// What `content` means for a lane that last stored `known`, on the `same` server or another.
fn judge(content: &Content, same: bool, known: Option<&Cursor>) -> Verdict {
    let undecodable = |error| Verdict::Nothing(Loss::Undecodable(error));
    match content {
        // It was evicted, or was never stored: all that was done to this server it still has.
        Content::Absent if same => Verdict::Stay,
        Content::Absent => Verdict::Nothing(Loss::Missing),
        Content::Unreadable(error) => undecodable(error.clone()),
        Content::Bytes(bytes) => match wire::decode_cursor(bytes) {
            Err(error) => undecodable(error.to_string()),
            Ok(cursor) if !is_sound(&cursor) => {
                undecodable("its numbers are impossible".to_owned())
            }
            Ok(cursor) if same && known == Some(&cursor) => Verdict::Stay,
            Ok(cursor) => Verdict::Return(Box::new(cursor)),
        },
    }
}

/// Whether a lane could have written it: counting on from its numbers is safe.
fn is_sound(cursor: &Cursor) -> bool {
    let flushed = cursor.flushed.iter().flat_map(|flushed| &flushed.numbers);
    let rows = [cursor.lines.len(), cursor.hints.len(), cursor.closed.len()];
    rows.into_iter().all(|rows| rows <= ROWS_MAX)
        && flushed.into_iter().all(|(_, numbers)| numbers.last <= NUMBER_MAX)
        && cursor.closed.iter().all(|closed| closed.last <= NUMBER_MAX)
        && cursor.lines.iter().all(|line| {
            line.base <= line.floor
                && line.floor <= NUMBER_MAX
                && line.settled.iter().all(|numbers| numbers.last <= NUMBER_MAX)
                && line.refused.iter().all(|(number, _)| *number <= NUMBER_MAX)
                && line.exceptions.iter().all(|(numbers, _)| numbers.last <= NUMBER_MAX)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemas::{LineCursor, LineId, NumberRange, Outcome};

    use super::*;

    fn cursor(change: impl FnOnce(&mut LineCursor)) -> Cursor {
        let mut line = LineCursor {
            line: LineId::from_bytes([1; 16]),
            base: 1,
            floor: 7,
            settled: vec![NumberRange { first: 9, last: 9 }],
            refused: vec![(3, "no".to_owned())],
            exceptions: vec![(NumberRange { first: 4, last: 4 }, Outcome::Expired)],
        };
        change(&mut line);
        Cursor {
            life: 1,
            region: "local".parse().expect("a name"),
            sites: ["main".parse().expect("a name")].into(),
            parts: ["key={site}:{key}".to_owned()].into(),
            lines: vec![line],
            hints: Vec::new(),
            flushed: None,
            closed: Vec::new(),
            obeyed: Vec::new(),
            hosts: BTreeMap::new(),
            behind: false,
        }
    }

    fn held(cursor: &Cursor) -> Content {
        Content::Bytes(wire::encode_cursor(cursor))
    }

    #[test]
    fn only_what_the_same_server_still_holds_or_has_evicted_is_gone_on_from() {
        let (stored, older) = (cursor(|_| {}), cursor(|line| line.floor = 5));
        let back_to = |cursor: &Cursor| Verdict::Return(Box::new(cursor.clone()));
        for (content, same, verdict) in [
            (held(&stored), true, Verdict::Stay),
            (held(&older), true, back_to(&older)),
            (held(&stored), false, back_to(&stored)),
            (Content::Absent, true, Verdict::Stay),
            (Content::Absent, false, Verdict::Nothing(Loss::Missing)),
        ] {
            assert_eq!(judge(&content, same, Some(&stored)), verdict, "{content:?}, {same}");
        }
    }

    #[test]
    fn bytes_that_no_lane_has_written_are_no_cursor() {
        let hostile: [fn(&mut LineCursor); 5] = [
            |line| line.floor = Number::MAX,
            |line| line.base = 8,
            |line| line.settled[0].last = Number::MAX,
            |line| line.refused[0].0 = Number::MAX,
            |line| line.exceptions[0].0.last = Number::MAX,
        ];
        let mut contents: Vec<_> =
            hostile.into_iter().map(|change| held(&cursor(change))).collect();
        let whole = wire::encode_cursor(&cursor(|_| {}));
        contents.extend((0..whole.len()).map(|at| Content::Bytes(whole.slice(..at))));
        contents.extend((0..whole.len()).map(|at| {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1;
            Content::Bytes(Bytes::from(bytes))
        }));
        contents.push(Content::Unreadable("no".to_owned()));
        for content in contents {
            let verdict = judge(&content, true, None);
            assert!(matches!(verdict, Verdict::Nothing(Loss::Undecodable(_))), "{content:?}");
        }
    }
}
