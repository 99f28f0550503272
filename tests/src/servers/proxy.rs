//! A TCP proxy that holds answers back, or cuts them off in the middle.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to one server; it and they end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    faults: Faults,
    _server: JoinSet<()>,
}

#[derive(Debug, Clone)]
struct Faults {
    /// How many bytes of answers still pass before their connection is closed.
    cut_after: Arc<Mutex<Option<usize>>>,
    held: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Starts on a free loopback port, in front of `target`, without faults.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Self {
        let held = Arc::new(watch::Sender::new(false));
        let faults = Faults { cut_after: Arc::default(), held };
        let of_each = faults.clone();
        let (address, server) = listen(move |client| pass(client, target, of_each.clone())).await;
        Self { address, faults, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets `bytes` more of answers pass, then closes the connection that has the next one, once.
    pub fn cut_answers_after(&self, bytes: usize) {
        *self.faults.cut_after.lock() = Some(bytes);
    }

    /// Holds all answers back.
    pub fn hold_answers(&self) {
        self.faults.held.send_replace(true);
    }

    /// Lets all answers pass again, those held back first.
    pub fn pass_answers(&self) {
        *self.faults.cut_after.lock() = None;
        self.faults.held.send_replace(false);
    }
}

/// Takes connections at a free loopback port, each to be served by `serve`, until the tasks are dropped.
///
/// # Panics
/// When no port is free.
pub(super) async fn listen<F>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinSet<()>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let serving = serve(client);
            // A failed connection shows at the client.
            connections.spawn(async move { drop(serving.await) });
            while connections.try_join_next().is_some() {}
        }
    });
    (address, server)
}

async fn pass(client: TcpStream, target: SocketAddr, faults: Faults) -> io::Result<()> {
    let (mut asks, hears) = client.into_split();
    let (answers, mut told) = TcpStream::connect(target).await?.into_split();
    tokio::select! {
        asked = copy(&mut asks, &mut told) => asked.map(|_| ()),
        answered = answer(answers, hears, &faults) => answered,
    }
}

async fn answer(
    mut answers: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    faults: &Faults,
) -> io::Result<()> {
    let mut held = faults.held.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = answers.read(&mut buffer).await?;
        held.wait_for(|held| !held).await.map_err(io::Error::other)?;
        let passes = {
            let mut cut_after = faults.cut_after.lock();
            let passes = cut_after.map_or(length, |left| left.min(length));
            *cut_after = cut_after.filter(|_| passes == length).map(|left| left - passes);
            passes
        };
        client.write_all(&buffer[..passes]).await?;
        if length == 0 || passes < length {
            return Ok(());
        }
    }
}
