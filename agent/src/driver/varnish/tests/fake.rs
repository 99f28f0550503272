//! A fake at the socket: it passes the probe, and answers purges as told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use schemas::{Audience, Site, Sites};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::driver::Surroundings;
use crate::driver::varnish::Varnish;

pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const PURGED: &str = "HTTP/1.1 200 Purged\r\nX-Varnish: 7\r\nX-Purgebus: 1; depth=8; soft\r\nX-Purgebus-Cache: a/1\r\nContent-Length: 0\r\n\r\n";
pub(super) const PLAIN: &str = "HTTP/1.1 200 Purged\r\nX-Varnish: 7\r\nContent-Length: 2\r\n\r\nok";

/// What a fake does about one purge.
#[derive(Debug, Clone)]
pub(super) enum Reply {
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
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    /// That have carried a purge.
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) most_at_once: Arc<AtomicUsize>,
    pub(super) purges: Arc<AtomicUsize>,
    /// The purges.
    pub(super) heard: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Fake {
    /// `reply` gets the number of the purge, counted over all connections.
    pub(super) async fn start(
        probed: &'static str,
        reply: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Counts::default();
        let (connections, most_at_once, purges) =
            (counts.connections.clone(), counts.most_at_once.clone(), counts.purges.clone());
        let heard = counts.heard.clone();
        let script = Arc::new((reply, counts));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let script = script.clone();
                serving.spawn(async move {
                    let mut counted = false;
                    // An error is the driver hanging up.
                    serve(stream, probed, &script, &mut counted).await.ok();
                    if counted {
                        script.1.now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, connections, most_at_once, purges, heard, _server: server }
    }

    pub(super) fn driver(&self) -> Varnish {
        self.driver_with("fence = false")
    }

    pub(super) fn driver_with(&self, keys: &str) -> Varnish {
        driver_of(&format!("url = 'http://{}'\ntimeout = '2s'\n{keys}", self.address))
    }
}

/// A driver with this config.
pub(super) fn driver_of(config: &str) -> Varnish {
    let main = Site {
        name: "main".parse().unwrap(),
        hosts: ["www.example.com".parse().unwrap()].into(),
        regions: Audience::All,
    };
    Varnish::new(
        &toml::from_str(config).unwrap(),
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

#[derive(Debug, Default)]
struct Counts {
    connections: Arc<AtomicUsize>,
    now: AtomicUsize,
    most_at_once: Arc<AtomicUsize>,
    purges: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    /// How often the probe object was asked for since it was purged.
    asked: AtomicUsize,
    /// How often the probe object was purged.
    probed: AtomicUsize,
}

impl Counts {
    /// The number of this purge.
    fn purge(&self, request: String, counted: &mut bool) -> usize {
        self.heard.lock().push(request);
        if !std::mem::replace(counted, true) {
            self.connections.fetch_add(1, Ordering::SeqCst);
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
        }
        self.purges.fetch_add(1, Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    probed: &str,
    (reply, counts): &(impl Fn(usize) -> Reply, Counts),
    counted: &mut bool,
) -> std::io::Result<()> {
    let mut unread = String::new();
    loop {
        while let Some(end) = unread.find("\r\n\r\n") {
            let request = unread.drain(..end + 4).collect::<String>();
            match request.as_bytes()[0] {
                // At first a miss, then hits of what that stored.
                b'H' => {
                    let ids = match counts.asked.fetch_add(1, Ordering::SeqCst) {
                        0 => "6".to_owned(),
                        _ => format!("5 {}", counts.probed.load(Ordering::SeqCst)),
                    };
                    let answer = format!(
                        "HTTP/1.1 404 Not Found\r\nX-Varnish: {ids}\r\nAge: 0\r\nContent-Length: 9\r\n\r\n"
                    );
                    stream.write_all(answer.as_bytes()).await?;
                }
                _ if request.contains("purgebus-probe") => {
                    counts.asked.store(0, Ordering::SeqCst);
                    counts.probed.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(probed.as_bytes()).await?;
                }
                _ => match reply(counts.purge(request, counted)) {
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
