//! The server's limits over real sockets.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use daemon::{Crew, HttpServer, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

async fn answered(connection: &mut TcpStream) -> bool {
    let mut first = [0; 8];
    connection.read_exact(&mut first).await.is_ok_and(|_| &first == b"HTTP/1.1")
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_free_place() {
    let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), 1).await.expect("a free port");
    let address = server.local_addr();
    let mut crew = Crew::new(Stop::new());
    let router = Router::new().route("/", get(async || "here"));
    crew.spawn("server", server.run(router, crew.stop()));

    let mut first = TcpStream::connect(address).await.expect("connected");
    first.write_all(REQUEST).await.expect("sent");
    assert!(answered(&mut first).await);
    let mut second = TcpStream::connect(address).await.expect("queued");
    second.write_all(REQUEST).await.expect("sent");
    let early = timeout(Duration::from_millis(200), answered(&mut second)).await;
    assert!(early.is_err(), "answered beyond the limit");

    drop(first);
    let late = timeout(Duration::from_secs(10), answered(&mut second)).await;
    assert_eq!(late, Ok(true));
}
