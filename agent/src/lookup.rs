//! Whether holes are looked up in the log before they are reported: where positions no longer mean what they meant
//! (a stream recreated or restored from an older copy, another mirror), what seems lost was only passed by.
//!
//! ```text
//! doubt (a resume, a new subscription, a jump) --holes--> search by time --still holes--> search from the oldest
//! ```

use std::time::Duration;

use jiff::Timestamp;

use crate::Moment;

/// Holes noticed so long after a doubt are due to it.
const DOUBT: Duration = Duration::from_secs(15);
/// Between two searches that found something; after one that found nothing it doubles.
const REST: Duration = Duration::from_mins(1);
/// Longest time between two searches.
const REST_MAX: Duration = Duration::from_hours(1);
/// Clocks of brokers and mirrors may differ by so much.
const SLACK: Duration = Duration::from_mins(1);
/// How long the time of an earlier message is remembered, at least.
const EARLIER: Duration = Duration::from_secs(30);

/// Where a search of the log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchFrom {
    /// At what the broker took then.
    Since(Timestamp),
    /// At all that it keeps.
    Oldest,
}

/// Whether and from where holes are looked up: once per doubt, by time and then from the oldest.
#[derive(Debug)]
pub(crate) struct Lookup {
    doubted: Option<Doubt>,
    searching: Option<Search>,
    rest: Duration,
    rest_until: Moment,
    earlier: Earlier,
}

/// Positions may not mean what they meant when a message of that time was read.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    until: Moment,
    since: Option<Timestamp>,
}

#[derive(Debug)]
struct Search {
    from: SearchFrom,
    began: Moment,
    found: bool,
}

impl Lookup {
    /// After a resume at hints of which the earliest is of the time `since`; without one there is nothing to doubt.
    pub(crate) fn new(since: Option<Timestamp>, now: Moment) -> Self {
        let mut lookup = Self {
            doubted: None,
            searching: None,
            rest: REST,
            rest_until: now,
            earlier: Earlier::default(),
        };
        if since.is_some() {
            lookup.doubted = Some(Doubt { until: now + DOUBT, since });
        }
        lookup
    }

    /// A message of that broker's time was read.
    pub(crate) fn read(&mut self, time: Timestamp, now: Moment) {
        self.earlier.read(time, now);
    }

    /// Positions may no longer mean what they meant.
    pub(crate) fn doubt(&mut self, now: Moment) {
        let since = self.earlier.time();
        let before = self.doubted.filter(|doubt| now < doubt.until).and_then(|doubt| doubt.since);
        let since = before.into_iter().chain(since).min();
        self.doubted = Some(Doubt { until: now + DOUBT, since });
    }

    /// Nothing was heard yet, so nothing is laid to rest.
    pub(crate) fn keep_doubting(&mut self, now: Moment) {
        if let Some(doubt) = &mut self.doubted {
            doubt.until = now + DOUBT;
        }
    }

    /// There are holes: whether and from where the log is to be searched for them now.
    pub(crate) fn begin(&mut self, now: Moment) -> Option<SearchFrom> {
        if self.searching.is_some() || now < self.rest_until {
            return None;
        }
        let doubt = self.doubted.take().filter(|doubt| now < doubt.until)?;
        let since = doubt.since.and_then(|since| since.checked_sub(SLACK).ok());
        let from = since.map_or(SearchFrom::Oldest, SearchFrom::Since);
        self.searching = Some(Search { from, began: now, found: false });
        Some(from)
    }

    /// The search has found something that was missing.
    pub(crate) fn found(&mut self) {
        if let Some(search) = &mut self.searching {
            search.found = true;
        }
    }

    /// The search is over; `holes` says whether some that it was for are left. Answers from where to search next.
    pub(crate) fn ended(&mut self, holes: bool, now: Moment) -> Option<SearchFrom> {
        let search = self.searching.as_mut()?;
        if holes && search.from != SearchFrom::Oldest {
            search.from = SearchFrom::Oldest;
            return Some(SearchFrom::Oldest);
        }
        self.rest = if search.found { REST } else { REST_MAX.min(self.rest * 2) };
        self.rest_until = now + self.rest;
        self.searching = None;
        None
    }

