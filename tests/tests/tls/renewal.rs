//! A new certificate without a restart.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::civil::date;
use tests::eventually;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Said, Secured, text};

const TABLE: &str = "
[publisher.tls]
certificate_file = \"~/api.pem\"
key_file = \"~/api.key\"
";
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of `openssl s_client` that stays open.
struct Held {
    _client: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Held {
    fn open(secured: &Secured) -> Self {
        let ca = secured.authority.ca_file();
        let address = secured.api().to_string();
        let mut command = Command::new("openssl");
        let arguments =
            ["s_client", "-quiet", "-verify_return_error", "-connect", &address, "-CAfile"];
        command.args(arguments).arg(text(&ca)).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = command.spawn().expect("openssl is installed");
        let to = client.stdin.take().expect("piped");
        let from = BufReader::new(client.stdout.take().expect("piped"));
        Self { _client: client, to, from }
    }

    /// The first line of an answer. Its body is told by its length, and left.
    async fn ask(&mut self) -> String {
        let request = b"GET /nothing HTTP/1.1\r\nhost: here\r\n\r\n";
        self.to.write_all(request).await.expect("sent");
        let answer = async {
            loop {
                let mut line = String::new();
                self.from.read_line(&mut line).await.expect("text");
                // Of the answer before, there may be a body.
                if line.is_empty() || line.contains("HTTP/1.1 ") {
                    return line;
                }
            }
        };
        timeout(PATIENCE, answer).await.expect("an answer")
    }
}

/// The certificate that a new connection gets.
async fn shown(secured: &Secured) -> String {
    let address = secured.api().to_string();
    let mut command = Command::new("openssl");
    let said = Said::of(command.args(["s_client", "-connect", &address])).await;
    let from = said.out.find("-----BEGIN CERTIFICATE-----").unwrap_or_else(|| panic!("{said:?}"));
    let until = said.out.find("-----END CERTIFICATE-----").expect("an end");
    said.out[from..until].to_owned()
}

fn written(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("it is there");
    text.split("-----END").next().unwrap_or_default().replace("\r\n", "\n")
}

#[tokio::test]
async fn a_new_certificate_is_used_once_it_is_whole_and_what_is_open_lives_on() {
    let secured = Secured::start(TABLE, "").await;
    let [certificate, key] =
        ["api.pem", "api.key"].map(|name| secured.authority.ca_file().with_file_name(name));
    let first = written(&certificate);
    assert_eq!(shown(&secured).await, first);
    let mut held = Held::open(&secured);
    assert!(held.ask().await.contains("401"));

    // Half of a pair.
    let next = secured.authority.issue("next");
    fs::copy(&next.certificate_file, &certificate).expect("copied");
    eventually("the half is found", async || secured.process.log().contains("does not belong to"))
        .await;
    assert_eq!(shown(&secured).await, first);
    fs::copy(&next.key_file, &key).expect("copied");
    let second = written(&next.certificate_file);
    eventually("the pair is used", async || shown(&secured).await == second).await;
    assert!(held.ask().await.contains("401"), "the old connection lives");

    // One that nobody would accept, and a signal in place of patience.
    let ended = secured.authority.issue_between("ended", date(2020, 1, 1), date(2021, 1, 1));
    fs::copy(&ended.certificate_file, &certificate).expect("copied");
    fs::copy(&ended.key_file, &key).expect("copied");
    secured.process.reload();
    eventually("the mistake is told", async || secured.process.log().contains("has expired, at"))
        .await;
    assert_eq!(shown(&secured).await, second);
    let third = secured.authority.issue("third");
    fs::copy(&third.certificate_file, &certificate).expect("copied");
    fs::copy(&third.key_file, &key).expect("copied");
    secured.process.reload();
    let third = written(&third.certificate_file);
    eventually("the third is used", async || shown(&secured).await == third).await;
    assert!(held.ask().await.contains("401"), "the old connection still lives");
}
