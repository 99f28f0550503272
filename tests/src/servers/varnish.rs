//! varnishd with a VCL of the test's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Server;

/// A running varnishd.
#[derive(Debug)]
pub struct Varnish {
    server: Server,
}

impl Varnish {
    /// Starts it in front of `origin` with `vcl`, which follows the lines `vcl 4.1;` and `backend default`.
    ///
    /// # Panics
    /// When it does not start; with the compiler's words.
    pub async fn start(origin: SocketAddr, vcl: &str) -> Self {
        Self::start_with(origin, vcl, &[]).await
    }

    /// The same with further parameters such as `http_max_hdr=128`.
    ///
    /// # Panics
    /// When it does not start; with the compiler's words.
    pub async fn start_with(origin: SocketAddr, vcl: &str, parameters: &[&str]) -> Self {
        let backend = format!(
            "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\n{vcl}",
            origin.ip(),
            origin.port()
        );
        let parameters = parameters
            .iter()
            .chain(&["thread_pools=1", "thread_pool_min=20", "default_grace=10"])
            .flat_map(|parameter| ["-p".to_owned(), (*parameter).to_owned()])
            .collect::<Vec<_>>();
        let server = Server::start(
            "varnishd",
            |folder| fs::write(folder.join("test.vcl"), backend).expect("a VCL file"),
            move |folder, port| arguments(folder, port, &parameters),
        )
        .await;
        Self { server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Kills it.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Starts it again at the same address, with an empty cache.
    pub async fn restart(&mut self) {
        self.server.restart().await;
    }
}

/// The VCL that we ship.
pub fn shipped_vcl() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/varnish/purgebus.vcl")
}

fn arguments(folder: &Path, port: u16, parameters: &[String]) -> Vec<String> {
    let folder = folder.display();
    let mut arguments = vec![
        "-F".to_owned(),
        "-n".to_owned(),
        format!("{folder}/varnishd"),
        "-a".to_owned(),
        format!("127.0.0.1:{port}"),
        "-T".to_owned(),
        "none".to_owned(),
        "-f".to_owned(),
        format!("{folder}/test.vcl"),
        "-s".to_owned(),
        "malloc,64m".to_owned(),
    ];
    arguments.extend_from_slice(parameters);
    arguments
}
