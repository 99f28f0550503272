//! A TCP proxy as far away as it is told: what it carries takes its time each way, some of it a little longer, a lost
//! packet costs a retransmission, and nothing overtakes. Distance takes no throughput: up to a window is on the way. It
//! knows no congestion: a connection is as fast at its start, and after a loss, as ever.

mod road;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::proxy::listen;
use road::Road;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// How far it is, and how well the way is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// Time that a packet takes at least.
    pub one_way: Duration,
    /// So much longer it takes at most, each length as likely.
    pub jitter: Duration,
    /// The part of all packets that is lost, and sent again.
    pub loss: f64,
}

impl Way {
    fn round_trip(self) -> Duration {
        self.one_way * 2
    }
}

/// Passes connections on to one server that is far away; it and they end when it is dropped.
#[derive(Debug)]
pub struct Distance {
    address: SocketAddr,
    terms: Terms,
    _server: JoinSet<()>,
}

/// What all connections go by.
#[derive(Debug, Clone)]
struct Terms {
    way: Arc<Mutex<Way>>,
    cut: Arc<watch::Sender<bool>>,
}

impl Distance {
    /// Starts on a free loopback port, in front of `target`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: SocketAddr, way: Way) -> Self {
        let (way, cut) = (Arc::new(Mutex::new(way)), Arc::new(watch::Sender::new(false)));
        let terms = Terms { way, cut };
        let of_each = terms.clone();
        let (address, server) = listen(move |client| travel(client, target, of_each.clone())).await;
        Self { address, terms, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a packet is lost so often.
    pub fn lose(&self, loss: f64) {
        self.terms.way.lock().loss = loss;
    }

    /// Nothing arrives on either side any more, and nobody is told.
    pub fn cut_off(&self) {
        self.terms.cut.send_replace(true);
    }

    /// Everything arrives again, that of before first.
    pub fn connect_again(&self) {
        self.terms.cut.send_replace(false);
    }
}

impl Terms {
    fn way(&self) -> Way {
        *self.way.lock()
    }

