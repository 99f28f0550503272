//! What the caches themselves say they were told to purge: Redis' MONITOR and Varnish's own log. Both stamp their
//! lines with the clock of this machine.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::AsyncCommands;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::servers::redis::Redis;
use crate::servers::varnish::Varnish;

/// Longest wait for a purge to be seen.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Seconds since 1970, as the servers write them.
pub type Seconds = f64;

/// By key, when each purge of it began.
type Sightings = Arc<Mutex<HashMap<String, Vec<Seconds>>>>;

/// Listens to one cache until dropped.
#[derive(Debug)]
pub struct Witness {
    seen: Sightings,
    http: reqwest::Client,
    _listening: JoinSet<()>,
    _varnishlog: Option<Child>,
}

impl Witness {
    /// Of the keys that Redis unlinks.
    ///
    /// # Panics
    /// When Redis does not let it listen.
    pub async fn of_redis(redis: &Redis) -> Self {
        let mut stream = TcpStream::connect(redis.address()).await.expect("a connection");
        stream.write_all(b"MONITOR\r\n").await.expect("a command");
        let mut lines = BufReader::new(stream);
        let mut greeting = String::new();
        lines.read_line(&mut greeting).await.expect("an answer");
        assert_eq!(greeting.trim_end(), "+OK");
        Self::listen(None, lines, unlinked)
    }

    /// Of the keys that Varnish is told to purge, as `purgebus.vcl` spells them.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub async fn of_varnish(varnish: &Varnish) -> Self {
        // A long list of keys would be cut off.
        varnish.set_parameter("vsl_buffer", "64k");
        varnish.set_parameter("vsl_reclen", "32k");
        let mut varnishlog = Command::new("varnishlog")
            .arg("-n")
            .arg(varnish.instance())
            .args(["-g", "request", "-q", "ReqMethod eq \"PURGE\""])
            .args(["-i", "Timestamp", "-I", "ReqHeader:(?i)^x-purgebus-(hard|soft)"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("varnishlog is installed with varnishd");
        let lines = varnishlog.stdout.take().expect("it is piped");
        let mut began = 0.0;
        let told = move |line: &str| told(line, &mut began);
        let witness = Self::listen(Some(varnishlog), BufReader::new(lines), told);
        witness.catch_up_with_varnish(varnish).await;
        witness
    }

    /// When each purge of `key` began.
    pub fn sightings(&self, key: &str) -> Vec<Seconds> {
        self.seen.lock().get(key).cloned().unwrap_or_default()
    }

    /// Every purge of keys that begin so: of which, and when it began.
    pub fn sightings_of_all(&self, prefix: &str) -> Vec<(String, Seconds)> {
        let seen = self.seen.lock();
        let keys = seen.iter().filter(|(key, _)| key.starts_with(prefix));
        keys.flat_map(|(key, sightings)| sightings.iter().map(move |at| (key.clone(), *at)))
            .collect()
    }

    /// When the first purge of `key` began, once there is one.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn saw(&self, key: &str) -> Seconds {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(first) = self.sightings(key).first() {
                return *first;
            }
            assert!(Instant::now() < deadline, "no purge of {key} was seen");
            sleep(LOOK_EVERY).await;
        }
    }

    fn listen(
        varnishlog: Option<Child>,
        lines: BufReader<impl AsyncRead + Unpin + Send + 'static>,
        mut read: impl FnMut(&str) -> Option<(Seconds, Vec<String>)> + Send + 'static,
    ) -> Self {
        let seen = Sightings::default();
        let sightings = seen.clone();
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut lines = lines.lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some((at, keys)) = read(&line) else { continue };
                let mut seen = sightings.lock();
                for key in keys {
                    seen.entry(key).or_default().push(at);
                }
            }
        });
        let http = reqwest::Client::new();
        Self { seen, http, _listening: listening, _varnishlog: varnishlog }
    }

    /// Waits until it has seen all that Redis did before.
    ///
    /// # Panics
    /// When Redis does not answer.
    pub async fn catch_up_with_redis(&self, redis: &Redis) {
        let nothing = format!("nothing:{}", Uuid::new_v4());
        let mut connection = redis.connect().await;
        connection.unlink::<_, ()>(&nothing).await.expect("an answer");
        self.saw(&nothing).await;
    }

    /// Waits until it has seen all that Varnish did before.
    ///
    /// # Panics
    /// When Varnish does not answer.
    pub async fn catch_up_with_varnish(&self, varnish: &Varnish) {
        let purge = reqwest::Method::from_bytes(b"PURGE").expect("a method");
        let url = format!("http://{}/", varnish.address());
        let nothing = Uuid::new_v4().to_string();
        let deadline = Instant::now() + PATIENCE;
        // Repeated, since a log that is just being opened shows nothing of before.
        while self.sightings(&nothing).is_empty() {
            assert!(Instant::now() < deadline, "varnishlog shows nothing");
            let request = self.http.request(purge.clone(), &url);
            request.header("x-purgebus-soft", &nothing).send().await.expect("an answer");
            sleep(LOOK_EVERY * 10).await;
        }
    }
}

/// `+1700000000.123456 [0 127.0.0.1:5555] "UNLINK" "tag:a" "tag:b"`
fn unlinked(line: &str) -> Option<(Seconds, Vec<String>)> {
    let (at, rest) = line.strip_prefix('+')?.split_once(' ')?;
    let mut words = rest.split('"').skip(1).step_by(2);
    words.next().filter(|command| command.eq_ignore_ascii_case("unlink"))?;
    Some((at.parse().ok()?, words.map(str::to_owned).collect()))
}

/// `-   Timestamp      Start: 1700000000.123456 0.000000 0.000000`, and then
/// `-   ReqHeader      X-Purgebus-Hard: t:www.example.com/a t:www.example.com/b`
fn told(line: &str, began: &mut Seconds) -> Option<(Seconds, Vec<String>)> {
    let mut words = line.split_whitespace().skip(1);
    match (words.next()?, words.next()?) {
        ("Timestamp", "Start:") => {
            *began = words.next()?.parse().ok()?;
            None
        }
        ("ReqHeader", _) => Some((*began, words.map(str::to_owned).collect())),
        _ => None,
    }
}
