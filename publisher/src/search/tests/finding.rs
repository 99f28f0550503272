//! What another accepted, or an incarnation that this journal has forgotten, is found on the log.

use broker_adapter::{Misbehaving, Misbehaviour};
use schemas::api::ProgressState;

use super::*;
use crate::{StatusError, Until};

#[tokio::test(start_paused = true)]
async fn each_publisher_answers_for_what_the_other_accepted() {
    let clock = clock();
    let log = log(clock);
    let one = Running::start("p1", clock, Arc::new(log.clone())).await;
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(30)).await;
    let (of_one, of_other) = (one.accept().await.id, other.accept().await.id);
    for id in [of_one, of_other] {
        for publisher in [&one, &other] {
            assert_eq!(publisher.progress(id).await.state, ProgressState::Published);
        }
    }
    let waiting = other.handle.wait(of_one, Until::Final, Duration::from_mins(1));
    let settled = async {
        sleep(Duration::from_secs(2)).await;
        report(&log, clock, 2, &heads(&log).await).await;
    };
    let (waited, ()) = tokio::join!(waiting, settled);
    let waited = waited.unwrap().unwrap();
    assert_eq!((waited.facts.id, waited.state), (of_one, ProgressState::Final));
    assert_eq!(waited.clock, schemas::api::Clock::Two);
    assert_eq!(one.progress(of_one).await.clock, schemas::api::Clock::One);
    let settled = one.handle.wait(of_other, Until::Final, Duration::from_mins(1)).await;
    assert_eq!(settled.unwrap().unwrap().state, ProgressState::Final);
    one.end().await;
    other.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_journal_has_lost_is_found_on_the_log() {
    let clock = clock();
    let log = log(clock);
    let before = Running::start("p1", clock, Arc::new(log.clone())).await;
    let id = before.accept().await.id;
    before.end().await;
    sleep(Duration::from_hours(2)).await;
    let after = Running::start("p1", clock, Arc::new(log.clone())).await;
    report(&log, clock, 1, &heads(&log).await).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(after.progress(id).await.state, ProgressState::Final);
    after.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_nobody_gave_is_not_there() {
    let clock = clock();
    let log = log(clock);
    let publisher = Running::start("p1", clock, Arc::new(log)).await;
    publisher.accept().await;
    sleep(Duration::from_secs(3)).await;
    let at = |second: i64| {
        let second = u64::try_from(clock.now().as_second() + second).unwrap();
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, second, 0))
    };
    for unknown in [at(-1), at(0), at(-100_000), at(3_600), Uuid::from_u128(7), Uuid::nil()] {
        assert!(publisher.handle.progress(unknown).await.unwrap().is_none(), "{unknown}");
    }
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_read_the_log_in_time_does_not_say_that_it_is_not_there() {
    let clock = clock();
    let log = log(clock);
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    let id = other.accept().await.id;
    let reading = |misbehaviour| Arc::new(Misbehaving::new(Arc::new(log.clone()), misbehaviour, 1));
    let mute = reading(Misbehaviour { read_silence: 1.0, ..Misbehaviour::default() });
    let mute = Running::start("p1", clock, mute).await;
    let before = Instant::now();
    let answer = mute.handle.progress(id).await;
    assert!(matches!(answer, Err(StatusError::Undecided { .. })), "{answer:?}");
    assert_eq!(before.elapsed(), SEARCH_WITHIN);
    let failing = reading(Misbehaviour { read_fail: 1.0, ..Misbehaviour::default() });
    let failing = Running::start("p3", clock, failing).await;
    let answer = failing.handle.progress(id).await;
    assert!(matches!(answer, Err(StatusError::Undecided { .. })), "{answer:?}");
    for publisher in [other, mute, failing] {
        publisher.end().await;
    }
}
