//! Many clients of the API, each with a connection of its own that it keeps, and the next request after the last answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::record::HOST;

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// An answer of the API fits in here.
const ANSWER_BYTES_MAX: usize = 4_096;

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

/// Clients of a publisher.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: Vec<TcpStream>,
    page: Arc<AtomicU64>,
}

/// What one answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    id: Uuid,
    at_broker: bool,
}

impl Clients {
    /// Connects so many.
    pub(crate) async fn connect(api: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let connection = timeout(ANSWER_WITHIN, TcpStream::connect(api)).await??;
            connection.set_nodelay(true)?;
            connections.push(connection);
        }
        Ok(Self { connections, page: Arc::default() })
    }

    /// Each publishes so many URLs after the others for that long.
    pub(crate) async fn publish_for(
        self,
        time: Duration,
        urls_each: u64,
    ) -> anyhow::Result<Published> {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for connection in self.connections {
            clients.spawn(client(connection, Arc::clone(&self.page), began + time, urls_each));
        }
        let mut all = Published::default();
        while let Some(answers) = clients.join_next().await {
            for Answer { id, at_broker } in answers?? {
                if at_broker { &mut all.ids } else { &mut all.in_journal }.push(id);
            }
        }
        all.took = began.elapsed();
        Ok(all)
    }
}

async fn client(
    mut connection: TcpStream,
    page: Arc<AtomicU64>,
    until: Instant,
    urls_each: u64,
) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut buffer = [0; ANSWER_BYTES_MAX];
    while Instant::now() < until {
        let request = request(page.fetch_add(urls_each, Ordering::Relaxed), urls_each);
        let asking = exchange(&mut connection, request.as_bytes(), &mut buffer);
        answers.push(timeout(ANSWER_WITHIN, asking).await??);
    }
    Ok(answers)
}

fn request(first: u64, count: u64) -> String {
    let mut urls = String::new();
    for page in first..first + count {
        let separator = if page == first { "" } else { "," };
        urls.extend([separator, "\"https://", HOST, "/page/", &page.to_string(), "\""]);
    }
    let body = format!(r#"{{"urls":[{urls}]}}"#);
    format!(
        "POST /v1/invalidations HTTP/1.1\r\nhost: publisher\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange(
    connection: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
) -> anyhow::Result<Answer> {
    connection.write_all(request).await?;
    let mut length = 0;
    loop {
        let read = connection.read(&mut buffer[length..]).await?;
        ensure!(read > 0, "the publisher closed the connection");
        length += read;
        if let Some(body) = whole_body(&buffer[..length])? {
            return Answer::parse(body);
        }
        ensure!(length < buffer.len(), "an answer longer than {ANSWER_BYTES_MAX} bytes");
    }
}

/// The body, once all of it is there.
fn whole_body(bytes: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (std::str::from_utf8(&bytes[..head])?, &bytes[head + 4..]);
    if !head.starts_with("HTTP/1.1 202 ") {
        bail!("not accepted: {head} {}", String::from_utf8_lossy(body));
    }
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("an answer without its length")?.parse()?;
    Ok((body.len() >= length).then(|| &body[..length]))
}

impl Answer {
    /// Looks for two fields only: the clients share the machine with what they measure.
    fn parse(body: &[u8]) -> anyhow::Result<Self> {
        const ID: &[u8] = b"\"id\":\"";
        let at = find(body, ID).context("an answer without an id")? + ID.len();
        let id = body.get(at..at + 36).context("an answer that ends in its id")?;
        let at_broker = find(body, b"\"durable\":\"broker\"").is_some();
        Ok(Self { id: Uuid::try_parse_ascii(id)?, at_broker })
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192d3a0-0000-7000-8000-00000000002a";

    fn answer(durable: &str) -> String {
        let body = format!(r#"{{"id":"{ID}","durable":"{durable}","site":"main"}}"#);
        format!("HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn an_answer_counts_once_all_of_it_is_there() {
        let bytes = answer("broker");
        for end in 0..bytes.len() {
            assert_eq!(whole_body(&bytes.as_bytes()[..end]).expect("no error"), None, "{end}");
        }
        let body = whole_body(bytes.as_bytes()).expect("no error").expect("a body");
        let id = ID.parse().expect("an id");
        assert_eq!(Answer::parse(body).expect("an answer"), Answer { id, at_broker: true });
    }

    #[test]
    fn a_request_names_as_many_urls_as_it_is_told_to() {
        let request = request(7, 2);
        let body = format!(r#"{{"urls":["https://{HOST}/page/7","https://{HOST}/page/8"]}}"#);
        assert!(request.ends_with(&format!("content-length: {}\r\n\r\n{body}", body.len())));
    }

    #[test]
    fn what_only_the_journal_has_is_told_apart() {
        let bytes = answer("journal");
        let body = whole_body(bytes.as_bytes()).expect("no error").expect("a body");
        assert!(!Answer::parse(body).expect("an answer").at_broker);
    }

    #[test]
    fn a_refusal_is_an_error_that_shows_it() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull";
        let error = whole_body(refused).expect_err("a refusal");
        assert!(error.to_string().contains("503") && error.to_string().contains("full"));
    }
}
