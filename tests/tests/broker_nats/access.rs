//! Who is let in, and what is said to those who are not.

use std::path::{Path, PathBuf};

use broker_adapter::{Broker, BrokerError, Nats as Log, NatsConfig, Secret, Start, TlsConfig};
use tests::authority::Authority;
use tests::eventually;
use tests::servers::nats::{NEWEST, Nats};
use tokio::io::AsyncWriteExt;

use super::setup::{LOG, config, insist, open, read, refused, say, words};

/// Keys made for these tests and used nowhere else.
fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker_nats/keys").join(name)
}

const TAKEN: &str = "does not take these credentials";

/// Publishes and reads over a connection with `config`.
async fn works(config: &NatsConfig) {
    let log = open(config);
    insist(&log, "a").await;
    let mut reader = log.subscribe(LOG, Start::Oldest).await.expect("a reader");
    read(&mut *reader, 1).await;
}

/// The connection comes to nothing, and `why` is among what a publish says then.
async fn fails(config: &NatsConfig, why: &str) {
    says(&open(config), why).await;
}

async fn says(log: &Log, why: &str) {
    let mut said = String::new();
    // The first attempt may still be under way when the first publish gives up.
    eventually(why, async || {
        let error = say(log, "a").await.expect_err("it cannot be taken");
        assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
        said = words(&error);
        said.contains(why) || {
            eprintln!("not yet {why:?}: {said}");
            false
        }
    })
    .await;
}

#[tokio::test]
async fn users_tokens_nkeys_and_credentials_open_the_door_and_wrong_ones_do_not() {
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("secret");
    std::fs::write(&file, "s3cret\n").unwrap();

    let nats = Nats::start_with(NEWEST, "authorization { user: bus, password: s3cret }").await;
    let bus = NatsConfig { user: Some("bus".to_owned()), ..config(&nats) };
    works(&NatsConfig { password: Some(Secret::from("s3cret")), ..bus.clone() }).await;
    works(&NatsConfig { password_file: Some(file.clone()), ..bus.clone() }).await;
    fails(&NatsConfig { password: Some(Secret::from("other")), ..bus }, TAKEN).await;
    fails(&config(&nats), TAKEN).await;

    let nats = Nats::start_with(NEWEST, "authorization { token: s3cret }").await;
    works(&NatsConfig { token: Some(Secret::from("s3cret")), ..config(&nats) }).await;
    works(&NatsConfig { token_file: Some(file), ..config(&nats) }).await;
    fails(&NatsConfig { token: Some(Secret::from("other")), ..config(&nats) }, TAKEN).await;

    let public = std::fs::read_to_string(key("user.pub")).unwrap();
    let users = format!("authorization {{ users: [ {{ nkey: {public} }} ] }}");
    let nats = Nats::start_with(NEWEST, &users).await;
    works(&NatsConfig { nkey_file: Some(key("user.nk")), ..config(&nats) }).await;
    fails(&config(&nats), TAKEN).await;

    let operator = std::fs::read_to_string(key("server.conf")).unwrap();
    let nats = Nats::start_with(NEWEST, &operator).await;
    works(&NatsConfig { credentials_file: Some(key("user.creds")), ..config(&nats) }).await;
    let stranger = Some(key("stranger.creds"));
    fails(&NatsConfig { credentials_file: stranger, ..config(&nats) }, TAKEN).await;
}

fn tls(nats: &Nats, ca_file: Option<PathBuf>) -> NatsConfig {
    let tls = TlsConfig { ca_file, ..TlsConfig::default() };
    NatsConfig { tls: Some(tls), ..config(nats) }
}

