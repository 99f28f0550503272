//! The code of the guides runs as written: in a real Wagtail, in PHP, in a shell, behind a real Varnish, and against a
//! real `purgebus serve` that refuses each purge once.
//!
//! What the `WordPress` plugin calls is not `WordPress` itself but `guides/wordpress.php`.

#[path = "guides/files.rs"]
mod files;
#[path = "guides/stage.rs"]
mod stage;
#[path = "guides/stumbling.rs"]
mod stumbling;

use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::serve::{Serve, Settings};

use super::installed::installed;

use self::files::write_files;
use self::stage::Stage;
use self::stumbling::{Stumbling, TOKEN};

#[tokio::test]
async fn what_an_editor_does_in_wagtail_is_seen_behind_varnish() {
    let packages = installed("wagtail").await;
    let stage = Stage::start("docs/guides/wagtail.md", ("site.py", SITE), move |port| {
        vec![format!("PYTHONPATH={packages}"), "python3".into(), "site.py".into(), port]
    });
    let mut stage = stage.await;
    assert_eq!(stage.cached("/news/").await, "news:");
    stage.acts("control/write", json!({"below": "news", "slug": "hello", "title": "First"})).await;
    assert_eq!(stage.cached("/news/").await, "news: First");
    assert_eq!(stage.cached("/news/hello/").await, "First:");

    let before = stage.published().await;
    stage.acts("control/draft", json!({"slug": "hello", "title": "Not yet"})).await;
    assert_eq!(stage.published().await, before, "a draft purges nothing");
    stage.acts("control/publish", json!({"slug": "hello", "title": "Second"})).await;
    assert_eq!(stage.cached("/news/").await, "news: Second");
    assert_eq!(stage.cached("/news/hello/").await, "Second:");

    assert_eq!(stage.cached("/archive/").await, "archive:");
    stage.acts("control/move", json!({"slug": "hello", "below": "archive"})).await;
    assert_eq!(stage.cached("/news/").await, "news:");
    assert_eq!(stage.cached("/archive/").await, "archive: Second");
    assert_eq!(stage.status("/news/hello/").await, 404, "its old address");
    assert_eq!(stage.cached("/archive/hello/").await, "Second:");
    let renamed = json!({"slug": "hello", "title": "Third", "new_slug": "bye"});
    stage.acts("control/publish", renamed).await;
    assert_eq!(stage.status("/archive/hello/").await, 404, "its old name");
    assert_eq!(stage.cached("/archive/bye/").await, "Third:");

    let address = json!({"url": "http://www.example.com/archive/bye/"});
    assert!(stage.renews("/archive/bye/", "control/purge_url", address).await, "by Wagtail's own");

    assert_eq!(stage.cached("/archive/").await, "archive: Third");
    stage.lose_the_publisher();
    let fourth = json!({"slug": "bye", "title": "Fourth"});
    assert_eq!(stage.act("control/publish", fourth).await, 1, "it waits, and the save went well");
    assert_eq!(stage.cached("/archive/").await, "archive: Third");
    let before = stage.find_the_publisher().await;
    stage.acts("control/send_purges", json!({})).await;
    assert_eq!(stage.published().await, before + 1);
    assert_eq!(stage.cached("/archive/").await, "archive: Fourth");

    stage.acts("control/delete", json!({"slug": "bye"})).await;
    assert_eq!(stage.cached("/archive/").await, "archive:");
    assert_eq!(stage.status("/archive/bye/").await, 404);
    stage.each_was_repeated_once_under_its_key();
}

