//! redis-server, which keeps nothing on disk.

use std::path::Path;

use super::{Program, Server};

const REDIS: Program = Program { name: "redis-server", package: "redis-server" };

/// Starts it.
pub(crate) async fn start(folder: &Path) -> anyhow::Result<Server> {
    let arguments = |port: u16| {
        let port = port.to_string();
        let arguments = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--daemonize", "no"];
        Ok(arguments.map(str::to_owned).to_vec())
    };
    Server::start(REDIS, folder, arguments).await
}

/// Whether it can be started.
pub(crate) fn find() -> Result<(), super::Missing> {
    REDIS.find().map(|_| ())
}
