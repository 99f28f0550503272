//! What becomes of a real `purgebus serve` when its disk is full, or not what it was.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use schemas::api::{Accepted, ProgressState};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::eventually;
use tests::process::purgebus;
use tests::serve::{Serve, Settings};
use tests::servers::origin::{Origin, Page};
use tests::small_disk::SmallDisk;
use tests::town::Edge;
use tokio::time::timeout;
use uuid::Uuid;

/// A page behind an edge, and what purges it.
struct House {
    origin: Origin,
    edge: Edge,
}

const PAGE: &str = "www.example.com/a";

impl House {
    async fn start() -> Self {
        let origin = Origin::start().await;
        origin.publish(PAGE, Page::default());
        let edge = Edge::start(origin.address()).await;
        Self { origin, edge }
    }

    fn settings(&self) -> Settings {
        Settings::default().edge(self.edge.address(), "rebounds = []\nstarts_empty = true\n")
    }
}

fn wish(tag: &str) -> Value {
    json!({"site": "main", "urls": ["https://www.example.com/a"], "tags": [tag]})
}

/// How a publish is answered: its status, and whether it says when to come again.
async fn answer(serve: &Serve, tag: &str) -> (StatusCode, bool) {
    let answer = serve.api().request("").json(&wish(tag)).send().await.expect("an answer");
    (answer.status(), answer.headers().contains_key(RETRY_AFTER))
}

/// Everyone who writes has written by then.
const STUCK_WITHIN: Duration = Duration::from_secs(4);
/// So many heavy ones are under way when the disk becomes full.
const HEAVY: usize = 12;

/// Publishes some hundred kilobytes; answers the id if it is accepted, and nothing if there is no room.
async fn try_heavy(serve: &Serve, n: usize) -> Option<Uuid> {
    let url = |at| format!("https://www.example.com/{n}-{at}-{}", "p".repeat(1_900));
    let urls: Vec<String> = (0..100).map(url).collect();
    let answer = serve.api().request("").json(&json!({"urls": urls})).send().await;
    let answer = answer.expect("an answer");
    match answer.status() {
        StatusCode::ACCEPTED => Some(answer.json::<Accepted>().await.expect("a body").id),
        status => {
            assert_eq!(status, REFUSED.0);
            None
        }
    }
}

/// Publishes heavy ones, one after the other, while there is room.
async fn until_refused(serve: &Serve, n: usize) -> Vec<Uuid> {
    let mut accepted = Vec::new();
    while let Some(id) = try_heavy(serve, n).await {
        accepted.push(id);
    }
    accepted
}

const REFUSED: (StatusCode, bool) = (StatusCode::SERVICE_UNAVAILABLE, true);

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself_and_loses_nothing() {
    let folder = TempDir::new().expect("a folder");
    let disk = Arc::new(SmallDisk::mount(&folder.path().join("disk")));
    let house = House::start().await;
    let serve = Serve::start_ready(house.settings().journal(&folder.path().join("disk"))).await;
    let mut accepted = vec![serve.api().publish_until("final", &wish("first")).await.facts.id];

    disk.fill_mostly(50 << 20);
    assert_eq!(answer(&serve, "reserve").await, REFUSED);
    eventually("it says that it is not ready, and why", async || {
        let said = serve.admin().details("publisher").await;
        !serve.admin().is_ready().await && said.iter().any(|said| said.contains("disk is full"))
    })
    .await;
    disk.free();
    accepted.push(serve.api().publish(&wish("second")).await.id);

    // Only a write that is under way when the disk becomes full waits: where none was, it becomes full again.
    eventually("a write finds no room", async || {
        accepted.extend(try_heavy(&serve, HEAVY).await);
        let (filling, under_way) =
            (Arc::clone(&disk), (0..HEAVY).map(|n| until_refused(&serve, n)));
        let filling = tokio::task::spawn_blocking(move || filling.fill());
        let (answers, filled) = tokio::join!(join_all(under_way), filling);
        filled.expect("it fills");
        accepted.extend(answers.into_iter().flatten());
        let waits = async || serve.log().contains("nothing is accepted until it has room");
        let stuck = timeout(STUCK_WITHIN, eventually("it waits", waits)).await.is_ok();
        if !stuck {
            disk.free();
        }
        stuck
    })
    .await;
    assert_eq!(answer(&serve, "stuck").await, REFUSED);
    assert_eq!(serve.api().status(accepted[0]).await.state, ProgressState::Final, "it still reads");
    disk.free();
    eventually("it takes again", async || {
        let body = wish("third");
        let taken = serve.api().try_publish(&body, "third").await;
        accepted.extend(taken.as_ref().map(|taken| taken.id));
        taken.is_ok()
    })
    .await;
    for id in accepted {
        eventually("all that was accepted is final", async || {
            serve.api().status(id).await.state == ProgressState::Final
        })
        .await;
    }
    eventually("it is ready again", async || serve.admin().is_ready().await).await;
}

