//! A fetch in flight during a purge: what one naive purge leaves stale, on this cache as on real ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CACHE_CONTROL;
use tests::servers::origin::VERSION;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::world::Edge;

const A: &str = "www.example.com/a";

/// An origin that reads its version when a request comes in, and answers when it is let.
struct HeldOrigin {
    address: SocketAddr,
    version: Arc<AtomicU64>,
    arrived: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
    _server: JoinSet<()>,
}

impl HeldOrigin {
    async fn start() -> Self {
        let version = Arc::new(AtomicU64::new(1));
        let (arrived, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let parts = (version.clone(), arrived.clone(), let_go.clone());
        let router = Router::new().fallback(move || {
            let (version, arrived, let_go) = parts.clone();
            async move {
                let version = version.load(Ordering::SeqCst).to_string();
                arrived.add_permits(1);
                let_go.acquire().await.unwrap().forget();
                [(CACHE_CONTROL.as_str(), "max-age=3600".to_owned()), (VERSION, version)]
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, version, arrived, let_go, _server: server }
    }
}

#[tokio::test]
async fn a_fetch_in_flight_during_a_purge_is_stored_and_only_a_later_purge_cures_it() {
    let origin = HeldOrigin::start().await;
    let edge = Edge::before(origin.address).await;
    let fetch_across_a_purge = async {
        origin.arrived.acquire().await.unwrap().forget();
        origin.version.store(2, Ordering::SeqCst);
        edge.purge(A).await;
        origin.let_go.add_permits(1);
    };
    let both = async { tokio::join!(edge.get(A), fetch_across_a_purge) };
    let (fetched, ()) = timeout(Duration::from_secs(10), both).await.expect("in time");
    assert_eq!(fetched.version, Some(1));

    let stale = edge.get(A).await;
    assert_eq!(stale.version, Some(1), "the late, old answer was stored after the purge");
    assert!(stale.cache_status.contains("; hit; "), "{stale:?}");

    edge.purge(A).await;
    origin.let_go.add_permits(1);
    assert_eq!(edge.get(A).await.version, Some(2));
}
