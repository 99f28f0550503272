//! The storm: more than fifty kills, some anywhere, some steered to the moments that matter.

use std::time::Duration;

use fastrand::Rng;
use tests::serve::Serve;
use tests::town::Editors;
use tokio::time::{Instant, sleep};

use crate::points::{Moment, Point, Points, marker};
use crate::town::{Town, is_sound};

/// Set it to a number to repeat a run.
const SEED: &str = "PURGEBUS_CRASH_SEED";

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// Before any lane may store its first cursor: it listens for 2 s, flushes, and has a last pass 1 s later.
    BeforeCursor,
    /// At the very answer of a 202.
    After202,
    /// As soon as Redis was told to purge.
    AfterPurgeOfRedis,
    /// As soon as Varnish was told to purge.
    AfterPurgeOfVarnish,
    /// While Redis is slow, so that work piles up.
    RedisSlow,
    /// While Varnish is slow.
    VarnishSlow,
    /// Some time later, when a part of the work is final.
    Anywhere,
}

fn aims(rng: &mut Rng) -> Vec<Aim> {
    let mut later: Vec<Aim> = [
        (Aim::After202, 8),
        (Aim::AfterPurgeOfRedis, 4),
        (Aim::AfterPurgeOfVarnish, 4),
        (Aim::RedisSlow, 12),
        (Aim::VarnishSlow, 12),
        (Aim::Anywhere, 10),
    ]
    .into_iter()
    .flat_map(|(aim, count)| std::iter::repeat_n(aim, count))
    .collect();
    rng.shuffle(&mut later);
    let mut aims = vec![Aim::BeforeCursor; 6];
    // Then one life long enough for a first cursor.
    aims.push(Aim::Anywhere);
    aims.append(&mut later);
    aims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_however_often_the_process_is_killed() {
    let seed = std::env::var(SEED)
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    eprintln!("{SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let (town, mut serve) = Town::start(&mut rng).await;
    let mut points = Points::default();
    for (at, aim) in aims(&mut rng).into_iter().enumerate() {
        if at > 0 {
            serve.restart().await;
        }
        let point = strike(aim, &town, &mut serve, &mut rng).await;
        eprintln!("{at:>3} {aim:?} {point:?}");
        points.0.push(point);
    }
    serve.restart().await;
    let rest = town.come_to_rest().await;
    points.show(seed, &rest.to_string());
    is_sound(&rest);
    points.suffice();

    let flushes = serve.api().count("purgebus_flushes_total", &[]).await;
    assert_eq!(flushes, 0, "the last life had its cursors");
    serve.terminate().await;
    let numbered = serve.remains().await.numbered;
    let mut markers: Vec<_> = numbered.values().map(marker).collect();
    markers.sort_unstable();
    let mut asked: Vec<_> = rest.edits.iter().map(|edit| &*edit.marker).collect();
    asked.sort_unstable();
    assert_eq!(markers, asked, "each is numbered once, however often it was asked for");
}

/// Waits for the moment that `aim` names, and kills.
async fn strike(aim: Aim, town: &Town, serve: &mut Serve, rng: &mut Rng) -> Point {
    let born = Instant::now();
    let mut pause = |from: u64, to: u64| sleep(Duration::from_millis(rng.u64(from..to)));
    let (editors, caches) = (&town.editors, &town.caches);
    match aim {
        Aim::BeforeCursor => pause(100, 1_500).await,
        Aim::Anywhere => pause(2_500, 6_000).await,
        Aim::After202 => {
            pause(0, 900).await;
            editors.edit().await;
        }
        Aim::AfterPurgeOfRedis => {
            pause(0, 900).await;
            let edit = editors.edit().await;
            caches.redis_witness.saw(&format!("tag:{}", edit.marker)).await;
        }
        Aim::AfterPurgeOfVarnish => {
            pause(0, 900).await;
            let edit = editors.edit().await;
            caches.varnish_witness.saw(&format!("t:www.example.com/{}", edit.marker)).await;
        }
        Aim::RedisSlow | Aim::VarnishSlow => {
            pause(0, 700).await;
            let way = match aim {
                Aim::RedisSlow => &caches.way_to_redis,
                _ => &caches.way_to_varnish,
            };
            way.hold_answers();
            wait_for_a_backlog(editors, town).await;
            pause(0, 300).await;
        }
    }
    let moment = Moment::now();
    serve.kill();
    for way in [&caches.way_to_redis, &caches.way_to_varnish] {
        way.pass_answers();
    }
    caches.catch_up().await;
    let life = moment.at - born;
    let edits = editors.accepted();
    Point::of(moment, life, &serve.remains().await, &edits, caches)
}

/// Until something was accepted that Varnish was not told of.
async fn wait_for_a_backlog(editors: &Editors, town: &Town) {
    loop {
        let edit = editors.edit().await;
        let key = format!("t:www.example.com/{}", edit.marker);
        sleep(Duration::from_millis(50)).await;
        if town.caches.varnish_witness.sightings(&key).is_empty() {
            return;
        }
    }
}
