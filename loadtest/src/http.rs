//! Many clients of the API, each with a connection of its own that it keeps: the next request after the last answer, or
//! at its time.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::tests::record::HOST;
use anyhow::ensure;
use futures::future::try_join_all;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::beat::Beat;
use connection::{Answer, Connection};

pub(crate) use connection::Request;

/// As many as a publisher lets in of all addresses together.
pub(crate) const CONNECTIONS: usize = 1_024;

/// Keys of `[publisher]` for clients that all come from this machine.
pub(crate) fn let_in() -> String {
    format!("connections_per_address = {CONNECTIONS}\n")
}

/// Clients for critical requests: as many may wait for their answers at once.
const WAITING: usize = 64;

/// What the clients got.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Acknowledged with `durable: broker`.
    pub(crate) ids: Vec<Uuid>,
    /// Acknowledged with `durable: journal`.
    pub(crate) in_journal: Vec<Uuid>,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
}

/// What came of a request that had its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Which beat.
    pub(crate) number: u64,
    /// The id that was given.
    pub(crate) id: Uuid,
    /// Whether it came as far as was asked for.
    pub(crate) reached: bool,
    /// From when it was meant to leave until its answer.
    pub(crate) latency: Duration,
}

/// Clients of a publisher.
#[derive(Debug)]
pub(crate) struct Clients(Vec<Connection>);

impl Clients {
    /// Connects so many.
    pub(crate) async fn connect(api: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Connection::open(api).await?);
        }
        Ok(Self(connections))
    }

    /// Each publishes so many URLs after the others for that long.
    pub(crate) async fn publish_for(
        self,
        time: Duration,
        urls_each: u64,
    ) -> anyhow::Result<Published> {
        let (began, page) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for connection in self.0 {
            clients.spawn(one_by_one(connection, page.clone(), began + time, urls_each));
        }
        let mut all = Published::default();
        while let Some(answers) = clients.join_next().await {
            for Answer { id, at_broker, .. } in answers?? {
                if at_broker { &mut all.ids } else { &mut all.in_journal }.push(id);
            }
        }
        all.took = began.elapsed();
        Ok(all)
    }

    /// At each beat one of them, whoever is free, sends what `request` makes of its number: a stall makes what comes
    /// after it late, and is not left out.
    pub(crate) async fn keep_time(
        self,
        beat: &Beat,
        request: impl Fn(u64) -> Request,
    ) -> anyhow::Result<Vec<Sent>> {
        let request = &request;
        let clients = self.0.into_iter().map(async |mut connection| {
            let mut sent = Vec::new();
            while let Some((number, due)) = beat.next().await {
                let Answer { id, reached, .. } = connection.publish(&request(number)).await?;
                sent.push(Sent { number, id, reached, latency: due.elapsed() });
            }
            anyhow::Ok(sent)
        });
        Ok(try_join_all(clients).await?.concat())
    }
}

/// So many critical pages a second for that long, each published at its time: from then until it was applied.
pub(crate) async fn purge_critical(
    api: SocketAddr,
    per_second: u64,
    time: Duration,
    path: impl Fn(u64) -> String,
) -> anyhow::Result<Vec<Sent>> {
    let clients = Clients::connect(api, WAITING).await?;
    let request = |number| Request::of_pages([path(number)].into_iter()).critical_until_applied();
    let sent = clients.keep_time(&Beat::new(per_second, time), request).await?;
    let applied = sent.iter().filter(|sent| sent.reached).count();
    ensure!(applied == sent.len(), "only {applied} of {} critical were applied", sent.len());
    Ok(sent)
}

async fn one_by_one(
    mut connection: Connection,
    page: Arc<AtomicU64>,
    until: Instant,
    urls_each: u64,
) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    while Instant::now() < until {
        let first = page.fetch_add(urls_each, Ordering::Relaxed);
        let paths = (first..first + urls_each).map(|page| format!("/page/{page}"));
        answers.push(connection.publish(&Request::of_pages(paths)).await?);
    }
    Ok(answers)
}

impl Request {
    /// One that names these pages of the one host.
    pub(crate) fn of_pages(paths: impl Iterator<Item = String>) -> Self {
        let mut urls = String::new();
        for path in paths {
            let separator = if urls.is_empty() { "" } else { "," };
            urls.extend([separator, "\"https://", HOST, &path, "\""]);
        }
        Self { query: "", body: format!(r#"{{"urls":[{urls}]}}"#) }
    }

    /// The same, critical, and answered once it is applied.
    pub(crate) fn critical_until_applied(self) -> Self {
        let rest = self.body.trim_start_matches('{');
        let body = format!(r#"{{"priority":"critical",{rest}"#);
        Self { query: "?wait=applied&timeout=60s", body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_as_many_urls_as_it_is_told_to() {
        let request = Request::of_pages((7..9).map(|page| format!("/page/{page}")));
        let urls = format!(r#""urls":["https://{HOST}/page/7","https://{HOST}/page/8"]}}"#);
        assert_eq!(request.body, format!("{{{urls}"));
        let body = request.critical_until_applied().body;
        assert_eq!(body, format!(r#"{{"priority":"critical",{urls}"#));
    }
}
