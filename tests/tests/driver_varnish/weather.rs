//! What happens to a cache at work: a restart, a reload of its VCL under load, an origin that hangs in mid-answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::driver::{Batch, Purge};
use futures::future::join_all;
use schemas::Mode;
use tests::servers::origin::{Page, VERSION};
use tests::servers::varnish::Varnish;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::specimen::{House, PEEK, driver_of, include_shipped, tag, until, url};

#[tokio::test]
async fn a_restarted_cache_is_proven_anew_and_purged() {
    let mut house = House::with(&include_shipped()).await;
    house.purge([url("/a")]).await.unwrap();
    house.varnish.stop().await;
    house.varnish.restart().await;
    house.cached("/a", Page::default()).await;
    until(async || house.purge([url("/a")]).await.is_ok()).await;
    assert!(!house.holds("/a").await);
}

#[tokio::test]
async fn a_reload_of_the_vcl_under_load_fails_no_purge_and_leaves_nothing_stale() {
    const PAGES: usize = 8;
    let house = Arc::new(House::with(&include_shipped()).await);
    let pages = (0..PAGES).map(|at| format!("www.example.com/{at}")).collect::<Vec<_>>();
    let page =
        || Page { tags: vec!["t".into()], delay: Duration::from_millis(30), ..Page::default() };
    let end = Instant::now() + Duration::from_secs(2);
    let reading = join_all((0..PAGES).map(async |at| {
        while Instant::now() < end {
            assert!(house.get("www.example.com", &format!("/{at}"), &[]).await.status() != 503);
        }
    }));
    let changing = async {
        let mut changes = 0;
        while Instant::now() < end {
            for page_url in &pages {
                house.origin.publish(page_url, page());
            }
            house.purge([tag("t")]).await.expect("a reload fails no purge");
            changes += 1;
        }
        changes
    };
    // On a thread of its own: a compiler is at work, and nobody waits for it.
    let reloaded = house.clone();
    let reloading = spawn_blocking(move || {
        let mut reloads = 0;
        while Instant::now() < end {
            reloaded.varnish.load(&(PEEK.to_owned() + &include_shipped()));
            reloads += 1;
        }
        reloads
    });
    let (_, changes, reloads) = futures::join!(reading, changing, reloading);
    let reloads = reloads.unwrap();
    assert!(changes > 1 && reloads > 0, "{changes} changes, {reloads} reloads");
    // The last purges came thick and fast: what was on their way is left to the later pass, which is this one.
    house.purge([tag("t")]).await.unwrap();
    for (at, page_url) in pages.iter().enumerate() {
        let read = house.get("www.example.com", &format!("/{at}"), &[]).await;
        assert_eq!(read.headers()[VERSION], house.origin.version(page_url).to_string());
    }
}

#[tokio::test]
async fn an_origin_that_hangs_in_mid_answer_holds_up_no_purge() {
    for head in [
        "",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nX-Ver",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nX-Version: 1\r\nContent-Length: 100\r\n\r\nhalf a bo",
    ] {
        let origin = Hanging::start(head).await;
        let varnish = Varnish::start(origin.address, &include_shipped()).await;
        let driver = driver_of(&format!("url = 'http://{}'", varnish.address()));
        let mut waiting = TcpStream::connect(varnish.address()).await.unwrap();
        let get = b"GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
        waiting.write_all(get).await.unwrap();
        until(async || origin.asked.load(Ordering::SeqCst) == 1).await;
        if head.contains("half") {
            // Its head is through: the object can be found.
            waiting.read_exact(&mut [0; 10]).await.unwrap();
        }
        let batch =
            Batch { purges: vec![Purge::new("main".parse().unwrap(), url("/a"), Mode::Hard)] };
        timeout(Duration::from_secs(5), driver.purge(&batch)).await.unwrap().unwrap();
        // Whoever asks now does not get the half: another fetch begins.
        if head.contains("half") {
            let mut next = TcpStream::connect(varnish.address()).await.unwrap();
            next.write_all(get).await.unwrap();
            until(async || origin.asked.load(Ordering::SeqCst) == 2).await;
        }
    }
}

/// An origin that answers with these bytes and then neither closes nor goes on.
struct Hanging {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Hanging {
    async fn start(head: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let counting = asked.clone();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                if stream.read(&mut request).await.unwrap_or_default() > 0 {
                    stream.write_all(head.as_bytes()).await.ok();
                    counting.fetch_add(1, Ordering::SeqCst);
                    open.push(stream);
                }
            }
        });
        Self { address, asked, _server: server }
    }
}
