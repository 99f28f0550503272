//! The driver against a fake at the socket: whatever it answers, a call ends in bounded time, and only an answer that
//! says so counts as purged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use schemas::{Audience, Mode, Site, Sites};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::*;
use crate::driver::Purge;

const TIMEOUT: Duration = Duration::from_secs(2);
const PURGED: &str = "HTTP/1.1 200 Purged\r\nX-Varnish: 7\r\nX-Purgebus: 1; depth=8; soft\r\nContent-Length: 0\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 200 Purged\r\nX-Varnish: 7\r\nContent-Length: 2\r\n\r\nok";

/// What a fake does about one purge.
#[derive(Debug, Clone)]
enum Reply {
    Bytes(String),
    /// Then it closes.
    Last(String),
    /// The first once, then the second for ever.
    Endless(String, String),
    /// Then it neither reads nor closes.
    Deaf(String),
    /// One byte at a time, each after this long.
    Slowly(String, Duration),
}

/// A Varnish that passes the probe and answers all other purges as told.
#[derive(Debug)]
struct Fake {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    purges: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Fake {
    /// `reply` gets the number of the purge, counted over all connections.
    async fn start(
        probed: &'static str,
        reply: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, most_at_once) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, most) = (connections.clone(), most_at_once.clone());
        let purges = Arc::new(AtomicUsize::new(0));
        let script = Arc::new((reply, AtomicUsize::new(0), purges.clone()));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut serving = JoinSet::new();
            let now = Arc::new(AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (script, now) = (script.clone(), now.clone());
                serving.spawn(async move {
                    // An error is the driver hanging up.
                    serve(stream, probed, &script).await.ok();
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connections, most_at_once, purges, _server: server }
    }

    fn driver(&self) -> Varnish {
        let main = Site {
            name: "main".parse().unwrap(),
            hosts: ["www.example.com".parse().unwrap()].into(),
            regions: Audience::All,
        };
        let url = Endpoint::try_from(format!("http://{}", self.address)).unwrap();
        Varnish::new(
            &VarnishConfig { url, timeout: TIMEOUT },
            &Surroundings {
                sites: Arc::new(Sites::new([main])),
                region: "local".parse().unwrap(),
                agent: "edge-1".parse().unwrap(),
                cache: "varnish".parse().unwrap(),
                priority: schemas::Priority::Normal,
                instance: Uuid::nil(),
            },
        )
    }
}

async fn serve(
    mut stream: TcpStream,
    probed: &str,
    (reply, asked, purged): &(impl Fn(usize) -> Reply, AtomicUsize, Arc<AtomicUsize>),
) -> std::io::Result<()> {
    let mut unread = String::new();
    loop {
        while let Some(end) = unread.find("\r\n\r\n") {
            let request = unread.drain(..end + 4).collect::<String>();
            match request.as_bytes()[0] {
                // Miss, hit; then the purge; then miss.
                b'H' => {
                    let ids =
                        if asked.fetch_add(1, Ordering::SeqCst) % 3 == 1 { "5 4" } else { "6" };
                    let answer = format!(
                        "HTTP/1.1 404 Not Found\r\nX-Varnish: {ids}\r\nAge: 0\r\nContent-Length: 9\r\n\r\n"
                    );
                    stream.write_all(answer.as_bytes()).await?;
                }
                _ if request.contains("purgebus-probe") => {
                    stream.write_all(probed.as_bytes()).await?;
                }
                _ => match reply(purged.fetch_add(1, Ordering::SeqCst)) {
                    Reply::Bytes(bytes) => {
                        stream.write_all(bytes.as_bytes()).await?;
                    }
                    Reply::Last(bytes) => {
                        stream.write_all(bytes.as_bytes()).await?;
                        stream.shutdown().await?;
                        // Closing with something unread would take back what was written.
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                        return Ok(());
                    }
                    Reply::Endless(once, again) => {
                        stream.write_all(once.as_bytes()).await?;
                        loop {
                            stream.write_all(again.as_bytes()).await?;
                        }
                    }
                    Reply::Deaf(bytes) => {
                        stream.write_all(bytes.as_bytes()).await?;
                        std::future::pending::<()>().await;
                    }
                    Reply::Slowly(bytes, pause) => {
                        for byte in bytes.bytes() {
                            stream.write_all(&[byte]).await?;
                            sleep(pause).await;
                        }
                    }
                },
            }
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await? {
            0 => return Ok(()),
            read => unread.push_str(str::from_utf8(&bytes[..read]).unwrap()),
        }
    }
}

/// URLs whose keys take a request each.
fn batch(requests: usize) -> Batch {
    let purge = |at| Purge {
        site: "main".parse().unwrap(),
        selector: Selector::Url {
            scheme: schemas::Scheme::Https,
            host: "www.example.com".parse().unwrap(),
            path: format!("/{at}{}", ",".repeat(2_000)).parse().unwrap(),
            query: QueryMatch::Exact(None),
        },
        mode: Mode::Hard,
    };
    Batch { purges: (0..requests).map(purge).collect() }
}

/// The error of a purge that a fake answers so, with its cause; it must come in time.
async fn failure(probed: &'static str, reply: Reply) -> (PurgeError, String) {
    let fake = Fake::start(probed, move |_| reply.clone()).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let start = Instant::now();
    let error = driver.purge(&batch(1)).await.expect_err("it must not count as purged");
    assert!(start.elapsed() < TIMEOUT * 3, "it took {:?}", start.elapsed());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    (error, cause)
}

fn with_headers(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Varnish: 1\r\nX-Purgebus: 1; depth=8\r\n{headers}\r\n")
}

#[tokio::test]
async fn hostile_answers_are_errors_in_bounded_time() {
    let (nothing, close) = (String::new(), Reply::Last);
    for (reply, cause) in [
        (Reply::Bytes(nothing.clone()), "no answer within 2s"),
        (Reply::Slowly(PURGED.into(), Duration::from_millis(100)), "no answer within 2s"),
        (close(nothing.clone()), "connection closed"),
        (close("HTTP/1.1 200 OK\r\nX-Var".into()), "connection closed"),
        (close(with_headers("Content-Length: 5\r\n")), "connection closed"),
        (close(with_headers("Transfer-Encoding: chunked\r\n") + "5\r\nab"), "connection closed"),
        (Reply::Bytes("SSH-2.0-OpenSSH_9.2\r\n".into()), "the answer is not HTTP"),
        (Reply::Bytes("HTTP/1.1 2OO OK\r\n\r\n".into()), "the answer is not HTTP"),
        (Reply::Bytes("HTTP/1.1 200 OK\r\nX-Varnish : 1\r\n\r\n".into()), "the answer is not HTTP"),
        (
            Reply::Endless("HTTP/1.1 200 OK\r\n".into(), "A: b\r\n".repeat(99)),
            "the answer is not HTTP",
        ),
        (
            Reply::Endless("HTTP/1.1 200 OK\r\nA: ".into(), "a".repeat(1_000)),
            "the head of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Content-Length: 99999999999\r\n")),
            "the body of the answer is too long",
        ),
        (
            Reply::Endless(
                with_headers("Transfer-Encoding: chunked\r\n"),
                "4\r\nabcd\r\n".repeat(999),
            ),
            "the body of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Transfer-Encoding: chunked\r\n") + "ffffffffffffffff\r\n"),
            "the body of the answer is too long",
        ),
        (
            Reply::Bytes(with_headers("Transfer-Encoding: chunked\r\n") + "zz\r\n"),
            "unexpected: a broken chunk",
        ),
        (
            Reply::Bytes(with_headers("Content-Length: 0\r\nContent-Length: 9\r\n")),
            "unexpected: a body without a clear length",
        ),
        (Reply::Bytes("HTTP/1.1 100 Continue\r\n\r\n".into()), "unexpected: an interim answer"),
    ] {
        let (error, said) = failure(PURGED, reply.clone()).await;
        assert!(
            matches!(error, PurgeError::Unavailable { after: None, .. }),
            "{reply:?}: {error:?}"
        );
        assert_eq!(said, cause, "{reply:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_purged_is_no_purge() {
    let answer = |status: u16, headers: &str| {
        Reply::Bytes(format!("HTTP/1.1 {status} -\r\n{headers}\r\nContent-Length: 0\r\n\r\n"))
    };
    let (ours, varnish) = ("X-Varnish: 1\r\nX-Purgebus: 1; depth=8", "X-Varnish: 1");
    for (probed, reply, is_refused, cause) in [
        (
            PURGED,
            answer(200, "X-Purgebus: 1; depth=8"),
            false,
            "your VCL passes PURGE to the origin",
        ),
        (PURGED, answer(200, varnish), false, "the VCL has changed"),
        (PURGED, answer(301, ours), false, "answered 301"),
        (PURGED, answer(400, "Server: Varnish"), true, "answered 400"),
        (PURGED, answer(403, varnish), true, "answered 403"),
        (PURGED, answer(405, varnish), true, "answered 405"),
        (PURGED, answer(403, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (PURGED, answer(404, ours), true, "answered 404"),
        (PURGED, answer(429, varnish), false, "answered 429"),
        (PURGED, answer(500, varnish), false, "answered 500"),
        (PLAIN, answer(200, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (PLAIN, answer(404, "Server: origin"), false, "your VCL passes PURGE to the origin"),
        (
            PLAIN,
            answer(200, "X-Varnish: 1\r\nAge: 0"),
            false,
            "your VCL passes PURGE to the origin",
        ),
        (PLAIN, answer(302, varnish), false, "answered 302"),
    ] {
        let (error, said) = failure(probed, reply.clone()).await;
        assert_eq!(matches!(error, PurgeError::Refused(_)), is_refused, "{reply:?}: {error:?}");
        assert!(said.starts_with(cause), "{reply:?}: {said}");
    }
}

#[tokio::test]
async fn it_waits_as_long_as_the_cache_asks() {
    let busy = "HTTP/1.1 503 Busy\r\nX-Varnish: 1\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let (error, _) = failure(PURGED, Reply::Bytes(busy.into())).await;
    assert!(
        matches!(error, PurgeError::Unavailable { after: Some(wait), .. } if wait.as_secs() == 7)
    );
}

#[tokio::test]
async fn one_failure_within_a_batch_fails_it() {
    for (answers, is_refused) in
        [([200, 403, 200], true), ([403, 200, 503], false), ([200, 200, 503], false)]
    {
        let fake = Fake::start(PURGED, move |at| {
            Reply::Bytes(PURGED.replace("200", &answers[at].to_string()))
        })
        .await;
        let error = fake.driver().purge(&batch(3)).await.unwrap_err();
        assert_eq!(matches!(error, PurgeError::Refused(_)), is_refused, "{answers:?}");
    }
}

#[tokio::test]
async fn what_a_closing_server_left_unanswered_is_sent_once_more() {
    let fake = Fake::start(PURGED, |at| match at {
        2 => Reply::Last(PURGED.into()),
        _ => Reply::Bytes(PURGED.into()),
    })
    .await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    driver.purge(&batch(5)).await.unwrap();
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
    assert_eq!(fake.purges.load(Ordering::SeqCst), 5, "what was answered is not repeated");
}

#[tokio::test]
async fn a_server_that_keeps_closing_is_not_asked_for_ever() {
    let fake = Fake::start(PURGED, |_| Reply::Last(PURGED.into())).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let error = driver.purge(&batch(5)).await.unwrap_err();
    assert!(matches!(error, PurgeError::Unavailable { .. }), "{error:?}");
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_idle_connection_closed_by_the_server_costs_nothing() {
    let fake = Fake::start(PURGED, |_| Reply::Last(PURGED.into())).await;
    let driver = fake.driver();
    for _ in 0..5 {
        driver.purge(&batch(1)).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_nobody_asked_for_answers_no_later_purge() {
    // Several times, for whether reading or writing comes first is left to chance.
    for _ in 0..10 {
        let fake = Fake::start(PURGED, |at| match at {
            0 => Reply::Bytes(PURGED.repeat(2)),
            _ => Reply::Bytes(PURGED.replace("200", "503")),
        })
        .await;
        let driver = fake.driver();
        driver.purge(&batch(1)).await.unwrap();
        driver.purge(&batch(1)).await.unwrap_err();
    }
}

#[tokio::test]
async fn answers_given_before_their_requests_count_for_nothing() {
    let fake = Fake::start(PURGED, |_| Reply::Deaf(PURGED.repeat(1_000))).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    driver.purge(&batch(1_000)).await.unwrap_err();
}

#[tokio::test]
async fn many_calls_share_few_connections() {
    let fake = Fake::start(PURGED, |_| Reply::Slowly(PURGED.into(), Duration::ZERO)).await;
    let driver = fake.driver();
    driver.abilities().await.unwrap();
    let (one, calls) = (batch(1), 16);
    for purged in join_all((0..calls).map(|_| driver.purge(&one))).await {
        purged.unwrap();
    }
    assert_eq!(fake.most_at_once.load(Ordering::SeqCst), 2);
}

#[test]
fn the_config_takes_a_url_and_a_timeout_only() {
    let parse = |text: &str| toml::from_str::<VarnishConfig>(text);
    assert_eq!(parse("url = \"http://a:1\"").unwrap().timeout, Duration::from_secs(2));
    assert_eq!(parse("url = \"http://a:1\"\ntimeout = \"50ms\"").unwrap().timeout.as_millis(), 50);
    assert!(parse("url = \"http://a:1\"\nmanner = \"xkey\"").is_err());
    assert!(parse("timeout = \"1s\"").is_err());
}
