//! A folder of the reader's own, in a real browser.
//!
//! The browser's own cache takes no part: pages come with `max-age=0` for it and `s-maxage` for the edges, and each
//! look is a new Chromium with an empty profile. What is old or new here is what the edge keeps.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::eventually;
use tokio::process::Command;
use tokio::time::timeout;

use crate::show::Show;

/// Longest time for one look.
const LOOK_WITHIN: Duration = Duration::from_mins(2);
const PAGE: &str =
    "<!doctype html><title>demo</title><h1 id=title></h1><script src=/app.js></script>";

/// What Chromium shows at `url`, once the page's scripts have run.
async fn look(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a fresh profile");
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .kill_on_drop(true);
    let looked = timeout(LOOK_WITHIN, chromium.output()).await.expect("a page in time");
    let looked = looked.expect("chromium is installed");
    assert!(looked.status.success(), "{looked:?}");
    String::from_utf8(looked.stdout).expect("text")
}

fn write(folder: &Path, edition: &str) {
    fs::write(folder.join("index.html"), format!("{PAGE}<p>{edition} page")).expect("a page");
    let script = format!("document.getElementById('title').textContent = '{edition} script';");
    fs::write(folder.join("app.js"), script).expect("a script");
}

fn urls(serving: &Value) -> Vec<String> {
    let caches = serving["caches"].as_array().expect("caches").iter();
    caches.map(|cache| cache["url"].as_str().expect("a URL").to_owned()).collect()
}

/// The answer's status and text; what the edge keeps is asked for as a browser would.
async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::get(url).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

/// How the edge came by its answer.
async fn kept(url: &str) -> bool {
    let answer = reqwest::get(url).await.expect("an answer");
    assert_eq!(answer.headers()["cache-control"], "public, max-age=0, s-maxage=3600");
    answer.headers()["cache-status"].to_str().expect("text").contains("hit")
}

#[tokio::test]
async fn a_browser_in_each_region_sees_an_edit_once_it_is_applied() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    write(folder.path(), "old");
    let mut show = Show::start(&["--site", folder.path().to_str().expect("text"), "--json"]);
    let serving = show.event("serving").await;
    let urls = urls(&serving);
    assert_eq!(urls.len(), 2, "one address for each region: {serving}");
    for url in &urls {
        let page = look(url).await;
        assert!(page.contains("old page") && page.contains("old script"), "{url}: {page}");
        assert!(kept(url).await, "the next reader gets it from the edge");
    }

    write(folder.path(), "new");
    let mut purged = Vec::new();
    while !["/", "/app.js"].iter().all(|url| purged.contains(&(*url).to_owned())) {
        let applied = show.event("applied").await;
        let regions = applied["regions"].as_array().expect("regions");
        assert!(
            regions.len() == 2 && regions.iter().all(|region| region["ms"].is_f64()),
            "{applied}"
        );
        let urls = applied["urls"].as_array().expect("urls").iter();
        purged.extend(urls.map(|url| url.as_str().expect("text").to_owned()));
    }
    for url in &urls {
        let page = look(url).await;
        assert!(page.contains("new page") && page.contains("new script"), "{url}: {page}");
    }

    show.signal("-INT");
    let ended = show.end().await;
    assert!(ended.code == Some(0) && ended.output.contains("\"event\":\"ended\""), "{ended:?}");
    assert_eq!(show.leavings(), [""; 0]);
}

#[tokio::test]
async fn what_is_made_or_removed_shows_through_varnish_and_redis_too() {
    let folder = tempfile::tempdir().expect("a fresh folder");
    write(folder.path(), "old");
    let site = folder.path().to_str().expect("text").to_owned();
    let mut show = Show::start(&["--site", &site, "--with", "varnish,redis", "--json"]);
    let urls = urls(&show.event("serving").await);
    assert_eq!(urls.len(), 6, "edge, redis and varnish in each region");
    for url in &urls {
        assert_eq!(get(&format!("{url}blog/")).await.0, 404, "{url}");
        assert_eq!(get(&format!("{url}app.js?v=1")).await.0, 200, "{url}");
    }

    fs::create_dir(folder.path().join("blog")).expect("a folder");
    fs::write(folder.path().join("blog/index.html"), "made").expect("a page");
    fs::remove_file(folder.path().join("app.js")).expect("removed");
    show.event("final").await;
    for url in &urls {
        eventually("what was made is there", async || {
            get(&format!("{url}blog")).await == (200, "made".to_owned())
        })
        .await;
        eventually("what was removed is gone", async || {
            get(&format!("{url}app.js?v=1")).await.0 == 404
        })
        .await;
    }
}
