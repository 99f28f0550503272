//! Agents and publishers that are gone for good: known to all publishers, who then speak for those.

use broker_adapter::{Misbehaving, Misbehaviour};
use schemas::api::{AgentState, ProgressState, PublisherState};
use schemas::{Incarnation, Lost};

use super::*;
use crate::tracker::RetireError;

#[tokio::test(start_paused = true)]
async fn who_is_retired_at_one_publisher_is_retired_at_all() {
    let clock = clock();
    let log = log(clock);
    let one = Running::start("p1", clock, Arc::new(log.clone())).await;
    let other = Running::start("p2", clock, Arc::new(log.clone())).await;
    let third = Running::start("p3", clock, Arc::new(log.clone())).await;
    let lost = third.accept().await.id;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(2)).await;
    third.end().await;
    let offset = one.handle.agents()[0].clock.unwrap();
    assert!((offset.offset_seconds - 2.0).abs() <= offset.bound_seconds + 0.001, "{offset:?}");
    assert!(one.metrics().contains("purgebus_clock_offset_seconds 2.0"), "{}", one.metrics());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(other.handle.agents()[0].state, AgentState::Gone);
    let states = |publisher: &Running| -> Vec<PublisherState> {
        publisher.handle.publishers().iter().map(|shown| shown.state).collect()
    };
    let (live, silent) = (PublisherState::Live, PublisherState::Silent);
    assert_eq!(states(&one), [live, live, silent]);
    assert!(one.metrics().contains("purgebus_publishers{state=\"silent\"} 1"));
    one.handle.retire_agent(&"edge-1".parse().unwrap(), false).await.unwrap();
    let retired = one.handle.retire_publisher(&"p3".parse().unwrap(), false).await.unwrap();
    let highest = retired.lines.iter().map(|line| line.last).max();
    assert_eq!((retired.state, highest), (PublisherState::Retired, Some(1)));
    sleep(Duration::from_secs(2)).await;
    for publisher in [&one, &other] {
        assert_eq!(states(publisher), [live, live, PublisherState::Retired]);
        assert_eq!(publisher.handle.agents()[0].state, AgentState::Retired);
        assert_eq!(publisher.progress(lost).await.state, ProgressState::NoAgents);
    }
    assert!(one.metrics().contains("purgebus_agents{state=\"retired\"} 1"));
    let late = Running::start("p4", clock, Arc::new(log.clone())).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(late.handle.agents()[0].state, AgentState::Retired, "its last word is on the board");
    for publisher in [one, other, late] {
        publisher.end().await;
    }
}

/// What was said to be lost.
async fn lost(log: &Embedded) -> Vec<(LineId, NumberRange)> {
    let lost = logged(log).await.into_iter().filter_map(|message| match message {
        LogMessage::Lost(Lost { line, numbers, .. }) => Some((line, numbers)),
        _ => None,
    });
    lost.collect()
}

#[tokio::test(start_paused = true)]
async fn what_only_a_retired_publisher_could_send_again_is_said_to_be_lost() {
    let clock = clock();
    let log = log(clock);
    let gone = Running::start("p2", clock, Arc::new(log.clone())).await;
    gone.accept().await;
    sleep(Duration::from_secs(2)).await;
    gone.end().await;
    let left = Running::start("p1", clock, Arc::new(log.clone())).await;
    let line = *heads(&log).await.first_key_value().unwrap().0;
    let (nothing, hole) = (BTreeMap::from([(line, 0)]), NumberRange { first: 1, last: 1 });
    sleep(Duration::from_secs(20)).await;
    report_holes(&log, clock, 1, &nothing, &[hole]).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(lost(&log).await, [], "its own publisher may come back");
    left.handle.retire_publisher(&"p2".parse().unwrap(), false).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    report_holes(&log, clock, 2, &nothing, &[hole]).await;
    sleep(Duration::from_secs(5)).await;
    let said = lost(&log).await;
    assert_eq!(said, [(line, hole)]);
    left.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_log_lost_of_a_retired_publisher_is_told_there_by_the_others() {
    let clock = clock();
    let (log, older) = (super::log(clock), super::log(clock));
    let gone = Running::start("p2", clock, Arc::new(log.clone())).await;
    gone.accept().await;
    gone.end().await;
    let line = *heads(&log).await.first_key_value().unwrap().0;
    let board = BoardMessage::Incarnation(Incarnation {
        publisher: "p2".parse().unwrap(),
        since: clock.now(),
        lines: vec![line],
        closes: Vec::new(),
    });
    // All that is left of it are its word on the board, and what a lane has settled.
    let (key, body) = (Some(board.key()), wire::encode_board(&board));
    let topic = Topic::board(board.board());
    older.publish(topic, Partition(0), vec![Message { key, id: None, body }]).await.unwrap();
    let left = Running::start("p1", clock, Arc::new(older.clone())).await;
    report(&older, clock, 1, &BTreeMap::from([(line, 1)])).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(told(&older, line).await, [], "it may come back");
    left.handle.retire_publisher(&"p2".parse().unwrap(), false).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(told(&older, line).await.last(), Some(&("p1".to_owned(), 1)));
    left.end().await;
}

/// What heartbeats have told of a line, and who.
async fn told(log: &Embedded, line: LineId) -> Vec<(String, Number)> {
    let told = logged(log).await.into_iter().filter_map(|message| match message {
        LogMessage::Heartbeat(heartbeat) => {
            let said = heartbeat.lines.iter().find(|(of, _)| *of == line)?;
            Some((heartbeat.publisher.to_string(), said.1))
        }
        _ => None,
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn a_retirement_that_the_board_does_not_take_retires_nobody() {
    let clock = clock();
    let log = log(clock);
    let broker = Arc::new(Misbehaving::new(Arc::new(log.clone()), Misbehaviour::default(), 1));
    let publisher = Running::start("p1", clock, broker.clone()).await;
    report(&log, clock, 1, &BTreeMap::new()).await;
    sleep(Duration::from_secs(20)).await;
    broker.set(Misbehaviour { fail: 1.0, ..Misbehaviour::default() });
    let refused = publisher.handle.retire_agent(&"edge-1".parse().unwrap(), false).await;
    assert!(matches!(refused, Err(RetireError::Unavailable(_))), "{refused:?}");
    assert_eq!(publisher.handle.agents()[0].state, AgentState::Gone);
    publisher.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_long_silent_is_gone_since_its_last_report_also_for_a_new_publisher() {
    let clock = clock();
    let log = log(clock);
    report(&log, clock, 1, &BTreeMap::new()).await;
    let reported_at = clock.now();
    sleep(Duration::from_hours(1)).await;
    let publisher = Running::start("p1", clock, Arc::new(log.clone())).await;
    sleep(Duration::from_secs(20)).await;
    let agent = publisher.handle.agents().remove(0);
    assert_eq!(agent.state, AgentState::Gone);
    let off = agent.since.unwrap().duration_since(reported_at).abs();
    assert!(off < SignedDuration::from_secs(1), "{off} off");
    publisher.end().await;
}
