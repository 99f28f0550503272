//! One connection to an API that is kept, and what its answers say: no more is parsed than is asked for, as the clients
//! share the machine with what they measure.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// An answer of the API fits in here.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// One request of the API.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// What follows the path, such as `?wait=applied`.
    pub(crate) query: &'static str,
    /// Its body, in JSON.
    pub(crate) body: String,
}

/// What one answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The id that was given.
    pub(crate) id: Uuid,
    /// Whether the broker has it.
    pub(crate) at_broker: bool,
    /// Whether it has come as far as was asked for: 200, and not 202.
    pub(crate) reached: bool,
}

/// A connection, with one request under way at most.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// To this API.
    pub(crate) async fn open(api: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(ANSWER_WITHIN, TcpStream::connect(api)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Publishes, and waits for the answer.
    ///
    /// # Errors
    /// When it is not accepted, or nobody answers.
    pub(crate) async fn publish(&mut self, request: &Request) -> anyhow::Result<Answer> {
        timeout(ANSWER_WITHIN, self.exchange(request)).await.context("no answer")?
    }

    async fn exchange(&mut self, request: &Request) -> anyhow::Result<Answer> {
        self.stream.write_all(request.bytes().as_bytes()).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the publisher closed the connection");
            if let Some(answer) = Answer::whole(&self.buffer)? {
                return Ok(answer);
            }
            ensure!(
                self.buffer.len() < ANSWER_BYTES_MAX,
                "an answer over {ANSWER_BYTES_MAX} bytes"
            );
        }
    }
}

impl Request {
    fn bytes(&self) -> String {
        let Self { query, body } = self;
        format!(
            "POST /v1/invalidations{query} HTTP/1.1\r\nhost: publisher\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Answer {
    /// What it says, once all of it is there.
    fn whole(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(head) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let (head, body) = (std::str::from_utf8(&bytes[..head])?, &bytes[head + 4..]);
        let reached = head.starts_with("HTTP/1.1 200 ");
        ensure!(
            reached || head.starts_with("HTTP/1.1 202 "),
            "not accepted: {head} {}",
            String::from_utf8_lossy(body)
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer without its length")?.parse()?;
        let Some(body) = body.get(..length) else { return Ok(None) };
        Ok(Some(Self { reached, ..Self::parse(body)? }))
    }

    fn parse(body: &[u8]) -> anyhow::Result<Self> {
        const ID: &[u8] = b"\"id\":\"";
        let at = find(body, ID).context("an answer without an id")? + ID.len();
        let id = body.get(at..at + 36).context("an answer that ends in its id")?;
        let at_broker = find(body, b"\"durable\":\"broker\"").is_some();
        Ok(Self { id: Uuid::try_parse_ascii(id)?, at_broker, reached: false })
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192d3a0-0000-7000-8000-00000000002a";

    fn answer(status: &str, durable: &str) -> String {
        let body = format!(r#"{{"id":"{ID}","durable":"{durable}","site":"main"}}"#);
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn whole(bytes: &str) -> Option<Answer> {
        Answer::whole(bytes.as_bytes()).expect("no refusal")
    }

    #[test]
    fn an_answer_counts_once_all_of_it_is_there() {
        let bytes = answer("202 Accepted", "broker");
        for end in 0..bytes.len() {
            assert_eq!(whole(&bytes[..end]), None, "{end}");
        }
        let id = ID.parse().expect("an id");
        assert_eq!(whole(&bytes), Some(Answer { id, at_broker: true, reached: false }));
    }

    #[test]
    fn what_only_the_journal_has_is_told_apart_and_so_is_what_was_waited_for() {
        let journal = whole(&answer("202 Accepted", "journal")).expect("an answer");
        assert!(!journal.at_broker && !journal.reached);
        assert!(whole(&answer("200 OK", "broker")).expect("an answer").reached);
    }

    #[test]
    fn a_refusal_is_an_error_that_shows_it() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nfull";
        let error = Answer::whole(refused).expect_err("a refusal").to_string();
        assert!(error.contains("503") && error.contains("full"), "{error}");
    }
}
