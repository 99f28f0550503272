//! What the audit trail is told of a request: of one that does something, and of one that is refused. No handler has to
//! think of it; only publishing tells its own line, with its place.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use daemon::Peer;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use schemas::api::{Mistake, Problem};
use serde_json::{Value, json};

use super::{auth, invalidations};
use crate::audit::{Origin, Refusal, Trail, what_of};
use crate::caller::Caller;
use crate::problem::Reason;
use crate::tokens::Act;

/// Most bytes told of what was asked, and of what was answered.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Most bytes told of an address.
const TARGET_BYTES_MAX: usize = 512;
/// Most mistakes told of a request, and the letters of each.
const MISTAKES_MAX: usize = 8;
const DETAIL_LETTERS_MAX: usize = 300;

/// A request, until its answer is told.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    trail: &'a Trail,
    peer: Peer,
    method: Method,
    uri: Uri,
    caller: Caller,
    /// Whether it bears a token that is good, or none is needed.
    admitted: bool,
    /// Of the body, what a handler has read of it.
    body: Arc<Mutex<Vec<u8>>>,
    /// Whether it is being done, and nothing is told of it yet.
    acting: bool,
}

impl<'a> Recording<'a> {
    pub(super) fn of(trail: &'a Trail, peer: Peer, request: &Request) -> Self {
        Self {
            trail,
            peer,
            method: request.method().clone(),
            uri: request.uri().clone(),
            caller: Caller::ANYONE,
            admitted: false,
            body: Arc::default(),
            acting: false,
        }
    }

    /// Who asks is known.
    pub(super) fn admit(&mut self, caller: &Caller) {
        self.caller = caller.clone();
        self.admitted = true;
    }

    /// Who asks, and from where.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin {
            who: self.caller.name(),
            from: Some(self.peer.address()),
            certificate: self.peer.certificate(),
        }
    }

    /// Whether it asks for something to be done.
    pub(super) fn acts(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// From now on something may be done; `request` is listened to while it is read.
    pub(super) fn begin(&mut self, request: Request) -> Request {
        self.acting = true;
        let heard = Arc::clone(&self.body);
        request.map(|body| {
            Body::new(body.inspect_frame(move |frame| {
                if let Some(data) = frame.data_ref() {
                    let mut heard = heard.lock();
                    let room = (BODY_BYTES_MAX + 1).saturating_sub(heard.len());
                    heard.extend_from_slice(&data[..room.min(data.len())]);
                }
            }))
        })
    }

    /// Whether the trail is told of it.
    pub(super) fn tells(&self, response: &Response) -> bool {
        match response.extensions().get::<Reason>() {
            Some(_) => {
                let status = response.status();
                self.acts() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            }
            None => self.acting,
        }
    }

    /// Tells what became of it, and hands on the answer.
    pub(super) async fn end(mut self, response: Response) -> Response {
        let status = response.status();
        self.acting = false;
        let refused = response.extensions().get::<Reason>().map(|Reason(kind)| *kind);
        let act = response.extensions().get::<Act>().copied();
        let (answer, response) = answer_of(response).await;
        let mut facts = self.facts(act, status);
        if let Some(kind) = refused {
            add_problem(&mut facts, &answer);
            let (origin, request) = (self.origin(), self.asked());
            self.trail.refused(what_of(kind), Refusal { origin, kind, request, facts });
        } else {
            facts["answer"] = shown(&answer);
            self.tell(act, facts);
        }
        response
    }

    fn tell(&self, act: Option<Act>, mut facts: Value) {
        self.origin().add_to(&mut facts);
        self.trail.tell_now(act.map_or("request", Act::as_str), &facts);
    }

    fn facts(&self, act: Option<Act>, status: StatusCode) -> Value {
        let mut facts = json!({"request": self.target(), "status": status.as_u16()});
        if let Some(act) = act {
            facts["act"] = act.as_str().into();
        }
        let body = std::mem::take(&mut *self.body.lock());
        if !body.is_empty() {
            facts["body"] = shown(&body);
        }
        facts
    }

    /// Method and address; of who bears no good token, without the query, which may hold anything.
    fn target(&self) -> String {
        let query = self.uri.query().filter(|_| self.admitted && !auth::names_secret(&self.uri));
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let target = self.asked() + &query;
        target.chars().take(TARGET_BYTES_MAX).collect()
    }

    /// Method and path.
    fn asked(&self) -> String {
        let asked = format!("{} {}", self.method, self.uri.path());
        asked.chars().take(TARGET_BYTES_MAX).collect()
    }
}

/// Whoever asked has left before there was an answer: what was begun is told all the same.
impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if self.acting {
            let mut facts = self.facts(None, StatusCode::OK);
            facts["status"] = Value::Null;
            facts["outcome"] = "unknown: the caller left before the answer".into();
            self.tell(None, facts);
        }
    }
}

/// Whether this publishes, which tells its own line.
pub(super) fn publishes(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == invalidations::PATH
}

/// The bytes of an answer, if they are few and all there.
async fn answer_of(response: Response) -> (Bytes, Response) {
    let (parts, body) = response.into_parts();
    let is_short = body.size_hint().exact().is_some_and(|bytes| bytes <= 4 * BODY_BYTES_MAX as u64);
    if !is_short {
        return (Bytes::new(), Response::from_parts(parts, body));
    }
    let bytes = to_bytes(body, 4 * BODY_BYTES_MAX).await.unwrap_or_default();
    (bytes.clone(), Response::from_parts(parts, Body::from(bytes)))
}

/// A body as it is told: as what it says, if it is JSON that is not too long.
fn shown(body: &[u8]) -> Value {
    if body.len() <= BODY_BYTES_MAX
        && let Ok(value) = serde_json::from_slice(body)
    {
        return value;
    }
    let beginning = &body[..body.len().min(DETAIL_LETTERS_MAX)];
    json!({"begins": String::from_utf8_lossy(beginning), "bytes_read": body.len()})
}

fn add_problem(facts: &mut Value, answer: &[u8]) {
    let Ok(problem) = serde_json::from_slice::<Problem>(answer) else { return };
    let short = |text: &str| text.chars().take(DETAIL_LETTERS_MAX).collect::<String>();
    facts["detail"] = short(&problem.detail.unwrap_or_default()).into();
    let mistakes = problem.errors.iter().take(MISTAKES_MAX);
    let mistakes: Vec<String> =
        mistakes.map(|Mistake { pointer, detail }| short(&format!("{pointer} {detail}"))).collect();
    if !mistakes.is_empty() {
        facts["mistakes"] = json!(mistakes);
    }
}
