//! What arrives at a consumer's inbox: deliveries, the server's words about a pull, and whatever else somebody sends.

use async_nats::{Message, StatusCode};
use jiff::Timestamp;

use super::names;
use crate::{Delivery, Partition, Position, TopicKind};

/// A message of the inbox.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    /// A message of the stream.
    Delivery(Box<Sent>),
    /// The consumer lives; it has sent this many messages so far.
    Heartbeat { sent: Option<u64> },
    /// A pull ended with so many messages, of so many bytes at most, still owed.
    PullEnded { messages: usize, bytes: usize, too_large: bool },
    /// The consumer is gone, or its server is.
    ConsumerEnded(String),
    /// Nothing of the server's.
    Foreign,
}

/// A message of the stream with its place.
#[derive(Debug, PartialEq)]
pub(super) struct Sent {
    /// Its place among all that the consumer sent.
    pub(super) number: u64,
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// The partition; the first, on a board and on a subject that is not ours.
    pub(super) partition: Partition,
    /// Its size, as the server counts it against a pull.
    pub(super) bytes: usize,
    /// None where the subject is not one of ours.
    pub(super) delivery: Option<Delivery>,
}

/// Reads a message that arrived at the inbox of `consumer`.
pub(super) fn read(message: Message, consumer: &str, kind: TopicKind) -> Arrival {
    match &message.reply {
        Some(reply) => match Ticket::parse(reply, consumer) {
            Some(ticket) => Arrival::Delivery(Box::new(sent(message, &ticket, kind))),
            None => Arrival::Foreign,
        },
        None => status(&message),
    }
}

fn sent(message: Message, ticket: &Ticket, kind: TopicKind) -> Sent {
    let bytes = message.length;
    let (partition, key) = match kind {
        TopicKind::Log => (names::partition(&message.subject), None),
        TopicKind::Board => {
            let key = names::key(&message.subject);
            (key.is_some().then_some(Partition(0)), key)
        }
    };
    let delivery = partition.map(|partition| Delivery {
        partition,
        position: Position(ticket.sequence),
        time: ticket.time,
        key,
        body: message.payload,
    });
    let partition = partition.unwrap_or_default();
    Sent { number: ticket.number, sequence: ticket.sequence, partition, bytes, delivery }
}

fn status(message: &Message) -> Arrival {
    let Some(status) = message.status else { return Arrival::Foreign };
    let said = message.description.as_deref().unwrap_or_default();
    match status {
        StatusCode::IDLE_HEARTBEAT => {
            Arrival::Heartbeat { sent: number(message, "Nats-Last-Consumer") }
        }
        StatusCode::TIMEOUT | StatusCode::NOT_FOUND => pull_ended(message, false),
        // 409 says many things; by its words: these end only the pull.
        StatusCode::REQUEST_TERMINATED if said == "Message Size Exceeds MaxBytes" => {
            pull_ended(message, true)
        }
        StatusCode::REQUEST_TERMINATED if said == "Batch Completed" => pull_ended(message, false),
        other => Arrival::ConsumerEnded(format!("{other} {said}")),
    }
}

fn pull_ended(message: &Message, too_large: bool) -> Arrival {
    let owed = |header| usize::try_from(number(message, header).unwrap_or(0)).unwrap_or(usize::MAX);
    let (messages, bytes) = (owed("Nats-Pending-Messages"), owed("Nats-Pending-Bytes"));
    Arrival::PullEnded { messages, bytes, too_large }
}

fn number(message: &Message, header: &str) -> Option<u64> {
    message.headers.as_ref()?.get(header)?.as_str().parse().ok()
}

/// A message's place, from the subject by which it would be acknowledged:
///
/// ```text
/// $JS.ACK.                 STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.NANOSECONDS.PENDING
/// $JS.ACK.DOMAIN.ACCOUNT.  STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.NANOSECONDS.PENDING.RANDOM
/// ```
#[derive(Debug, PartialEq)]
struct Ticket {
    sequence: u64,
    number: u64,
    time: Timestamp,
}

