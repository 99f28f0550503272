//! Hostile bytes on the log itself: parked, counted and told; what comes after them is purged.

use bytes::Bytes;
use schemas::api::ProgressState;
use schemas::{
    Frame, Invalidation, LineId, LogMessage, Outcome, Path, QueryMatch, Scheme, Selector, wire,
};
use tests::eventually;
use tests::serve::DATA;
use uuid::Uuid;

use crate::house::{House, REBOUNDS, tag, varnish_key};

/// A whole message of one invalidation, on a line of its own.
fn message(selectors: Vec<Selector>) -> Bytes {
    let now = daemon::Clock::system().now();
    let invalidation = Invalidation::new(Uuid::new_v4(), "main".parse().unwrap(), selectors, now);
    wire::encode_log(&LogMessage::Frame(Frame {
        publisher: "stranger".parse().unwrap(),
        line: LineId::random(),
        first: 1,
        committed_at: now,
        invalidations: vec![invalidation],
        signature: None,
    }))
}

fn url(host: &str, path: &str) -> Selector {
    let path: Path = path.parse().unwrap();
    Selector::Url {
        scheme: Scheme::Https,
        host: host.parse().unwrap(),
        path,
        query: QueryMatch::Exact(None),
    }
}

/// The message with bytes changed, under a checksum that is right again.
fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = message(vec![url("www.example.com", "/victim--x")]).to_vec();
    change(&mut bytes);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..11]), &bytes[15..]);
    bytes[11..15].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
}

/// None of these can be read as a message.
fn unreadable() -> Vec<Bytes> {
    let whole = message(vec![url("www.example.com", "/victim")]);
    let flipped: Vec<u8> =
        whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 12)).collect();
    let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(200).collect();
    let trailing: Vec<u8> = whole.iter().copied().chain([0]).collect();
    vec![
        Bytes::new(),
        random.into(),
        flipped.into(),
        whole.slice(..whole.len() - 1),
        trailing.into(),
        // Newer: schema 2, envelope 2, a kind that nobody knows, a flag that nobody knows.
        forged(|bytes| bytes[5] = 2),
        forged(|bytes| bytes[2] = 2),
        forged(|bytes| bytes[3] = 99),
        forged(|bytes| bytes[6] = 2),
        // Said to be signed, and it is not.
        forged(|bytes| bytes[6] = 1),
        forged(|bytes| replace(bytes, b"--", b"\r\n")),
        forged(|bytes| replace(bytes, b"--", b"\0 ")),
        forged(|bytes| replace(bytes, b"--", b"\xc0\xaf")),
        forged(|bytes| replace(bytes, b"/victim--x", b"/vic/../xx")),
        forged(|bytes| replace(bytes, b"www.example.com", b"WWW.EXAMPLE.COM")),
    ]
}

#[tokio::test]
async fn hostile_bytes_on_the_log_are_parked_and_what_follows_is_purged() {
    let mut house = House::with(|caches| caches.settings(DATA, REBOUNDS)).await;
    house.api().publish_until("final", &tag("before")).await;
    house.cached("/victim", &[]).await;
    house.change("/victim", tests::servers::origin::Page::default());
    house.serve.terminate().await;

    let unreadable = unreadable();
    let parked = unreadable.len() as u64;
    let other_site = message(vec![url("www.example.net", "/victim")]);
    house.serve.inject(unreadable).await;
    house.serve.inject([other_site]).await;
    house.serve.restart().await;
    house.serve.ready().await;

    for cache in ["redis", "varnish"] {
        let label = format!("cache=\"{cache}\"");
        eventually("all are parked", async || {
            house.api().count("purgebus_parked_total", &[&label]).await == parked
        })
        .await;
    }
    eventually("the other site's host is refused", async || {
        let lanes = house.api().lanes("varnish").await;
        lanes.iter().any(|lane| lane.outcomes.get(&Outcome::Refused) == Some(&1))
    })
    .await;
    assert!(house.api().count("purgebus_dead_letters", &["cache=\"varnish\""]).await > 0);
    assert!(house.serve.log().contains("message parked"));

    let after = house.api().publish_until("final", &tag("after")).await;
    assert_eq!(after.state, ProgressState::Final);
    house.caches.catch_up().await;
    assert_eq!(house.caches.varnish_witness.sightings(&varnish_key("after")).len(), 3);
    assert_eq!(house.caches.version("/victim").await, 1, "no hostile purge has reached it");
    for key in ["u:www.example.net/victim", "u:WWW.EXAMPLE.COM/victim--x", "s:www.example.com"] {
        assert!(house.caches.varnish_witness.sightings(key).is_empty(), "{key}");
    }
    assert_eq!(house.api().count("purgebus_flushes_total", &[]).await, 0);
}
