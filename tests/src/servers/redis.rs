//! redis-server, empty at its first start; what was saved comes back at a restart.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::{PATIENCE, Server};

/// Another process may take the free port first.
const STARTS_TRIED: usize = 5;

/// A running redis-server.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start; with the end of its log.
    pub async fn start() -> Self {
        let prepare = |folder: &Path| fs::write(folder.join("redis.conf"), "").expect("a config");
        for _ in 0..STARTS_TRIED {
            let redis = Self { server: Server::start("redis-server", prepare, arguments).await };
            if redis.answers().await {
                return redis;
            }
        }
        panic!("another server answers each time");
    }

    /// Whether it is this server that answers at its address, and no other that took the port first.
    async fn answers(&self) -> bool {
        let Ok(mut connection) = self.try_connect().await else { return false };
        let folder = redis::cmd("CONFIG").arg("GET").arg("dir").to_owned();
        let answer: Result<(String, String), _> = folder.query_async(&mut connection).await;
        answer.is_ok_and(|(_, folder)| Path::new(&folder) == self.server.folder())
    }

    /// Adds a line of redis.conf, for the next restart on.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn configure(&self, line: &str) {
        let mut file = File::options()
            .append(true)
            .open(self.server.folder().join("redis.conf"))
            .expect("it was made at the start");
        writeln!(file, "{line}").expect("a line is written");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Kills it: what was not saved is lost.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Starts it again at the same address. It may still be loading when this returns.
    pub async fn restart(&mut self) {
        self.server.restart().await;
    }

    /// A connection of the user `default`, who may do everything.
    ///
    /// # Panics
    /// When it does not connect.
    pub async fn connect(&self) -> MultiplexedConnection {
        self.try_connect().await.expect("a connection")
    }

    async fn try_connect(&self) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(format!("redis://{}", self.address()))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

fn arguments(folder: &Path, port: u16) -> Vec<String> {
    let text = |text: &str| text.to_owned();
    vec![
        folder.join("redis.conf").display().to_string(),
        text("--bind"),
        text("127.0.0.1"),
        text("--port"),
        port.to_string(),
        text("--dir"),
        folder.display().to_string(),
        text("--save"),
        text(""),
        text("--daemonize"),
        text("no"),
    ]
}
