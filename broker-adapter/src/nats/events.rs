//! What the client tells about its connection: counted, logged, and kept for whoever waits for an answer.

use std::collections::VecDeque;

use async_nats::{ClientError, Event, Server, ServerError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::failure::{Said, in_words};

/// Denials remembered, for requests that are under way.
const DENIALS_MAX: usize = 32;

/// What happened, for all who wait.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Slow consumers so far: messages that the client dropped.
    pub(super) slow: u64,
    /// Why there is no connection, or what the server said last.
    pub(super) trouble: Option<Said>,
    denied: u64,
    denials: VecDeque<Denial>,
}

/// What the server did not let us do.
#[derive(Debug)]
struct Denial {
    number: u64,
    subscription: bool,
    subject: String,
    said: String,
}

impl Signals {
    /// How many denials there were.
    pub(super) fn denied(&self) -> u64 {
        self.denied
    }

    /// A denial after the `since`th that concerns `subject`, or the inbox of all answers.
    pub(super) fn denial(&self, since: u64, subject: &str) -> Option<&str> {
        let concerns = |denial: &&Denial| {
            denial.number > since
                && if denial.subscription {
                    denial.subject.starts_with(INBOX)
                } else {
                    denial.subject == subject
                }
        };
        self.denials.iter().find(concerns).map(|denial| denial.said.as_str())
    }

    fn deny(&mut self, said: &str) {
        let quoted = said.split('"').nth(1);
        let Some(subject) = quoted else { return };
        self.denied += 1;
        self.denials.push_back(Denial {
            number: self.denied,
            subscription: said.contains("for Subscription"),
            subject: subject.to_owned(),
            said: said.to_owned(),
        });
        if self.denials.len() > DENIALS_MAX {
            self.denials.pop_front();
        }
    }
}

/// Where all answers arrive.
const INBOX: &str = "_INBOX.";

/// Counts, logs and keeps events.
#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    counts: Family<EventLabel, Counter>,
    signals: std::sync::Arc<watch::Sender<Signals>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    event: &'static str,
}

impl Events {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "What happened between this process and the broker, by event";
        registry.register("purgebus_broker_events", help, self.counts.clone());
    }

    pub(super) fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.subscribe()
    }

    pub(super) fn count(&self, event: &'static str) {
        self.counts.get_or_create(&EventLabel { event }).inc();
    }

    /// For the client's event callback.
    pub(super) fn take(&self, event: Event) {
        match event {
            Event::Connected => {
                self.count("connected");
                info!("connected to nats");
                self.signal(|signals| signals.trouble = None);
            }
            Event::Disconnected => {
                self.count("disconnected");
                warn!("disconnected from nats");
                self.signal(|_| ());
            }
            Event::SlowConsumer(_) => {
                self.count("slow_consumer");
                warn!(
                    "the nats client dropped a message of a slow consumer; its readers begin again"
                );
                self.signal(|signals| signals.slow += 1);
            }
            Event::LameDuckMode => {
                self.count("lame_duck");
                warn!("the nats server is about to stop and sends its clients elsewhere");
            }
            Event::ServerError(error) => self.server_error(&error),
            Event::ClientError(ClientError::Other(error)) => {
                self.count("connect_failed");
                debug!(error, "cannot connect to nats");
                // The cause of each server comes by itself; this is all that a failed look-up of a name leaves.
                self.signal(|signals| {
                    signals.trouble.get_or_insert_with(|| Said(in_words(&error)));
                });
            }
            other => debug!(event = %other, "nats"),
        }
    }

    /// For the client's callback before each round of attempts: what the last attempts failed with.
    pub(super) fn take_attempts(&self, servers: &[Server]) {
        let failed = |server: &Server| {
            let error = server.last_error.as_ref()?;
            Some(format!("{}: {}", address(server), in_words(error)))
        };
        let causes: Vec<String> = servers.iter().filter_map(failed).collect();
        if causes.is_empty() {
            return;
        }
        let said = Said(causes.join("; "));
        let known = self.signals.borrow().trouble.as_ref() == Some(&said);
        if !known {
            warn!(cause = %said, "cannot connect to nats");
            self.signal(|signals| signals.trouble = Some(said));
        }
    }

    fn server_error(&self, error: &ServerError) {
        let said = error.to_string();
        let denied = said.contains("Permissions Violation");
        self.count(if denied { "denied" } else { "server_error" });
        warn!(error = said, "the nats server refused something");
        self.signal(|signals| {
            if denied {
                signals.deny(&said);
            }
            signals.trouble = Some(Said(in_words(&said)));
        });
    }

    fn signal(&self, change: impl FnOnce(&mut Signals)) {
        self.signals.send_modify(change);
    }
}

/// Host and port only.
fn address(server: &Server) -> String {
    format!("{}:{}", server.addr.host(), server.addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Event {
        Event::ServerError(ServerError::Other(text.to_owned()))
    }

    #[test]
    fn a_denial_concerns_its_subject_and_those_who_asked_before_it() {
        let events = Events::default();
        let before = events.signals().borrow().denied();
        events.take(said("Permissions Violation for Publish to \"purgebus.normal.0\""));
        let signals = events.signals();
        let signals = signals.borrow();
        assert!(signals.denial(before, "purgebus.normal.0").is_some());
        assert!(signals.denial(before, "purgebus.normal.1").is_none());
        assert!(signals.denial(signals.denied(), "purgebus.normal.0").is_none());
    }

    #[test]
    fn a_denied_inbox_concerns_everyone() {
        let events = Events::default();
        events.take(said("Permissions Violation for Subscription to \"_INBOX.abc.*\""));
        events.take(said("Permissions Violation for Subscription to \"other\""));
        let signals = events.signals();
        assert!(signals.borrow().denial(0, "any").is_some());
        assert!(signals.borrow().denial(1, "any").is_none());
    }

    #[test]
    fn whatever_a_server_says_stays_within_bounds() {
        let events = Events::default();
        for number in 0..1_000 {
            events.take(said(&format!("Permissions Violation for Publish to \"s{number}\"")));
            events.take(said("Permissions Violation without a subject"));
        }
        assert_eq!(events.signals().borrow().denials.len(), DENIALS_MAX);
    }
}
