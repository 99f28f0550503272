//! However the demo ends, no server and no folder is left.

use tests::eventually;

use crate::show::{Ended, Show};

/// Interrupts a demo once its servers run, two of each.
async fn interrupt(signal: &str, servers: &[&str]) -> Show {
    let with = servers.join(",");
    let show = Show::start(&["--with", &with, "--seconds", "600", "--json"]);
    eventually("all servers run", async || {
        let running = show.servers();
        let of = |server: &str| running.iter().filter(|name| name.starts_with(server)).count();
        servers.iter().all(|server| of(server) >= 2)
    })
    .await;
    show.signal(signal);
    show
}

async fn end_by(signal: &str, servers: &[&str]) -> Ended {
    let mut show = interrupt(signal, servers).await;
    let ended = show.end().await;
    assert_eq!((show.servers(), show.leavings()), (Vec::new(), Vec::new()), "{signal}");
    ended
}

#[tokio::test]
async fn an_interrupt_leaves_nothing_behind() {
    let ended = end_by("-INT", &["redis"]).await;
    assert!(matches!(ended.code, Some(0 | 1)), "ready already or not: {ended:?}");
}

#[tokio::test]
async fn a_closed_terminal_leaves_nothing_behind() {
    let ended = end_by("-HUP", &["varnish", "redis"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[tokio::test]
async fn a_kill_without_warning_leaves_no_server_behind() {
    let show = interrupt("-KILL", &["varnish", "redis"]).await;
    eventually("no server runs", async || show.servers().is_empty()).await;
}

#[tokio::test]
async fn what_cannot_be_served_or_started_is_wrong_usage_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let missing = folder.path().join("missing");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    for (arguments, told) in [
        (["--site", &text(&missing)], "No such file or directory"),
        (["--site", &text(&file)], "is not a folder"),
        (["--with", "memcached"], "[possible values: varnish, redis]"),
    ] {
        let ended = Show::start(&arguments).end().await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.errors.contains(told), "{ended:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_installed_is_named_with_its_package() {
    let nothing = tempfile::tempdir().expect("a fresh folder");
    let path = [("PATH", nothing.path())];
    let ended = Show::start_where(&["--with", "varnish,redis"], &path).end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let told =
        "redis-server is not on PATH; on Debian and Ubuntu: sudo apt-get install redis-server";
    assert!(ended.errors.contains(told), "{ended:?}");
}