#[tokio::test]
async fn what_an_editor_does_in_wordpress_is_seen_behind_varnish() {
    let stage = Stage::start("docs/guides/wordpress.md", ("wordpress.php", WORDPRESS), |port| {
        ["php", "-S", &format!("127.0.0.1:{port}"), "wordpress.php"].map(str::to_owned).into()
    });
    let mut stage = stage.await;
    let save = |title: &str, status: &str| json!({"id": 7, "title": title, "status": status});
    assert_eq!(stage.cached("/").await, "plain:");
    let before = stage.published().await;
    stage.acts("save", save("Draft", "draft")).await;
    assert_eq!(stage.published().await, before, "a draft purges nothing");
    stage.acts("save", save("First", "publish")).await;
    assert_eq!(stage.published().await, before + 1, "once for all hooks of a request");
    assert_eq!(stage.cached("/").await, "plain: First (0)");
    assert_eq!(stage.cached("/post/7").await, "plain: First (0)");

    stage.acts("save", save("Second", "publish")).await;
    assert_eq!(stage.cached("/").await, "plain: Second (0)");
    assert_eq!(stage.cached("/post/7").await, "plain: Second (0)");
    assert_eq!(stage.cached("/category/5").await, "plain:");
    stage.acts("terms", json!({"id": 7, "terms": [5]})).await;
    assert_eq!(stage.cached("/category/5").await, "plain: Second (0)");

    let before = stage.published().await;
    stage.acts("comment", json!({"id": 7, "approved": false})).await;
    assert_eq!(stage.published().await, before, "a comment that nobody sees purges nothing");
    stage.acts("comment", json!({"id": 7, "approved": true})).await;
    assert_eq!(stage.cached("/post/7").await, "plain: Second (1)");
    stage.acts("spam", json!({"id": 7})).await;
    assert_eq!(stage.cached("/post/7").await, "plain: Second (0)");
    stage.acts("theme", json!({"name": "fancy"})).await;
    assert_eq!(stage.cached("/post/7").await, "fancy: Second (0)");

    assert_eq!(stage.cached("/").await, "fancy: Second (0)");
    stage.lose_the_publisher();
    assert_eq!(stage.act("save", save("Third", "publish")).await, 1, "it waits for the cron");
    assert_eq!(stage.act("cron", json!({})).await, 1, "and goes on waiting");
    assert_eq!(stage.cached("/").await, "fancy: Second (0)");
    let before = stage.find_the_publisher().await;
    stage.acts("cron", json!({})).await;
    assert_eq!(stage.published().await, before + 1);
    assert_eq!(stage.cached("/").await, "fancy: Third (0)");

    stage.acts("save", save("Third", "trash")).await;
    assert_eq!(stage.cached("/").await, "fancy:");
    stage.acts("save", save("Third", "publish")).await;
    assert_eq!(stage.cached("/post/7").await, "fancy: Third (0)");
    stage.acts("delete", json!({"id": 7})).await;
    assert_eq!(stage.cached("/post/7").await, "fancy:");
    stage.each_was_repeated_once_under_its_key();
}

#[tokio::test]
async fn each_piece_of_plain_http_repeats_what_may_be_repeated_under_one_key() {
    let serve = Serve::start(Settings::default().edge(([127, 0, 0, 1], 1).into(), "")).await;
    let way = Stumbling::start().await;
    way.leads_to(serve.api().address());
    let folder = tempfile::tempdir().expect("a fresh folder");
    let written = write_files("docs/guides/http.md", folder.path());
    let programs = [("sh", "purge.sh"), ("python3", "purge.py"), ("node", "purge.mjs")];
    let programs = [&programs[..], &[("php", "purge.php")]].concat();
    assert_eq!(written, programs.iter().map(|(_, file)| (*file).to_owned()).collect());
    for (program, file) in programs {
        let run = |tag: &'static str| {
            let mut command = Command::new(program);
            command.args([file, tag, &format!("key-{program}-{tag}")]).current_dir(&folder);
            command.env("PURGEBUS_URL", way.url()).env("PURGEBUS_TOKEN", TOKEN);
            let running = tokio::task::spawn_blocking(move || command.output());
            async { running.await.expect("no panic").expect("it is installed") }
        };
        let (first, again) = (run("article-7").await, run("article-7").await);
        assert!(first.status.success(), "{program}: {first:?}");
        assert_eq!(id_of(&first), id_of(&again), "{program}: under one key it is one");
        let refused = run("a,b").await;
        assert!(!refused.status.success(), "{program} says that it was refused: {refused:?}");
        assert!(text(&refused).contains("tag"), "{program} says why: {refused:?}");
        let seen = |tag: &str| way.answers_to(&format!("key-{program}-{tag}"));
        assert_eq!(seen("article-7"), [503, 202, 202], "{program}");
        // curl knows no difference.
        let patient = if program == "sh" { 3 } else { 1 };
        let refusals = std::iter::repeat_n(422, patient);
        assert_eq!(seen("a,b"), std::iter::once(503).chain(refusals).collect::<Vec<_>>());
    }
    assert!(way.every_token_came());
}

const SITE: &str = include_str!("guides/site.py");
const WORDPRESS: &str = include_str!("guides/wordpress.php");

/// The id in what a program has printed: the answer, or the id alone.
fn id_of(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // curl prints the answers that it repeats too.
    let answer = said.rfind("{\"id\"").map_or(said.as_str(), |start| &said[start..]);
    let answer = serde_json::from_str::<Value>(answer).ok();
    answer.and_then(|answer| Some(answer["id"].as_str()?.to_owned())).unwrap_or(said)
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}