    /// Waits until it is not cut off.
    async fn passable(&self) -> io::Result<()> {
        self.cut.subscribe().wait_for(|cut| !cut).await.map_err(io::Error::other)?;
        Ok(())
    }
}

/// ```text
/// client            server
///    | --- SYN ------> |
///    | <-- SYN ACK --- |
///    | --- ACK ------> |   with the first bytes of a client that speaks first
///    | <-------------- |   the first bytes of the server, two round trips after the beginning
/// ```
async fn travel(client: TcpStream, target: SocketAddr, terms: Terms) -> io::Result<()> {
    sleep(terms.way().round_trip()).await;
    tokio::select! {
        passable = terms.passable() => passable?,
        given_up = given_up(&client) => return given_up,
    }
    let opened = Instant::now();
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((asks, hears), (answers, told)) = (client.into_split(), server.into_split());
    let answered = opened + terms.way().round_trip();
    tokio::try_join!(carry(asks, told, opened, &terms), carry(answers, hears, answered, &terms))?;
    Ok(())
}

/// Waits until the client has closed the connection without a word.
async fn given_up(client: &TcpStream) -> io::Result<()> {
    if client.peek(&mut [0]).await? > 0 {
        pending::<()>().await;
    }
    Ok(())
}

/// Carries one direction until it ends.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    opens: Instant,
    terms: &Terms,
) -> io::Result<()> {
    let (mut road, mut buffer) = (Road::new(opens, Rng::new()), vec![0; CHUNK]);
    let mut ended = false;
    loop {
        let next = road.next();
        tokio::select! {
            taken = from.read(&mut buffer), if !ended && road.has_room() => {
                let length = taken?;
                ended = length == 0;
                road.send(buffer[..length].to_vec().into(), terms.way(), Instant::now());
            }
            () = sleep_until(next.unwrap_or(opens)), if next.is_some() => {
                terms.passable().await?;
                while let Some(bytes) = road.arrived(Instant::now()) {
                    if bytes.is_empty() {
                        return to.shutdown().await;
                    }
                    to.write_all(&bytes).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);
    const NEAR: Way = Way { one_way: Duration::ZERO, jitter: Duration::ZERO, loss: 0.0 };

    /// A server that greets and sends everything back.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        listen(async |mut client: TcpStream| {
            client.write_all(b"hello").await?;
            let (mut asks, mut hears) = client.split();
            tokio::io::copy(&mut asks, &mut hears).await?;
            hears.shutdown().await
        })
        .await
    }

    async fn greeted(at: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(at).await.expect("it listens");
        let mut greeting = [0; 5];
        let greeted = timeout(PATIENCE, client.read_exact(&mut greeting)).await;
        greeted.expect("in time").expect("a greeting");
        assert_eq!(&greeting, b"hello");
        client
    }

    /// How long the greeting takes, and then an echo.
    async fn takes(at: SocketAddr) -> (Duration, Duration) {
        let began = Instant::now();
        let mut client = greeted(at).await;
        let (greeted, asked) = (began.elapsed(), Instant::now());
        client.write_all(b"x").await.expect("sent");
        let answer = timeout(PATIENCE, client.read_u8()).await;
        assert_eq!(answer.expect("in time").expect("an answer"), b'x');
        (greeted, asked.elapsed())
    }

    #[tokio::test]
    async fn a_connection_costs_a_round_trip_and_whatever_goes_to_and_fro_another_one() {
        let (server, _serving) = echo().await;
        let far = Way { one_way: Duration::from_millis(150), ..NEAR };
        let (near, far_away) =
            (Distance::start(server, NEAR).await, Distance::start(server, far).await);
        let (greeted_near, echoed_near) = takes(near.address()).await;
        let (greeted, echoed) = takes(far_away.address()).await;
        assert!(greeted >= far.round_trip() * 2, "{greeted:?}, near {greeted_near:?}");
        assert!(echoed >= far.round_trip(), "{echoed:?}, near {echoed_near:?}");
    }

    #[tokio::test]
    async fn bytes_arrive_as_they_were_sent_whatever_happens_on_the_way() {
        let (server, _serving) = echo().await;
        let one_way = Duration::from_millis(1);
        let way = Way { one_way, jitter: Duration::from_millis(3), loss: 0.003 };
        let distance = Distance::start(server, way).await;
        let sent: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(6 << 20).collect();
        let (mut answers, mut asks) = greeted(distance.address()).await.into_split();
        let asking = async {
            asks.write_all(&sent).await.expect("sent");
            asks.shutdown().await.expect("ended");
        };
        let mut heard = Vec::new();
        let hearing = answers.read_to_end(&mut heard);
        let both = async { tokio::join!(asking, hearing).1 };
        timeout(PATIENCE * 5, both).await.expect("in time").expect("an end");
        assert!(heard == sent, "{} of {} bytes, or others", heard.len(), sent.len());
    }

    #[tokio::test]
    async fn many_messages_are_on_the_way_at_once() {
        let (server, _serving) = echo().await;
        let far = Way { one_way: Duration::from_secs(1), ..NEAR };
        let distance = Distance::start(server, far).await;
        let mut client = greeted(distance.address()).await;
        let began = Instant::now();
        for number in 0..100 {
            client.write_u8(number).await.expect("sent");
            // So that each is read for itself.
            sleep(Duration::from_millis(2)).await;
        }
        let mut echoed = [0; 100];
        timeout(PATIENCE, client.read_exact(&mut echoed)).await.expect("in time").expect("all");
        assert!(echoed.iter().copied().eq(0..100));
        let one_by_one = far.round_trip() * 100;
        assert!(began.elapsed() < one_by_one / 2, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn who_is_cut_off_hears_nothing_and_everything_once_it_is_over() {
        let (server, _serving) = echo().await;
        let distance = Distance::start(server, NEAR).await;
        let mut client = greeted(distance.address()).await;
        distance.cut_off();
        client.write_all(b"ab").await.expect("sent");
        let mut other = TcpStream::connect(distance.address()).await.expect("it listens");
        let in_vain = timeout(Duration::from_millis(300), client.read_u8()).await;
        assert!(in_vain.is_err(), "{in_vain:?}");
        assert!(timeout(Duration::from_millis(100), other.read_u8()).await.is_err());
        distance.connect_again();
        let mut both = [0; 2];
        timeout(PATIENCE, client.read_exact(&mut both)).await.expect("in time").expect("both");
        assert_eq!(&both, b"ab");
        assert_eq!(
            timeout(PATIENCE, other.read_u8()).await.expect("in time").expect("a byte"),
            b'h'
        );
    }

    #[tokio::test]
    async fn the_end_of_either_side_reaches_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let far = Way { one_way: Duration::from_millis(20), ..NEAR };
        let server = listener.local_addr().expect("bound");
        let distance = Distance::start(server, far).await;
        let mut client = TcpStream::connect(distance.address()).await.expect("it listens");
        let accepted = timeout(PATIENCE, listener.accept()).await.expect("in time");
        let (mut far_end, _) = accepted.expect("a connection");
        client.shutdown().await.expect("ended");
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, far_end.read_to_end(&mut rest)).await.expect("in time");
        assert_eq!(ended.expect("an end"), 0);
        drop(far_end);
        let ended = timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("in time");
        assert_eq!(ended.expect("an end"), 0);
    }
}
