//! Forwarding to a log that lies elsewhere and misbehaves, under paused time.

pub(crate) mod bus;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use broker_adapter::{BrokerError, Message, Misbehaving, Misbehaviour, Topic};
use schemas::api::Durable;
use schemas::{PUBLISHERS_BOARD, Place};

use super::*;
use bus::{Bus, BusPlan, Judging, NORMAL, log, store};

fn deaf() -> Misbehaviour {
    Misbehaviour { fail: 1.0, ..Misbehaviour::default() }
}

/// A plan under which nobody waits for the broker.
fn hasty() -> BusPlan {
    BusPlan { ack_wait: Duration::ZERO, ..BusPlan::default() }
}

#[tokio::test(start_paused = true)]
async fn a_sound_broker_gets_every_frame_once_and_in_order() {
    let log = log();
    let bus = Bus::start(store(), &log, Arc::new(log.clone()));
    let mut places = Vec::new();
    for _ in 0..100 {
        let (place, durable) = bus.accept().await;
        assert_eq!(durable, Durable::Broker);
        places.push(place);
    }
    assert_eq!(bus.landed_places().await, places);
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_misbehaving_broker_gets_every_frame_at_last_and_broker_means_it_has_it() {
    for seed in 0..4 {
        let log = log();
        let trouble = Misbehaviour {
            fail: 0.3,
            time_out: 0.2,
            delay: 0.3,
            delay_max: Duration::from_secs(15),
            ..Misbehaviour::default()
        };
        let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), trouble, seed));
        let bus = Bus::start(store(), &log, broker);
        let mut all = BTreeSet::new();
        for _ in 0..40 {
            let (place, durable) = bus.accept().await;
            if durable == Durable::Broker {
                assert!(bus.landed_places().await.contains(&place), "seed {seed}: {place:?}");
            }
            all.insert(place);
        }
        bus.forwarded().await;
        let landed: BTreeSet<_> = bus.landed_places().await.into_iter().collect();
        assert_eq!(landed, all, "seed {seed}");
        bus.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_piled_up_while_the_broker_was_down_lands_in_order_soon_after_it_is_back() {
    for seed in 0..4 {
        let log = log();
        let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), deaf(), seed));
        let bus = Bus::planned(hasty(), store(), &log, broker.clone());
        let mut places = Vec::new();
        for n in 0..600_u32 {
            places.push(bus.accept().await.0);
            if n.is_multiple_of(20) {
                sleep(Duration::from_secs(1)).await;
            }
        }
        broker.set(Misbehaviour::default());
        let back = Instant::now();
        bus.forwarded().await;
        assert!(back.elapsed() < Duration::from_secs(8), "{:?}", back.elapsed());
        assert_eq!(bus.landed_places().await, places, "seed {seed}");
        bus.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_never_wait_when_idle_and_travel_together_when_the_broker_is_far() {
    let log = log();
    let far = Judging::new(&log, Duration::from_millis(100), |_, _| Ok(true));
    let bus = Bus::planned(hasty(), store(), &log, far.clone());
    let begun = Instant::now();
    bus.accept().await;
    bus.forwarded().await;
    assert_eq!(begun.elapsed().as_millis(), 200, "the board first, then the frame");
    let mut places = bus.landed_places().await;
    let begun = Instant::now();
    for _ in 0..1_000 {
        places.push(bus.accept().await.0);
    }
    bus.forwarded().await;
    assert!(begun.elapsed() <= Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(bus.landed_places().await, places);
    let most = far.published.lock().iter().map(|(_, messages)| *messages).max();
    assert!(most > Some(100), "{most:?}");
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_did_not_take_is_forwarded_in_the_next_life() {
    let (log, store) = (log(), store());
    let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), deaf(), 1));
    let bus = Bus::start(store.clone(), &log, broker);
    let begun = Instant::now();
    let (place, durable) = bus.accept().await;
    assert_eq!(durable, Durable::Journal);
    let waited = begun.elapsed();
    assert!((1_000..1_100).contains(&waited.as_millis()), "for the broker's ack: {waited:?}");
    bus.end().await;
    let bus = Bus::start(store, &log, Arc::new(log.clone()));
    bus.forwarded().await;
    assert_eq!(bus.landed_places().await, [place]);
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_incarnation_is_announced_before_its_first_frame_once_a_minute() {
    let log = log();
    let noting = Judging::new(&log, Duration::ZERO, |_, _| Ok(true));
    let bus = Bus::planned(
        BusPlan { partitions: 4, ..BusPlan::default() },
        store(),
        &log,
        noting.clone(),
    );
    bus.accept().await;
    for n in 0..8 {
        let site = format!("site-{n}").parse().unwrap();
        bus.accept_this(schemas::Invalidation { site, ..bus.invalidation() }).await;
    }
    let board = Topic::board(PUBLISHERS_BOARD);
    let mut expected = vec![(board, 1)];
    expected.extend([(NORMAL.topic(), 1); 9]);
    assert_eq!(*noting.published.lock(), expected, "once for all streams");
    sleep(Duration::from_mins(10)).await;
    let again = noting.published.lock().iter().filter(|(topic, _)| *topic == board).count();
    assert!((9..=11).contains(&again), "a board that was deleted knows of it again: {again}");
    bus.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_the_broker_refuses_is_kept_shown_and_tried_now_and_then() {
    let log = log();
    let strict = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&strict);
    let broker = Judging::new(&log, Duration::from_millis(1), move |_, messages: &[Message]| {
        let too_large = messages.iter().any(|message| message.body.len() > 30_000);
        if too_large && told.load(Ordering::Relaxed) {
            return Err(BrokerError::Refused("message too large".into()));
        }
        Ok(true)
    });
    let bus = Bus::planned(hasty(), store(), &log, broker.clone());
    let mut small: BTreeSet<Place> = BTreeSet::new();
    small.insert(bus.accept().await.0);
    bus.accept_this(bus.large(40_000)).await;
    small.insert(bus.accept().await.0);
    sleep(Duration::from_mins(10)).await;
    let landed: BTreeSet<_> = bus.landed_places().await.into_iter().collect();
    assert!(landed.is_subset(&small), "nothing refused has landed");
    let words = bus.troubles.in_words().unwrap();
    assert!(words.contains("normal/0") && words.contains("message too large"), "{words}");
    let tries = broker.published.lock().len();
    assert!((10..60).contains(&tries), "{tries} tries in ten minutes");
    strict.store(false, Ordering::Relaxed);
    bus.forwarded().await;
    assert_eq!(bus.landed_places().await.into_iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(bus.troubles.in_words(), None);
    bus.end().await;
}
