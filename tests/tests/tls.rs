//! TLS and limits at the ports of a real `purgebus serve`, against openssl, curl and clients that mean no good.

#[path = "tls/flow.rs"]
mod flow;
#[path = "tls/greedy.rs"]
mod greedy;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/renewal.rs"]
mod renewal;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tests::authority::{Authority, Identity};
use tests::process::{Home, Process};
use tests::serve::Settings;
use tests::servers::origin::Origin;
use tests::town::Edge;
use tokio::process::Command;

const LANE: &str = "rebounds = []\nstarts_empty = true\n";
/// A secret, and its SHA-256.
const SECRET: &str = "test";
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A `serve` with an edge, whose API needs a token.
struct Secured {
    process: Process,
    authority: Authority,
    edge: Edge,
    origin: Origin,
    /// Of its tokens.
    _folder: TempDir,
}

impl Secured {
    /// With these tables of TLS, in which `~` stands for the folder of `api.pem`, `api.key` and `ca.pem`, and these
    /// further keys of `[publisher]`.
    async fn start(tables: &str, publisher: &str) -> Self {
        let authority = Authority::new();
        authority.issue("api");
        let origin = Origin::start().await;
        let edge = Edge::start(origin.address()).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens.toml");
        let token = format!("[[token]]\nname = \"cms\"\nhash = \"sha256:{DIGEST}\"\n");
        fs::write(&file, token).expect("tokens");
        let publisher = format!("tokens_file = \"{}\"\n{publisher}", file.display());
        let settings = Settings::default().edge(edge.address(), LANE).publisher(&publisher);
        let tables = tables.replace('~', &files(&authority));
        let configuration = move |home: &Home| format!("{}\n{tables}", settings.toml(home));
        let process = Process::start("serve", configuration).await;
        Self { process, authority, edge, origin, _folder: folder }
    }

    fn api(&self) -> SocketAddr {
        self.process.home().api
    }

    /// What a client says and ends with, after these words that it is called with.
    async fn run(&self, program: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new(program);
        Said::of(command.args(arguments)).await
    }

    /// What `curl` gets of the API under TLS, trusting our authority.
    async fn curl(&self, path: &str, arguments: &[&str]) -> Said {
        let url = format!("https://{}{path}", self.api());
        let ca = self.authority.ca_file();
        let bearer = format!("authorization: Bearer {SECRET}");
        let ours = ["-sS", "--max-time", "20", "-H", &bearer, "--cacert", text(&ca), &url];
        self.run("curl", &[&ours, arguments].concat()).await
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Said {
    async fn of(command: &mut Command) -> Self {
        let output = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await;
        let output = output.expect("it is installed");
        let [out, err] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { out, err, code: output.status.code() }
    }
}

fn files(authority: &Authority) -> String {
    let file = authority.ca_file();
    text(file.parent().expect("a folder")).to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The arguments with which `curl` shows a certificate.
fn shows(identity: &Identity) -> [&str; 4] {
    ["--cert", text(&identity.certificate_file), "--key", text(&identity.key_file)]
}