    /// Since when the search is under way.
    pub(crate) fn searching_since(&self) -> Option<Moment> {
        self.searching.as_ref().map(|search| search.began)
    }

    /// Whether holes may still turn out to be none.
    pub(crate) fn open(&self, now: Moment) -> bool {
        let doubted = self.doubted.is_some_and(|doubt| now < doubt.until);
        self.searching.is_some() || doubted && now >= self.rest_until
    }
}

/// The time of a message read a while ago, before whatever has happened since.
#[derive(Debug, Default)]
struct Earlier {
    /// Of a message at least [`EARLIER`] ago; of one before that; of the latest.
    times: [Option<Timestamp>; 3],
    turned: Option<Moment>,
}

impl Earlier {
    fn read(&mut self, time: Timestamp, now: Moment) {
        if self.turned.is_none_or(|turned| now.saturating_sub(turned) >= EARLIER) {
            self.turned = Some(now);
            self.times = [self.times[1], self.times[2], self.times[2]];
        }
        self.times[2] = Some(time);
    }

    fn time(&self) -> Option<Timestamp> {
        self.times.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).expect("a time")
    }

    fn searched(lookup: &mut Lookup, found: bool, now: Moment) -> Vec<SearchFrom> {
        let mut from = Vec::new();
        let mut next = lookup.begin(now);
        while let Some(search) = next {
            from.push(search);
            if found {
                lookup.found();
            }
            next = lookup.ended(!found, now);
        }
        from
    }

    #[test]
    fn what_a_resume_does_not_find_is_searched_by_time_and_then_from_the_oldest_once() {
        let mut lookup = Lookup::new(Some(time(0)), Moment::ZERO);
        assert!(lookup.open(SECOND));
        let from = searched(&mut lookup, false, 3 * SECOND);
        assert_eq!(from, [SearchFrom::Since(time(-60)), SearchFrom::Oldest]);
        assert!(!lookup.open(4 * SECOND));
        assert_eq!(searched(&mut lookup, false, 4 * SECOND), []);
    }

    #[test]
    fn what_the_search_by_time_finds_needs_no_other() {
        let mut lookup = Lookup::new(Some(time(0)), Moment::ZERO);
        assert_eq!(searched(&mut lookup, true, SECOND), [SearchFrom::Since(time(-60))]);
    }

    #[test]
    fn holes_long_after_a_resume_are_holes() {
        let mut lookup = Lookup::new(Some(time(0)), Moment::ZERO);
        assert_eq!(searched(&mut lookup, false, DOUBT), []);
        assert!(!lookup.open(DOUBT));
        let mut new = Lookup::new(None, Moment::ZERO);
        assert_eq!(searched(&mut new, false, SECOND), []);
    }

    #[test]
    fn a_doubt_goes_back_to_before_it_arose() {
        let mut lookup = Lookup::new(None, Moment::ZERO);
        for second in 0..100u32 {
            lookup.read(time(second.into()), SECOND * second);
        }
        // Silence, and then messages of another life of the log.
        lookup.read(time(500), 500 * SECOND);
        lookup.doubt(501 * SECOND);
        let from = lookup.begin(502 * SECOND);
        let Some(SearchFrom::Since(since)) = from else { panic!("{from:?}") };
        assert!((time(-10)..time(40)).contains(&since), "{since}");
    }

    #[test]
    fn fruitless_searches_become_rare() {
        let mut lookup = Lookup::new(None, Moment::ZERO);
        let mut searches = 0;
        for second in 1..7_200 {
            let now = SECOND * second;
            lookup.read(time(second.into()), now);
            lookup.doubt(now);
            searches += searched(&mut lookup, false, now).len() / 2;
        }
        assert!((4..8).contains(&searches), "{searches}");
    }
}
