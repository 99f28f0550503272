//! varnishd with a VCL of the test's.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Server;

/// A running varnishd.
#[derive(Debug)]
pub struct Varnish {
    server: Server,
    backend: String,
    loaded: AtomicUsize,
}

impl Varnish {
    /// Starts it in front of `origin` with `vcl`, which follows the lines `vcl 4.1;` and `backend default`.
    ///
    /// # Panics
    /// When it does not start; with the compiler's words.
    pub async fn start(origin: SocketAddr, vcl: &str) -> Self {
        let backend = format!(
            "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\n",
            origin.ip(),
            origin.port()
        );
        let text = backend.clone() + vcl;
        let server = Server::start(
            "varnishd",
            |folder| fs::write(folder.join("test.vcl"), text).expect("a VCL file"),
            arguments,
        )
        .await;
        Self { server, backend, loaded: AtomicUsize::new(0) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Puts another `vcl` to use; what is cached stays.
    ///
    /// # Panics
    /// When it does not compile.
    pub fn load(&self, vcl: &str) {
        let name = format!("loaded{}", self.loaded.fetch_add(1, Ordering::Relaxed));
        let file = self.server.folder().join(&name);
        fs::write(&file, self.backend.clone() + vcl).expect("a VCL file");
        self.administer(&["vcl.load", &name, &file.display().to_string()]);
        self.administer(&["vcl.use", &name]);
    }

    /// Sets a run-time parameter; it is back at its default after a restart.
    ///
    /// # Panics
    /// When varnishd does not take it.
    pub fn set_parameter(&self, name: &str, value: &str) {
        self.administer(&["param.set", name, value]);
    }

    /// The working folder by which its tools find it.
    pub fn instance(&self) -> PathBuf {
        self.server.folder().join("varnishd")
    }

    fn administer(&self, command: &[&str]) {
        let said = Command::new("varnishadm").arg("-n").arg(self.instance()).args(command).output();
        let said = said.expect("varnishadm is installed with varnishd");
        assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stdout));
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

/// A VCL that is no more than the one that we ship.
///
/// # Panics
/// When it is not there.
pub fn include_shipped() -> String {
    let shipped = shipped_vcl().canonicalize().expect("it is shipped");
    format!("include \"{}\";\n", shipped.display())
}

fn arguments(folder: &Path, port: u16) -> Vec<String> {
    let folder = folder.display();
    [
        "-F",
        "-n",
        &format!("{folder}/varnishd"),
        "-a",
        &format!("127.0.0.1:{port}"),
        "-T",
        "127.0.0.1:0",
        "-f",
        &format!("{folder}/test.vcl"),
        "-s",
        "malloc,64m",
        "-p",
        "thread_pools=1",
        "-p",
        "thread_pool_min=20",
    ]
    .map(str::to_owned)
    .to_vec()
}
