//! All that a lane reads: what the broker keeps, then the log, and beside it what a search of the log finds and what
//! is read again for a later pass.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Bounds, Broker, Delivery, Partition, Position, Positions, Topic};
use schemas::wire::{LogDecoder, WireError};
use schemas::{Cursor, LogMessage};
use tokio::sync::watch;

use super::ahead::Ahead;
use crate::feed::Feed;
use crate::ledger::Located;
use crate::lookup::SearchFrom;
use crate::opening::Opening;
use crate::reporter::Registration;
use crate::search::Search;
use crate::trust::TrustBook;

/// A message of the log, or why it was not understood.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) at: Located,
    pub(super) message: Result<LogMessage, WireError>,
}

/// Understands one message after the other, as far as it may be believed.
#[derive(Debug)]
pub(super) struct Reader {
    topic: Topic,
    trust: TrustBook,
    decoder: LogDecoder,
}

impl Reader {
    /// Of a log.
    pub(super) fn new(topic: Topic, trust: TrustBook) -> Self {
        Self { topic, trust, decoder: LogDecoder::default() }
    }

    /// One for another thread, which has heard no names yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.topic, self.trust.clone())
    }

    pub(super) fn read(&mut self, delivery: &Delivery) -> Read {
        let Delivery { partition, position, time, .. } = *delivery;
        let at = Located { partition, position, time };
        let verified = self.trust.verify(self.topic, delivery);
        Read { at, message: verified.and_then(|()| self.decoder.decode(&delivery.body)) }
    }
}

/// What a lane reads.
#[derive(Debug)]
pub(super) struct Reading {
    broker: Arc<dyn Broker>,
    topic: Topic,
    jitter: fastrand::Rng,
    registered: watch::Receiver<Registration>,
    opening: Option<Opening>,
    opened: Option<Bounds>,
    feed: Option<Feed>,
    ahead: Ahead,
    subscribed: u64,
    search: Option<Search>,
    found: VecDeque<Delivery>,
    searched: bool,
    again: Option<Feed>,
    reader: Reader,
}

impl Reading {
    /// Reads from the hints of `cursor` on at once, or waits for [`Reading::begin_at`].
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        topic: Topic,
        trust: TrustBook,
        registered: watch::Receiver<Registration>,
        cursor: Option<&Cursor>,
        mut jitter: fastrand::Rng,
    ) -> Self {
        let opening = Opening::new(broker.clone(), topic, registered.clone(), cursor.is_some());
        let feed =
            cursor.map(|cursor| Feed::new(broker.clone(), topic, positions(cursor), jitter.fork()));
        Self {
            broker,
            topic,
            jitter,
            registered,
            opening: Some(opening),
            opened: None,
            feed,
            ahead: Ahead::default(),
            subscribed: 0,
            search: None,
            found: VecDeque::new(),
            searched: false,
            again: None,
            reader: Reader::new(topic, trust),
        }
    }

    /// Forgets all that was read and begins again, as a lane with that cursor does.
    pub(super) fn begin_again(&mut self, cursor: Option<&Cursor>) {
        let (broker, trust) = (self.broker.clone(), self.reader.trust.clone());
        let (registered, jitter) = (self.registered.clone(), self.jitter.fork());
        *self = Self::new(broker, self.topic, trust, registered, cursor, jitter);
    }

    /// Waits until something of it goes on; what would need `room` does not without, and what is read `again` only
    /// where that is wanted. Cancel-safe.
    pub(super) async fn fill(&mut self, room: bool, again: bool) {
        let wanted = again;
        let Self { opening, opened, feed, ahead, reader, search, found, searched, again, .. } =
            self;
        if let Some(feed) = feed.as_mut().filter(|_| !room) {
            feed.idled();
        }
        let open = async {
            match opening {
                Some(opening) => opening.bounds().await,
                None => std::future::pending().await,
            }
        };
        let read = async {
            match feed {
                Some(feed) if room => ahead.fill(feed, reader).await,
                _ => std::future::pending().await,
            }
        };
        let look = async {
            match search {
                Some(search) if room => search.read().await,
                _ => std::future::pending().await,
            }
        };
        let repeat = async {
            match again {
                Some(again) if wanted => again.fill().await,
                Some(again) => {
                    again.idled();
                    std::future::pending::<()>().await;
                }
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            bounds = open => Some(bounds),
            () = read => None,
            () = repeat => None,
            deliveries = look => {
                if deliveries.is_empty() {
                    *search = None;
                    *searched = true;
                }
                found.extend(deliveries);
                None
            }
        };
        if told.is_some() {
            *opened = told;
            *opening = None;
        }
    }

    /// What the broker keeps, once it has told.
    pub(super) fn take_opened(&mut self) -> Option<Bounds> {
        self.opened.take()
    }

    /// Reads the log from these positions on, unless it is read already.
    pub(super) fn begin_at(&mut self, from: Positions) {
        if self.feed.is_none() {
            let jitter = self.jitter.fork();
            self.feed = Some(Feed::new(self.broker.clone(), self.topic, from, jitter));
        }
    }

    /// Whether the log was subscribed to anew since this was last asked.
    pub(super) fn take_resubscribed(&mut self) -> bool {
        let times = self.feed.as_ref().map_or(0, Feed::subscribed_times);
        let before = std::mem::replace(&mut self.subscribed, times);
        before > 0 && times > before
    }

    /// The next message of the log.
    pub(super) fn next(&mut self) -> Option<Read> {
        self.ahead.next()
    }

    /// The next message that a search has met.
    pub(super) fn next_found(&mut self) -> Option<Read> {
        let delivery = self.found.pop_front()?;
        Some(self.reader.read(&delivery))
    }

    /// Reads the log again from these positions on, beside reading on.
    pub(super) fn read_again(&mut self, from: Positions) {
        let jitter = self.jitter.fork();
        self.again = Some(Feed::new(self.broker.clone(), self.topic, from, jitter));
    }

    /// The next message that was read again.
    pub(super) fn next_again(&mut self) -> Option<Read> {
        let delivery = self.again.as_mut()?.next()?;
        Some(self.reader.read(&delivery))
    }

    /// Enough was read again.
    pub(super) fn end_again(&mut self) {
        self.again = None;
    }

    /// Looks through the log beside reading it.
    pub(super) fn search(&mut self, from: SearchFrom) {
        self.search = Some(Search::new(self.broker.clone(), self.topic, from));
    }

    /// Whether a search is under way.
    pub(super) fn searching(&self) -> bool {
        self.search.is_some() || self.searched || !self.found.is_empty()
    }

    /// Nothing more is looked for.
    pub(super) fn end_search(&mut self) {
        self.search = None;
        self.found.clear();
        self.searched = true;
    }

    /// Whether a search has ended, and everything it has met was taken, since this was last asked.
    pub(super) fn take_searched(&mut self) -> bool {
        self.found.is_empty() && std::mem::take(&mut self.searched)
    }

    /// What keeps the lane from reading, if something did so for `time`.
    pub(super) fn trouble(&self, time: Duration) -> Option<String> {
        let opening = self.opening.as_ref().and_then(Opening::trouble);
        opening.or_else(|| self.feed.as_ref().and_then(|feed| feed.trouble(time)))
    }
}

fn positions(cursor: &Cursor) -> Positions {
    let hints = cursor.hints.iter();
    hints.map(|hint| (Partition(hint.partition), Position(hint.position))).collect()
}
