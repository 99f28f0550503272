//! Clients that take more than their share.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tests::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::{SECRET, Secured};

const PATIENCE: Duration = Duration::from_secs(30);
const POST: &str =
    "POST /v1/invalidations HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n";
const BOUNDS: &str = "connections = 12\nconnections_per_address = 5";

/// All that comes until the server ends the connection.
async fn received(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = connection.read_to_end(&mut bytes);
    timeout(PATIENCE, read).await.expect("an end").expect("no reset");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn not_one_byte_of_a_body_is_asked_for_without_a_token() {
    let secured = Secured::start("", "").await;
    for more in ["", "expect: 100-continue\r\n"] {
        let mut connection = TcpStream::connect(secured.api()).await.expect("connected");
        let head = format!("{POST}content-length: 262144\r\n{more}\r\n");
        connection.write_all(head.as_bytes()).await.expect("sent");
        let told = received(&mut connection).await;
        assert!(told.starts_with("HTTP/1.1 401 "), "{told}");
    }
    let mut connection = TcpStream::connect(secured.api()).await.expect("connected");
    let body = "{\"tags\": [\"a\"]}";
    let bearer =
        format!("authorization: Bearer {SECRET}\r\nexpect: 100-continue\r\nconnection: close\r\n");
    let head = format!("{POST}{bearer}content-length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut go_on = [0; 25];
    connection.read_exact(&mut go_on).await.expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(body.as_bytes()).await.expect("sent");
    let told = received(&mut connection).await;
    assert!(told.starts_with("HTTP/1.1 202 "), "{told}");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    let secured = Secured::start("", "").await;
    let mut connection = TcpStream::connect(secured.api()).await.expect("connected");
    let bearer = format!("authorization: Bearer {SECRET}\r\n");
    let head = format!("{POST}{bearer}content-length: 262144\r\n\r\n");
    connection.write_all(head.as_bytes()).await.expect("sent");
    let (mut from, mut to) = connection.split();
    let begun = Instant::now();
    let trickle = async {
        while to.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut first = [0; 13];
    tokio::select! {
        () = trickle => panic!("cut off without a word"),
        told = from.read_exact(&mut first) => told.expect("an answer"),
    };
    assert_eq!(&first, b"HTTP/1.1 408 ");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// A connection from an address of this machine, once it is known whether it is served: `None` if it is not.
async fn served_from(last: u8, api: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).expect("an address of loopback");
    let mut connection = socket.connect(api).await.expect("connected");
    // Refused ones are told so, or are closed before they read what they were told.
    connection.write_all(b"GET /v1/regions HTTP/1.1\r\nhost: here\r\n\r\n").await.ok();
    let mut told = [0; 12];
    let read = timeout(PATIENCE, connection.read_exact(&mut told)).await.expect("an end");
    let is_served = read.is_ok() && &told == b"HTTP/1.1 401";
    assert!(is_served || read.is_err() || &told == b"HTTP/1.1 503", "{told:?}");
    is_served.then_some(connection)
}

#[tokio::test]
async fn a_flood_from_one_address_leaves_room_for_others() {
    let secured = Secured::start("", BOUNDS).await;
    let flood = async |last: u8| {
        let mut held = Vec::new();
        for _ in 0..8 {
            held.extend(served_from(last, secured.api()).await);
        }
        held
    };
    let first = flood(2).await;
    assert_eq!(first.len(), 5, "of one address");
    assert_eq!(flood(3).await.len(), 5, "of another, and then they are gone");
    eventually("their places are free", async || {
        let one = served_from(4, secured.api()).await;
        let other = served_from(5, secured.api()).await;
        one.is_some() && other.is_some()
    })
    .await;
    let mut held = Vec::new();
    for last in 6..20 {
        held.extend(flood(last).await);
        if held.len() + first.len() >= 12 {
            break;
        }
    }
    assert_eq!(held.len() + first.len(), 12, "in all");
    assert!(served_from(21, secured.api()).await.is_none(), "from an address of its own");
    let metrics = secured.process.admin().metrics().await;
    for reason in ["full", "address"] {
        let row = format!(
            "purgebus_connections_refused_total{{port=\"publisher.listen\",reason=\"{reason}\"}}"
        );
        assert!(metrics.contains(&row), "{metrics}");
    }
    let said = secured.process.log().matches("connections refused").count();
    assert!((1..=3).contains(&said), "said {said} times:\n{}", secured.process.log());
    drop((first, held));
    eventually("it serves again", async || served_from(21, secured.api()).await.is_some()).await;
}
