//! What whoever owns the broker can write that reads well and is not genuine.

use std::time::Duration;

use broker_adapter::{Broker, Message, Partition, Start, Topic};
use bytes::Bytes;
use schemas::wire::{self, Spot};
use schemas::{
    BoardMessage, Heartbeat, LineId, LogMessage, Lost, Mode, NumberRange, Order, Ordered, Orders,
    PUBLISHERS_BOARD, SigningKey,
};
use uuid::Uuid;

const NORMAL: Topic = Topic::log("normal");
const CRITICAL: Topic = Topic::log("critical");
const BODY: usize = 15;
/// The key's name and the signature.
const SIGNED_BYTES: usize = 72;
const KEY_NAME_BYTES: usize = 8;

/// What nobody must believe on the normal log, each with the reason. Whoever believed one of the lies would look for
/// numbers that nobody has, or flush.
pub(crate) async fn forged(broker: &dyn Broker) -> Vec<(&'static str, Bytes)> {
    let (genuine, moved) = (newest(broker, NORMAL).await, newest(broker, CRITICAL).await);
    let bare = without_signature(&genuine);
    let mut pretending = by_a_stranger(&lie()).to_vec();
    let key_name = genuine.len() - SIGNED_BYTES..genuine.len() - SIGNED_BYTES + KEY_NAME_BYTES;
    let at = pretending.len() - SIGNED_BYTES;
    pretending[at..at + KEY_NAME_BYTES].copy_from_slice(&genuine[key_name]);
    vec![
        ("unsigned", lie()),
        ("unsigned", loss()),
        ("unsigned", bare),
        ("unknown_key", by_a_stranger(&loss())),
        ("wrong_signature", with_checksum(pretending)),
        ("wrong_signature", altered(&genuine)),
        ("wrong_signature", moved),
    ]
}

/// Orders every agent to flush all its caches there, as a stranger would.
pub(crate) async fn order_a_flush(broker: &dyn Broker, region: &str) {
    let at = daemon::Clock::system().now();
    let what =
        Ordered::Flush { region: region.parse().expect("a name"), cache: None, mode: Mode::Hard };
    let order = Order { id: Uuid::now_v7(), at, expires_at: at + Duration::from_hours(1), what };
    let orders = BoardMessage::Orders(Orders {
        by: "stranger".parse().expect("a name"),
        orders: vec![order],
    });
    let (key, body) = (Some(orders.key()), wire::encode_board(&orders));
    let message = Message { key, id: None, body };
    let board = Topic::board(PUBLISHERS_BOARD);
    broker.publish(board, Partition(0), vec![message]).await.expect("it is taken");
}

/// The message with a byte of its body changed, under a right checksum.
pub(crate) fn altered(genuine: &Bytes) -> Bytes {
    let mut bytes = genuine.to_vec();
    let last = bytes.len() - SIGNED_BYTES - 1;
    bytes[BODY + (last - BODY) / 2] ^= 1;
    with_checksum(bytes)
}

/// A message that is said there now: publishers speak each second.
async fn newest(broker: &dyn Broker, topic: Topic) -> Bytes {
    let mut log = broker.subscribe(topic, Start::Newest).await.expect("a subscription");
    log.read(1).await.expect("a delivery").remove(0).body
}

fn lie() -> Bytes {
    wire::encode_log(&LogMessage::Heartbeat(Heartbeat {
        publisher: "stranger".parse().expect("a name"),
        at: daemon::Clock::system().now(),
        lines: vec![(LineId::random(), 1_000)],
        agents: None,
    }))
}

fn loss() -> Bytes {
    wire::encode_log(&LogMessage::Lost(Lost {
        publisher: "stranger".parse().expect("a name"),
        line: LineId::random(),
        numbers: NumberRange { first: 1, last: 1_000 },
    }))
}

fn by_a_stranger(message: &Bytes) -> Bytes {
    let key = SigningKey::generate().expect("random bits");
    wire::sign(message, Spot { topic: NORMAL.name(), partition: 0 }, &key).expect("a message")
}

fn without_signature(genuine: &Bytes) -> Bytes {
    let mut bytes = genuine[..genuine.len() - SIGNED_BYTES].to_vec();
    bytes[6] = 0;
    with_checksum(bytes)
}

fn with_checksum(mut bytes: Vec<u8>) -> Bytes {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..11]), &bytes[BODY..]);
    bytes[11..BODY].copy_from_slice(&sum.to_be_bytes());
    bytes.into()
}

/// Copies of genuine messages, each by another way not genuine, with the reason why: without its signature, signed by a
/// stranger, of another line, and signed by the publisher for another partition or topic.
pub(crate) fn transplanted(genuine: &[Bytes], key: &SigningKey) -> Vec<(&'static str, Bytes)> {
    let moved = |message: &Bytes, topic, partition| {
        wire::sign(&without_signature(message), Spot { topic, partition }, key).expect("a message")
    };
    let of_turn = |(turn, message): (usize, &Bytes)| match turn % 5 {
        0 => ("unsigned", without_signature(message)),
        1 => ("unknown_key", by_a_stranger(&without_signature(message))),
        2 => ("wrong_signature", of_another_line(message)),
        3 => ("wrong_signature", moved(message, NORMAL.name(), 1)),
        _ => ("wrong_signature", moved(message, CRITICAL.name(), 0)),
    };
    genuine.iter().enumerate().map(of_turn).collect()
}

/// Every frame that stands on the normal log, as it stands there.
pub(crate) async fn frames(broker: &dyn Broker) -> Vec<Bytes> {
    let bounds = broker.bounds(NORMAL).await.expect("bounds");
    let end = bounds[&Partition(0)].end;
    let mut log = broker.subscribe(NORMAL, Start::Oldest).await.expect("a subscription");
    let (mut frames, mut reached) = (Vec::new(), false);
    while !reached {
        for delivery in log.read(1_000).await.expect("deliveries") {
            reached |= delivery.position.0 + 1 >= end.0;
            if matches!(wire::decode_log(&delivery.body), Ok(LogMessage::Frame(_))) {
                frames.push(delivery.body);
            }
        }
    }
    frames
}

/// The frame on a line that nobody has, with the signature of the genuine one.
fn of_another_line(genuine: &Bytes) -> Bytes {
    let Ok(LogMessage::Frame(mut frame)) = wire::decode_log(genuine) else { panic!("a frame") };
    frame.line = LineId::random();
    let mut bytes = wire::encode_log(&LogMessage::Frame(frame)).to_vec();
    bytes.extend_from_slice(&genuine[genuine.len() - SIGNED_BYTES..]);
    bytes[6] = 1;
    with_checksum(bytes)
}
