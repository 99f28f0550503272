//! What the API is measured against: an HTTP server that reads the same body and sends an answer of the same size, and
//! does nothing between the two, or one write to a store.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use daemon::{BoxError, Clock, Crew, HttpServer, Stop};
use redb::{Database, Durability, TableDefinition};
use schemas::api::{Accepted, Durable};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// As many as the API of a publisher takes.
const CONNECTIONS_MAX: usize = 1_024;
/// Most bodies of one commit: as many as the journal's.
const GROUP_MAX: usize = 1_024;
const BODIES: TableDefinition<u64, &[u8]> = TableDefinition::new("bodies");
/// A body that waits for its commit.
type Waiting = (Bytes, oneshot::Sender<()>);

#[derive(Debug, Clone)]
struct Answering {
    answer: Bytes,
    store: Option<mpsc::Sender<Waiting>>,
}

/// With a folder, it stores what it reads there, before it answers.
pub(super) async fn spawn(crew: &mut Crew, folder: Option<&Path>) -> anyhow::Result<SocketAddr> {
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), CONNECTIONS_MAX).await?;
    let listens = server.local_addr();
    let store = match folder {
        None => None,
        Some(folder) => {
            let database = Database::create(folder.join("baseline.redb"))?;
            let (store, queue) = mpsc::channel(GROUP_MAX);
            crew.spawn("store", write(database, queue, crew.stop()));
            Some(store)
        }
    };
    let answering = Answering { answer: an_answer()?, store };
    let routes = Router::new().route("/v1/invalidations", post(answer)).with_state(answering);
    crew.spawn("server", server.run(routes, crew.stop()));
    Ok(listens)
}

/// As a publisher answers, whatever is asked.
fn an_answer() -> anyhow::Result<Bytes> {
    let id = Uuid::now_v7();
    let accepted = Accepted {
        id,
        durable: Durable::Broker,
        site: "main".parse()?,
        selectors: 1,
        regions: Vec::new(),
        published_at: Clock::system().now(),
        status_url: format!("/v1/invalidations/{id}"),
    };
    Ok(serde_json::to_vec(&accepted)?.into())
}

async fn answer(State(answering): State<Answering>, body: Bytes) -> Response {
    if let Some(store) = answering.store {
        let (stored, commit) = oneshot::channel();
        if store.send((body, stored)).await.is_err() || commit.await.is_err() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, json, answering.answer).into_response()
}

/// Whatever has come since the last commit began is the next one, with what ours asks of the store.
async fn write(
    mut database: Database,
    mut queue: mpsc::Receiver<Waiting>,
    stop: Stop,
) -> Result<(), BoxError> {
    let (mut next, mut group) = (0, Vec::new());
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = queue.recv_many(&mut group, GROUP_MAX) => {}
        }
        let waiting = std::mem::take(&mut group);
        let first = next;
        next += waiting.len() as u64;
        let committed = tokio::task::spawn_blocking(move || {
            commit(&database, first, waiting)?;
            Ok::<_, redb::Error>(database)
        });
        database = committed.await??;
    }
}

fn commit(database: &Database, first: u64, waiting: Vec<Waiting>) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    let mut bodies = transaction.open_table(BODIES)?;
    for (number, (body, _)) in (first..).zip(&waiting) {
        bodies.insert(number, body.as_ref())?;
    }
    drop(bodies);
    transaction.commit()?;
    for (_, stored) in waiting {
        // Who has left wants no answer.
        stored.send(()).ok();
    }
    Ok(())
}
