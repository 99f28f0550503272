//! `purgebus init`: what it writes runs, and purges with the token that it made.

use std::path::Path;
use std::process::Output;

use redis::AsyncCommands;
use tests::process::{Process, purgebus};
use tests::servers::redis::Redis;

/// Runs a verb to its end.
async fn run(arguments: &[&str]) -> Output {
    let mut command = purgebus();
    command.args(arguments);
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("it runs")
}

async fn init(folder: &Path, redis: &str) -> Output {
    let folder = folder.to_str().expect("text");
    run(&["init", "--dir", folder, "--host", "www.example.com", "--redis", redis]).await
}

/// What it wrote, but on ports that are free here.
fn on_free_ports(folder: &Path) -> impl Fn(&tests::process::Home) -> String + use<> {
    let written = std::fs::read_to_string(folder.join("purgebus.toml")).expect("a configuration");
    move |home| {
        let listen = format!("listen = \"{}\"\nadmin = \"{}\"", home.api, home.admin);
        let agent = format!("[agent]\nadmin = \"{}\"", home.admin);
        let text = written.replace("listen = \"127.0.0.1:8377\"", &listen);
        text.replace("[agent]", &agent)
    }
}

#[tokio::test]
async fn what_init_writes_runs_and_purges_with_the_token_that_it_made() {
    let redis = Redis::start().await;
    let folder = tempfile::tempdir().expect("a fresh folder");
    let made = init(folder.path(), &format!("redis://{}", redis.address())).await;
    assert!(made.status.success(), "{made:?}");
    let serve = Process::start("serve", on_free_ports(folder.path())).await;
    serve.ready().await;
    let mut application = redis.connect().await;
    let () = application.set("main:user:42", "Ada").await.expect("it is set");

    let publisher = format!("http://{}", serve.home().api);
    let token = folder.path().join("cms.token");
    let purge = ["purge", "--publisher", &publisher, "--site", "main", "--key", "user:42"];
    let refused = run(&purge).await;
    assert_eq!(refused.status.code(), Some(4), "without the token: {refused:?}");
    let with_token = ["--wait", "applied", "--token-file", token.to_str().expect("text")];
    let purged = run(&[&purge[..], &with_token].concat()).await;

    assert!(purged.status.success(), "{purged:?}");
    assert!(!application.exists::<_, bool>("main:user:42").await.expect("an answer"));
}

#[tokio::test]
async fn init_overwrites_nothing_and_says_what_does_not_answer() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let nobody = format!("redis://127.0.0.1:{}", tests::servers::free_port());
    let first = init(folder.path(), &nobody).await;
    assert_eq!(first.status.code(), Some(1), "{first:?}");
    let said = String::from_utf8(first.stdout).expect("text");
    assert!(said.contains("FAILED  cache redis (redis)"), "{said}");

    let written = |name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    let before = ["purgebus.toml", "tokens.toml", "cms.token"].map(written);
    let second = init(folder.path(), &nobody).await;
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    let said = String::from_utf8(second.stderr).expect("text");
    assert!(said.contains("purgebus.toml is there already"), "{said}");
    assert_eq!(["purgebus.toml", "tokens.toml", "cms.token"].map(written), before);
}
