//! `GET /v1/events`: what happens, as it happens, as server-sent events.
//!
//! A listener is a place in the tracker's ring of events, nothing more: one that reads slowly is told how much it has
//! missed. Ids say where to go on, so that `Last-Event-ID` resumes; they come alone, too, with what is not told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::{MethodRouter, get};
use futures::Stream;
use futures::stream::unfold;
use schemas::api::{Event, LaggedEvent};
use schemas::{Region, SiteName};

use super::openapi::At;
use super::parameters::Parameters;
use crate::caller::Caller;
use crate::handle::{EventId, PublisherHandle};
use crate::problem::{Kind, Refused};

/// Most events taken from the ring at once.
const TAKEN_MAX: usize = 64;
/// A listener who hears nothing for so long is told that there is nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A listener who has lost the connection comes back after so long.
const RETRY: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) fn methods() -> MethodRouter<PublisherHandle> {
    get(listen)
}

pub(super) fn describe(mut at: At<'_>) {
    at.get("listen", "What happens, as it happens")
        .header("Last-Event-ID", "the id of the last event heard: goes on after it")
        .query::<SiteName>("site", "no invalidations of other sites")
        .query::<Region>("region", "nothing that is for other regions only")
        .answers_as::<Event>(
            "text/event-stream",
            200,
            "Server-sent events: `event` is the word in the data's `event`, `data` one such object",
        )
        .refuses(&[Kind::Malformed]);
}

/// What a listener is interested in.
#[derive(Debug)]
struct Interest {
    site: Option<SiteName>,
    region: Option<Region>,
}

async fn listen(
    State(publisher): State<PublisherHandle>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Refused> {
    let mut parameters = Parameters::read(&uri, &["site", "region"]);
    let site = parameters.site_of("site", &caller, &publisher);
    let interest = Interest { site, region: parameters.region("region", &publisher) };
    parameters.finish()?;
    let last = headers.get(LAST_EVENT_ID).map(|id| EventId::read(id.as_bytes()));
    let Some(listener) = publisher.listen(last) else {
        let detail = "as many listen as may at once; end a listener, or repeat later";
        return Err(Refused::new(Kind::Unavailable, detail));
    };
    // It heard another life of this publisher, or another one: nobody knows what it has missed.
    let strange = last.is_some() && !listener.resumes();
    let lagged = Event::Lagged(LaggedEvent { missed: None });
    let begin = at(listener.at()).retry(RETRY);
    let waiting: VecDeque<_> = [begin].into_iter().chain(strange.then(|| told(&lagged))).collect();
    let messages =
        unfold((listener, waiting, interest), async |(mut listener, mut waiting, interest)| {
            loop {
                if let Some(message) = waiting.pop_front() {
                    return Some((Ok(message), (listener, waiting, interest)));
                }
                let events = listener.hear(TAKEN_MAX).await?;
                let wanted = events.iter().filter(|(_, event)| interest.is_in(event));
                waiting.extend(wanted.map(|(id, event)| told(event).id(id.to_string())));
                if waiting.is_empty() {
                    waiting.push_back(at(listener.at()));
                }
            }
        });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn told(event: &Event) -> Message {
    let data = serde_json::to_string(event).expect("an event is plain JSON");
    Message::default().event(event.word()).data(data)
}

/// Says where to go on, and nothing else.
fn at(id: EventId) -> Message {
    Message::default().id(id.to_string())
}

impl Interest {
    fn is_in(&self, event: &Event) -> bool {
        self.site.as_ref().is_none_or(|site| event.site().is_none_or(|of| of == site))
            && self.region.as_ref().is_none_or(|region| event.concerns(region))
    }
}
