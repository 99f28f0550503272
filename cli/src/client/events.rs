//! Reads server-sent events, one at a time, under a limit.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use tokio::time::timeout;

use super::{Client, Unanswered};

/// Longest wait for the beginning of an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A publisher with nothing to say says so more often: one that is silent for longer is away.
const SILENCE: Duration = Duration::from_secs(45);
/// Longest event.
const EVENT_BYTES_MAX: usize = 1 << 20;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// One event as it was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where to go on after it, if it says so.
    pub(crate) id: Option<String>,
    /// Its data; empty where it only says where to go on.
    pub(crate) data: String,
}

/// A connection on which events come.
#[derive(Debug)]
pub(crate) struct Messages {
    response: Response,
    reader: Reader,
}

impl Client {
    /// Listens to what a path says, from after the event of that id on.
    pub(crate) async fn listen(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Messages, Unanswered> {
        let mut request = self.http.get(self.url(path)).header(ACCEPT, EVENT_STREAM);
        if let Some(last) = last {
            request = request.header(LAST_EVENT_ID, last);
        }
        let response = timeout(ANSWER_WAIT, self.answer(request)).await;
        let response = response.map_err(|_| Unanswered::TooSlow(self.publisher.clone()))??;
        Ok(Messages { response, reader: Reader::default() })
    }
}

impl Messages {
    /// The next event; `None` when there come no more on this connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Unanswered> {
        loop {
            if let Some(message) = self.reader.message() {
                return Ok(Some(message));
            }
            match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.reader.take(&bytes)?,
                // Ended, broken or silent: all the same to who listens.
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Takes bytes, gives events; holds at most one that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Unanswered> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > EVENT_BYTES_MAX {
            return Err(Unanswered::Strange(anyhow::anyhow!("an event is larger than 1 MiB")));
        }
        Ok(())
    }

    /// The next that is whole and says anything.
    pub(crate) fn message(&mut self) -> Option<Message> {
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
            let text: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let message = read(&String::from_utf8_lossy(&text));
            if message != Message::default() {
                return Some(message);
            }
        }
        None
    }
}

fn read(text: &str) -> Message {
    let mut message = Message::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => message.id = Some(value.to_owned()),
            "data" if message.data.is_empty() => value.clone_into(&mut message.data),
            "data" => message.data.extend(["\n", value]),
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_their_bytes_come() {
        let text = ": nothing\n\nretry: 1000\nid: 7-1\nevent: a\ndata: {\"b\":\ndata: 1}\n\nid:7-2\n\ndata:x\n\nda";
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let mut messages = Vec::new();
            for bytes in text.as_bytes().chunks(size) {
                reader.take(bytes).unwrap();
                messages.extend(std::iter::from_fn(|| reader.message()));
            }
            let message = |id: Option<&str>, data: &str| Message {
                id: id.map(str::to_owned),
                data: data.to_owned(),
            };
            assert_eq!(
                messages,
                [message(Some("7-1"), "{\"b\":\n1}"), message(Some("7-2"), ""), message(None, "x")]
            );
        }
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut reader = Reader::default();
        let taken = (0..100).find(|_| reader.take(&vec![b'x'; 64 << 10]).is_err());
        assert!(taken.is_some_and(|pieces| pieces <= 17), "{taken:?}");
    }
}