/// How a start on these folders ends: its exit code, and what it says.
fn refused(serve: &Serve) -> (Option<i32>, String) {
    let file = serve.home().folder.join("purgebus.toml");
    let ended = purgebus().args(["serve", "-c"]).arg(file).output().expect("the binary runs");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test]
async fn damaged_files_are_refused_by_name_with_the_way_out() {
    let house = House::start().await;
    let mut serve = Serve::start_ready(house.settings()).await;
    let accepted = serve.api().publish_until("final", &wish("first")).await.facts.id;
    serve.terminate().await;
    let saved = serve.save();

    let journal = serve.home().journal().join("journal.redb");
    let length = fs::metadata(&journal).expect("a journal").len();
    File::options().write(true).open(&journal).expect("a file").set_len(length / 2).expect("torn");
    let (code, said) = refused(&serve);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&journal.display().to_string()), "{said}");
    assert!(said.contains("restore it from a backup") && !said.contains("panicked"), "{said}");

    for (file, way_out) in [
        ("edge.normal.cursor", "remove it to start this lane without a cursor"),
        ("instance", "remove it to start as a new instance"),
    ] {
        serve.put_back(&saved);
        let file = serve.home().state().join(file);
        let mut bytes = fs::read(&file).expect("a file of the state");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x80;
        fs::write(&file, bytes).expect("damaged");
        let (code, said) = refused(&serve);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&file.display().to_string()), "{said}");
        assert!(said.contains(way_out) && !said.contains("panicked"), "{said}");
        fs::remove_file(&file).expect("removed");
        serve.restart().await;
        serve.ready().await;
        assert!(serve.api().try_status(accepted).await.is_ok(), "it is known");
        serve.api().publish_until("final", &wish("again")).await;
        serve.terminate().await;
    }
}

/// All of a journal is read at a start, unless it is as it was left in order.
#[tokio::test]
async fn only_a_journal_that_was_not_left_in_order_is_read_as_a_whole() {
    const READ: &str = "reading all of it";
    let house = House::start().await;
    let mut serve = Serve::start_ready(house.settings()).await;
    let seal = serve.home().journal().join("journal.seal");
    let read = |serve: &Serve| serve.log().matches(READ).count();
    assert_eq!(read(&serve), 0, "it is new");
    let accepted = serve.api().publish_until("final", &wish("first")).await.facts.id;

    serve.terminate().await;
    assert!(seal.exists());
    serve.restart().await;
    assert_eq!((read(&serve), seal.exists()), (0, false), "left in order");
    assert!(serve.api().try_status(accepted).await.is_ok(), "it is known");

    serve.kill();
    serve.restart().await;
    assert_eq!(read(&serve), 1, "killed");

    serve.terminate().await;
    let saved = serve.save();
    serve.put_back(&saved);
    serve.restart().await;
    assert_eq!(read(&serve), 2, "a copy");
    serve.api().publish_until("final", &wish("again")).await;
}

#[tokio::test]
async fn on_an_older_copy_of_its_journal_it_goes_on_with_numbers_of_their_own() {
    let house = House::start().await;
    let mut serve = Serve::start_ready(house.settings()).await;
    let before = serve.api().publish_until("final", &wish("before")).await.facts.id;
    serve.terminate().await;
    let journal = serve.home().journal().join("journal.redb");
    let older = fs::read(&journal).expect("a journal");
    serve.restart().await;
    let lost = serve.api().publish_until("final", &wish("lost")).await.facts.id;
    serve.kill();
    fs::write(&journal, older).expect("put back");
    serve.restart().await;
    serve.ready().await;

    let reader = tests::serve::Reader::at(house.edge.address());
    assert_eq!(reader.try_version("/a").await, Some(1));
    house.origin.publish(PAGE, Page::default());
    let after = serve.api().publish_until("final", &wish("after")).await;
    assert_eq!(reader.try_version("/a").await, Some(2), "the edge was purged");
    assert_eq!(after.missing.len(), 0, "{after:#?}");
    assert_eq!(serve.api().status(before).await.state, ProgressState::Final);
    assert!(serve.api().try_status(lost).await.is_err(), "of that it knows nothing");
}
