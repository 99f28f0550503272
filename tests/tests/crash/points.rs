//! What was true at the moment of a kill, judged by what the dead process left and by what the caches saw: never by what
//! it said.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use schemas::{Invalidation, Selector};
use tests::serve::{Caches, Remains, is_finished};
use tests::town::Edit;
use tests::witness::{Seconds, Witness};

/// A 202 that came so shortly before counts as just answered.
const JUST: Duration = Duration::from_millis(20);

/// A moment at which the process was killed.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// How long that life had lasted.
    pub(crate) life: Duration,
    /// Numbers that some cache had not been told to purge even once.
    pub(crate) unpurged: usize,
    /// Numbers that the next life must do again, or for the first time.
    pub(crate) unfinished: usize,
    /// A 202 had just been answered, and no cursor covers it.
    pub(crate) after_202: bool,
    /// A cache had just been told to purge, and its cursor does not cover it.
    pub(crate) after_purge: bool,
    /// A cache had no cursor yet.
    pub(crate) before_cursor: bool,
}

/// The moment itself, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: tokio::time::Instant,
    pub(crate) seconds: Seconds,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let seconds = daemon::Clock::system().now().as_microsecond();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
        let seconds = seconds as f64 / 1e6;
        Self { at: tokio::time::Instant::now(), seconds }
    }
}

impl Point {
    /// Judges a kill at `moment` in a life that had lasted `life`.
    pub(crate) fn of(
        moment: Moment,
        life: Duration,
        remains: &Remains,
        edits: &[Edit],
        caches: &Caches,
    ) -> Self {
        let just = |edit: &&Edit| moment.at.saturating_duration_since(edit.accepted) <= JUST;
        let just_answered: Vec<&str> =
            edits.iter().filter(just).map(|edit| &*edit.marker).collect();
        let mut point = Self {
            life,
            unpurged: 0,
            unfinished: 0,
            after_202: false,
            after_purge: false,
            before_cursor: remains.cursors.len() < 2,
        };
        for (place, invalidation) in &remains.numbered {
            let marker = marker(invalidation);
            let keys = [format!("tag:{marker}"), format!("t:www.example.com/{marker}")];
            let told = [
                last_told(&caches.redis_witness, &keys[0], moment.seconds),
                last_told(&caches.varnish_witness, &keys[1], moment.seconds),
            ];
            let finished = ["redis", "varnish"].map(|cache| {
                remains.cursors.get(cache).is_some_and(|cursor| is_finished(cursor, *place))
            });
            let everywhere = finished == [true, true];
            point.unfinished += usize::from(!everywhere);
            point.unpurged += usize::from(told.contains(&None) && !everywhere);
            point.after_202 |= !everywhere && just_answered.contains(&marker);
            point.after_purge |= told.iter().zip(finished).any(|(told, finished)| {
                let just =
                    told.is_some_and(|told| moment.seconds - told <= JUST.as_secs_f64() * 5.0);
                just && !finished
            });
        }
        point
    }
}

/// The tag that goes with an edit and with no other.
pub(crate) fn marker(invalidation: &Invalidation) -> &str {
    let mut tags = invalidation.selectors.iter().filter_map(|selector| match selector {
        Selector::Tag(tag) => Some(tag.as_str()),
        _ => None,
    });
    tags.next_back().unwrap_or_default()
}

fn last_told(witness: &Witness, key: &str, until: Seconds) -> Option<Seconds> {
    witness.sightings(key).into_iter().rfind(|at| *at <= until)
}

/// All moments of one run.
#[derive(Debug, Default)]
pub(crate) struct Points(pub(crate) Vec<Point>);

impl Points {
    /// How many there are of which something is true.
    fn count(&self, is_so: impl Fn(&Point) -> bool) -> usize {
        self.0.iter().filter(|point| is_so(point)).count()
    }

    /// Enough of every kind to tell something.
    pub(crate) fn suffice(&self) {
        assert!(self.0.len() >= 50, "{self}");
        assert!(self.count(|point| point.unpurged > 0) >= 30, "{self}");
        assert!(self.count(|point| point.after_202) >= 5, "{self}");
        assert!(self.count(|point| point.after_purge) >= 5, "{self}");
        assert!(self.count(|point| point.before_cursor) >= 5, "{self}");
    }

    /// Shows the table also where the test runner hides what a passing test prints.
    pub(crate) fn show(&self, seed: u64, summary: &str) {
        let text = format!("\nkill -9 of serve, seed {seed}:\n{self}{summary}\n\n");
        std::io::stderr().write_all(text.as_bytes()).expect("stderr");
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lives: Duration = self.0.iter().map(|point| point.life).sum();
        let unfinished = self.0.iter().map(|point| point.unfinished).max().unwrap_or_default();
        for (count, what) in [
            (self.0.len(), "kill points"),
            (self.count(|point| point.unpurged > 0), "with numbers that a cache was never told of"),
            (self.count(|point| point.unfinished > 0), "with numbers to be done again or at all"),
            (self.count(|point| point.after_202), "right after a 202"),
            (self.count(|point| point.after_purge), "after a purge that no stored cursor covers"),
            (self.count(|point| point.before_cursor), "before a cache had its first cursor"),
        ] {
            writeln!(f, "{count:>5}  {what}")?;
        }
        writeln!(f, "       up to {unfinished} unfinished at once; lives of {lives:.1?} together")
    }
}
