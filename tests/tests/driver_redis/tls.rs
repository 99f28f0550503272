//! Over TLS, where both sides prove who they are.

use agent::driver::{Driver, PurgeError};
use redis::cmd;
use tests::authority::{Authority, Identity};
use tests::servers::free_port;
use tests::servers::redis::Redis;

use crate::{fill, key, open, purge};

/// A Redis that listens with TLS on another port too, where it wants certificates of this authority.
async fn start(authority: &Authority) -> (Redis, u16) {
    let mut redis = Redis::start().await;
    let (port, server) = (free_port(), authority.issue("redis"));
    redis.configure(&format!("tls-port {port}"));
    for (name, file) in [
        ("tls-cert-file", server.certificate_file),
        ("tls-key-file", server.key_file),
        ("tls-ca-cert-file", authority.ca_file()),
    ] {
        redis.configure(&format!("{name} {}", file.display()));
    }
    redis.stop().await;
    redis.restart().await;
    (redis, port)
}

fn driver(port: u16, tls: &str) -> std::sync::Arc<dyn Driver> {
    open(&format!(
        "url = 'rediss://purger:secret@127.0.0.1:{port}'\n\
         tls = {{ {tls} }}\nkeys.key = '{{site}}:{{key}}'"
    ))
}

fn of(identity: &Identity) -> String {
    let (certificate, key) = (identity.certificate_file.display(), identity.key_file.display());
    format!("certificate_file = '{certificate}', key_file = '{key}'")
}

#[tokio::test]
async fn it_purges_over_tls_whom_it_trusts_and_who_trusts_it() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (redis, port) = start(&ours).await;
    let mut admin = redis.connect().await;
    let user = ["SETUSER", "purger", "on", ">secret", "allkeys", "allcommands"];
    cmd("ACL").arg(&user).exec_async(&mut admin).await.unwrap();
    let ca = |authority: &Authority| format!("ca_file = '{}'", authority.ca_file().display());
    let (mine, stranger) = (of(&ours.issue("agent")), of(&others.issue("agent")));

    fill(&mut admin, &["main:a"]).await;
    let trusted = driver(port, &format!("{}, {mine}", ca(&ours)));
    trusted.abilities().await.unwrap();
    trusted.shelf().unwrap().read().await.unwrap();
    purge(&*trusted, [key("a")]).await.unwrap();
    assert!(!cmd("EXISTS").arg("main:a").query_async::<bool>(&mut admin).await.unwrap());

    for (whom, tls) in [
        ("a server that we do not trust", format!("{}, {mine}", ca(&others))),
        ("a server that does not trust us", format!("{}, {stranger}", ca(&ours))),
        ("a server that does not know us", ca(&ours)),
        ("no authority", format!("ca_file = '/nowhere/ca.pem', {mine}")),
    ] {
        let outcome = driver(port, &tls).abilities().await;
        assert!(matches!(outcome, Err(PurgeError::Unavailable { .. })), "{whom}: {outcome:?}");
    }
}