impl Ticket {
    fn parse(reply: &str, consumer: &str) -> Option<Self> {
        let reply = reply.strip_prefix("$JS.ACK.")?;
        let before = match reply.bytes().filter(|byte| *byte == b'.').count() {
            6 => 1,
            8.. => 3,
            _ => return None,
        };
        let mut tokens = reply.split('.').skip(before);
        let (name, _delivered) = (tokens.next()?, tokens.next()?);
        let (sequence, number, nanoseconds) = (tokens.next()?, tokens.next()?, tokens.next()?);
        let nanoseconds: i64 = nanoseconds.parse().ok()?;
        (name == consumer).then_some(())?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            number: number.parse().ok()?,
            time: Timestamp::from_nanosecond(nanoseconds.into()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn message(reply: Option<&str>, status: Option<u16>, said: &str) -> Message {
        Message {
            subject: "p.t.3".into(),
            reply: reply.map(Into::into),
            payload: Bytes::from_static(b"body"),
            headers: None,
            status: status.map(|code| StatusCode::from_u16(code).unwrap()),
            description: Some(said.to_owned()),
            length: 0,
        }
    }

    fn ended(arrival: &Arrival) -> bool {
        matches!(arrival, Arrival::ConsumerEnded(_))
    }

    #[test]
    fn both_forms_of_a_ticket_are_read() {
        for reply in [
            "$JS.ACK.s.me.1.40.7.1700000000000000001.9",
            "$JS.ACK.d.a.s.me.1.40.7.1700000000000000001.9.x",
        ] {
            let Arrival::Delivery(sent) =
                read(message(Some(reply), None, ""), "me", TopicKind::Log)
            else {
                panic!("{reply}");
            };
            let time = Timestamp::from_nanosecond(1_700_000_000_000_000_001).unwrap();
            let delivery = sent.delivery.unwrap();
            assert_eq!((sent.sequence, sent.number, sent.partition), (40, 7, Partition(3)));
            assert_eq!((delivery.position, delivery.time), (Position(40), time));
        }
    }

    #[test]
    fn a_status_ends_the_pull_or_the_consumer() {
        let of = |code, said| read(message(None, Some(code), said), "me", TopicKind::Log);
        assert_eq!(of(100, "Idle Heartbeat"), Arrival::Heartbeat { sent: None });
        let ended_for = |too_large| Arrival::PullEnded { messages: 0, bytes: 0, too_large };
        assert_eq!(of(408, "Request Timeout"), ended_for(false));
        assert_eq!(of(409, "Batch Completed"), ended_for(false));
        assert_eq!(of(409, "Message Size Exceeds MaxBytes"), ended_for(true));
        assert!(ended(&of(409, "Consumer Deleted")) && ended(&of(503, "")));
        assert!(ended(&of(409, "Leadership Change")) && ended(&of(400, "Bad Request")));
    }

    #[test]
    fn numbers_of_headers_are_read_and_nonsense_is_none() {
        let mut heartbeat = message(None, Some(100), "");
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Last-Consumer", "12");
        heartbeat.headers = Some(headers);
        let read = |message| super::read(message, "me", TopicKind::Log);
        assert_eq!(read(heartbeat.clone()), Arrival::Heartbeat { sent: Some(12) });
        heartbeat.headers.as_mut().unwrap().insert("Nats-Last-Consumer", "x");
        assert_eq!(read(heartbeat), Arrival::Heartbeat { sent: None });
        let mut lapsed = message(None, Some(408), "Request Timeout");
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Pending-Messages", "7");
        headers.insert("Nats-Pending-Bytes", "900");
        lapsed.headers = Some(headers);
        let owed = Arrival::PullEnded { messages: 7, bytes: 900, too_large: false };
        assert_eq!(read(lapsed), owed);
    }

    #[test]
    fn others_messages_are_foreign() {
        for reply in
            ["_INBOX.x", "$JS.ACK.s.other.1.40.7.1.9", "$JS.ACK.s.me.1.x.7.1.9", "$JS.ACK."]
        {
            let arrival = read(message(Some(reply), None, ""), "me", TopicKind::Log);
            assert_eq!(arrival, Arrival::Foreign, "{reply}");
        }
        assert_eq!(read(message(None, None, ""), "me", TopicKind::Log), Arrival::Foreign);
    }

    proptest! {
        #[test]
        fn no_reply_panics(reply in r"(\$JS\.ACK\.)?([0-9a-z-]{0,22}\.?){0,14}") {
            read(message(Some(&reply), None, ""), "me", TopicKind::Board);
        }
    }
}