#[tokio::test]
async fn tls_is_checked_on_both_sides_and_a_mismatch_is_named() {
    let (ours, other) = (Authority::new(), Authority::new());
    let block = |identity: &tests::authority::Identity, more: &str| {
        let (certificate, key) = (identity.certificate_file.display(), identity.key_file.display());
        format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" {more} }}")
    };

    let nats = Nats::start_with(NEWEST, &block(&ours.issue("server"), "")).await;
    works(&tls(&nats, Some(ours.ca_file()))).await;
    fails(&tls(&nats, Some(other.ca_file())), "set ca_file").await;
    // A server that asks for TLS gets it, unasked for by us; but nobody said whom to trust.
    fails(&config(&nats), "set ca_file").await;

    let elsewhere = ours.issue_for("elsewhere", &["elsewhere.example"]);
    let nats = Nats::start_with(NEWEST, &block(&elsewhere, "")).await;
    fails(&tls(&nats, Some(ours.ca_file())), "not for the host").await;

    let verify = format!(", ca_file: \"{}\", verify: true", ours.ca_file().display());
    let nats = Nats::start_with(NEWEST, &block(&ours.issue("server"), &verify)).await;
    let client = ours.issue("client");
    let mutual = |identity: &tests::authority::Identity| NatsConfig {
        tls: Some(TlsConfig {
            ca_file: Some(ours.ca_file()),
            certificate_file: Some(identity.certificate_file.clone()),
            key_file: Some(identity.key_file.clone()),
        }),
        ..config(&nats)
    };
    works(&mutual(&client)).await;
    fails(&tls(&nats, Some(ours.ca_file())), "wants a certificate of ours").await;
    fails(&mutual(&other.issue("stranger")), "our certificate").await;

    let nats = Nats::start().await;
    fails(&tls(&nats, Some(ours.ca_file())), "does not speak it").await;
    let url = format!("tls://{}", nats.address());
    fails(&NatsConfig { urls: vec![url], ..config(&nats) }, "does not speak it").await;
}

#[tokio::test]
async fn a_server_that_is_not_there_or_no_nats_is_named() {
    let mut nats = Nats::start().await;
    let gone = config(&nats);
    nats.stop().await;
    fails(&gone, "Connection refused").await;
    fails(
        &NatsConfig { urls: vec!["nats://no.such.host.invalid:4222".into()], ..gone.clone() },
        "host name",
    )
    .await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let web = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    };
    let other = NatsConfig { urls: vec![url], ..gone };
    tokio::select! {
        () = web => {}
        () = fails(&other, "no NATS server") => {}
    }
}

#[tokio::test]
async fn mistakes_of_the_configuration_are_refused_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        Some(file)
    };
    let missing = Some(folder.path().join("missing"));
    let user = Some("u".to_owned());
    let base = NatsConfig::default;
    let tls = |tls| NatsConfig { tls: Some(tls), ..base() };
    for (config, named) in [
        (NatsConfig { urls: vec![], ..base() }, "urls"),
        (NatsConfig { urls: vec!["ws://h".into()], ..base() }, "websockets"),
        (NatsConfig { urls: vec!["http://h".into()], ..base() }, "nats://"),
        (NatsConfig { urls: vec!["nats://u:topsecret@h".into()], ..base() }, "password_file"),
        (NatsConfig { prefix: "a.b".into(), ..base() }, "prefix"),
        (NatsConfig { replicas: 0, ..base() }, "replicas"),
        (NatsConfig { partitions: 0, ..base() }, "partitions"),
        (NatsConfig { user: user.clone(), ..base() }, "password"),
        (NatsConfig { password: Some("topsecret".into()), ..base() }, "user"),
        (
            NatsConfig {
                user: user.clone(),
                password: Some("topsecret".into()),
                token: Some("topsecret".into()),
                ..base()
            },
            "only one of",
        ),
        (
            NatsConfig { token: Some("topsecret".into()), token_file: file("t", "x"), ..base() },
            "token_file",
        ),
        (NatsConfig { user, password_file: missing.clone(), ..base() }, "missing"),
        (NatsConfig { token_file: file("empty", "\n"), ..base() }, "empty"),
        (NatsConfig { nkey_file: file("nkey", "topsecret"), ..base() }, "nkey"),
        (NatsConfig { credentials_file: missing.clone(), ..base() }, "missing"),
        (NatsConfig { credentials_file: file("creds", "topsecret"), ..base() }, "creds"),
        (tls(TlsConfig { ca_file: missing, ..TlsConfig::default() }), "missing"),
        (tls(TlsConfig { ca_file: file("ca", "topsecret"), ..TlsConfig::default() }), "ca"),
        (tls(TlsConfig { key_file: file("key", ""), ..TlsConfig::default() }), "certificate_file"),
    ] {
        let said = refused(&Log::open(&config).expect_err(named));
        assert!(said.contains(named), "{named}: {said}");
        assert!(!said.contains("topsecret") && !format!("{config:?}").contains("\"topsecret\""));
    }
}
