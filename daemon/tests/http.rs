//! The server's limits over real sockets.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use daemon::{Crew, HttpServer, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether it is, and not refused.
async fn answered(connection: &mut TcpStream) -> bool {
    let mut first = [0; 12];
    connection.read_exact(&mut first).await.is_ok_and(|_| &first == b"HTTP/1.1 200")
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_a_place_is_free() {
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), 1).await.expect("a free port");
    let address = server.local_addr();
    let mut crew = Crew::new(Stop::new());
    let router = Router::new().route("/", get(async || "here"));
    crew.spawn("server", server.run(router, crew.stop()));

    let mut first = TcpStream::connect(address).await.expect("connected");
    first.write_all(REQUEST).await.expect("sent");
    assert!(answered(&mut first).await);
    let mut told = String::new();
    let mut second = TcpStream::connect(address).await.expect("accepted, and refused");
    timeout(PATIENCE, second.read_to_string(&mut told)).await.expect("at once").expect("text");
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nretry-after: 1\r\n"), "{told}");

    drop(first);
    let free = async {
        loop {
            let mut third = TcpStream::connect(address).await.expect("connected");
            third.write_all(REQUEST).await.ok();
            if answered(&mut third).await {
                break;
            }
        }
    };
    timeout(PATIENCE, free).await.expect("a free place");
}
