//! A purge over TLS with client certificates, from the shell to the cache.

use std::process::Stdio;
use std::time::Duration;

use tests::authority::{Authority, Identity};
use tests::eventually;
use tests::process::purgebus;
use tests::serve::Reader;
use tests::servers::origin::Page;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{SECRET, Said, Secured, text};

const TABLE: &str = "
[publisher.tls]
certificate_file = \"~/api.pem\"
key_file = \"~/api.key\"
client_ca_file = \"~/ca.pem\"
";
const PAGE: &str = "www.example.com/a";

/// The command line as the bearer of a certificate.
fn shell(secured: &Secured, authority: &Authority, client: Option<&Identity>) -> Command {
    let mut command = Command::from(purgebus());
    command.env("PURGEBUS_URL", format!("https://{}", secured.api()));
    command.env("PURGEBUS_TOKEN", SECRET).env("PURGEBUS_CA_FILE", authority.ca_file());
    if let Some(Identity { certificate_file, key_file }) = client {
        command.env("PURGEBUS_CLIENT_CERT", certificate_file);
        command.env("PURGEBUS_CLIENT_KEY", key_file);
    }
    command
}

#[tokio::test]
async fn a_purge_goes_over_tls_from_the_shell_to_the_cache() {
    let secured = Secured::start(TABLE, "").await;
    secured.process.ready().await;
    let client = secured.authority.issue("cms-1");
    let shell = |words: &[&str]| {
        let mut command = shell(&secured, &secured.authority, Some(&client));
        command.args(words);
        command
    };
    let reader = Reader::at(secured.edge.address());
    secured.origin.publish(PAGE, Page::default());
    assert_eq!(reader.try_version("/a").await, Some(1));
    secured.origin.publish(PAGE, Page::default());
    assert_eq!(reader.try_version("/a").await, Some(1), "it was cached");

    let mut tail = shell(&["tail", "--json"]);
    let mut tail = tail.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it runs");
    let mut events = BufReader::new(tail.stdout.take().expect("piped")).lines();
    eventually("somebody listens", async || {
        let metrics = secured.process.admin().metrics().await;
        metrics.contains("purgebus_connections{port=\"publisher.listen\"} 1")
    })
    .await;
    let url = format!("https://{PAGE}");
    let purge = Said::of(&mut shell(&["purge", &url, "--wait", "final"])).await;
    assert_eq!(purge.code, Some(0), "{purge:?}");
    assert_eq!(reader.try_version("/a").await, Some(2));
    let heard = async {
        while let Ok(Some(line)) = events.next_line().await {
            if line.contains("\"final\"") {
                return true;
            }
        }
        false
    };
    assert_eq!(timeout(Duration::from_secs(30), heard).await, Ok(true));
    let status = Said::of(&mut shell(&["status", "--json"])).await;
    assert_eq!(status.code, Some(0), "{status:?}");
}

#[tokio::test]
async fn whom_one_side_does_not_trust_is_told_so_at_once() {
    let secured = Secured::start(TABLE, "").await;
    let stranger = Authority::new();
    let [client, strange] = [secured.authority.issue("cms-1"), stranger.issue("stranger")];
    let purge = ["purge", "https://www.example.com/a", "--timeout", "30s"];
    for (authority, client, words) in [
        (&stranger, Some(&client), "invalid peer certificate"),
        (&secured.authority, None, "CertificateRequired"),
        (&secured.authority, Some(&strange), "received fatal alert"),
    ] {
        let mut command = shell(&secured, authority, client);
        let said = timeout(Duration::from_secs(15), Said::of(command.args(purge))).await;
        let said = said.expect("it does not try again");
        assert!(said.code == Some(2) && said.err.contains("--ca-file"), "{words}: {said:?}");
        assert!(said.err.contains(words), "{words}: {said:?}");
    }
    let key = text(&client.key_file);
    let mut alone = Command::from(purgebus());
    let said = Said::of(alone.args(["status", "--client-key", key])).await;
    assert!(said.code == Some(2) && said.err.contains("--client-cert"), "{said:?}");
}
