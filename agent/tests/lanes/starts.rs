//! How lanes begin, and what becomes of them when broker, log or lines are not as they should be.

use std::time::Duration;

use schemas::{LogMessage, Lost, Number, Outcome, Priority};

use crate::bench::{self, Behaviour, Bench, OneLine, number, tag};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_at_the_start_is_named_and_after_a_while_not_waited_for() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.cut_off(true);
    bench.start_unready();
    bench.pass(10 * SECOND).await;
    let reasons = bench.not_ready();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("cannot register"), "{reasons:?}");
    assert!(reasons[0].contains("failed on purpose"), "{reasons:?}");
    bench.pass(120 * SECOND).await;
    assert_eq!(bench.not_ready(), Vec::<String>::new());
    assert_eq!(bench.degraded().len(), 2, "it says so all the same");
    bench.cut_off(false);
    bench.pass(10 * SECOND).await;
    let published = bench.publish(&[tag("a")]).await;
    bench.until(|lane| lane.line().finished == published).await;
    assert_eq!(bench.distinct_purges("web"), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_shall_never_count_as_ready_unheard_does_not() {
    let mut bench = Bench::new().cache("web", |_| {}).never_ready_unheard();
    bench.cut_off(true);
    bench.start_unready();
    bench.pass(300 * SECOND).await;
    assert_eq!(bench.not_ready().len(), 2);
    bench.cut_off(false);
    bench.until(|lane| lane.ready).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_takes_no_base_before_the_board_has_taken_its_name() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.refuse_reports(true);
    bench.start_unready();
    bench.pass(30 * SECOND).await;
    let first = bench.publish(&[tag("before")]).await;
    bench.pass(10 * SECOND).await;
    assert_eq!(bench.purges("web"), Vec::<String>::new(), "it owes nothing that nobody knows of");
    bench.refuse_reports(false);
    bench.until(|lane| lane.ready).await;
    assert_eq!(bench.report("web", Priority::Normal).await.line().base, first);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_owes_a_flush_at_its_start_is_not_ready_before_it() {
    let mut bench = Bench::new().cache("web", |cache| cache.starts_empty = false);
    bench.behave("web", Behaviour::Slow(20 * SECOND));
    bench.start_unready();
    bench.pass(15 * SECOND).await;
    let reasons = bench.not_ready();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("a flush is due")), "{reasons:?}");
    bench.pass(30 * SECOND).await;
    assert_eq!(bench.not_ready(), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_flush_clears_nobody() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.behave("web", Behaviour::Slow(20 * SECOND));
    bench.lose(&[tag("lost")]);
    bench.publish(&[tag("b")]).await;
    let mut shown = false;
    for _ in 0..120 {
        bench.pass(SECOND).await;
        assert_eq!(bench.not_ready(), Vec::<String>::new());
        shown |= bench.troubles().iter().any(|trouble| trouble.contains("a flush is due"));
    }
    assert!(shown, "it is said");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_a_backlog_of_its_own_clears_a_lane_that_was_ready_until_half_of_it_is_settled() {
    let mut bench = Bench::new().cache("web", |_| {}).not_ready_above(10);
    bench.start().await;
    bench.behave("web", Behaviour::Down);
    for name in 0..10 {
        bench.publish(&[tag(&format!("t{name}"))]).await;
    }
    bench.pass(2 * SECOND).await;
    assert_eq!(bench.not_ready(), Vec::<String>::new(), "as many as it may");
    bench.publish(&[tag("one-too-many")]).await;
    bench.pass(2 * SECOND).await;
    let reasons = bench.not_ready();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("web.normal: 11 invalidations wait"), "{reasons:?}");
    assert!(!bench.report("web", Priority::Normal).await.ready);
    bench.behave("web", Behaviour::Works);
    bench.pass(60 * SECOND).await;
    assert_eq!(bench.not_ready(), Vec::<String>::new());
    assert!(bench.report("web", Priority::Normal).await.ready);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_left_the_log_while_an_agent_was_away_is_flushed() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.publish(&[tag("a")]).await;
    bench.pass(5 * SECOND).await;
    bench.kill().await;
    for name in ["b", "c", "d"] {
        bench.publish(&[tag(name)]).await;
    }
    bench.expire().await;
    let head = bench.publish(&[tag("e")]).await;
    bench.start_unready();
    bench.until(|lane| lane.line().finished == head).await;
    assert!(bench.purges("web").contains(&"everything".to_owned()));
    assert!(bench.report("web", Priority::Normal).await.outcomes.of(Outcome::Flushed) >= 3);
    bench.until(|lane| lane.ready).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn silence_never_clears_a_lane_that_was_ready() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.cut_off(true);
    bench.pass(600 * SECOND).await;
    assert!(bench.is_ready());
    assert_eq!(bench.degraded(), ["lane web.critical", "lane web.normal"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_a_backlog_is_not_ready_before_it_has_read_all_of_it() {
    let mut bench = Bench::new().cache("web", |cache| cache.window(10));
    bench.start().await;
    bench.pass(3 * SECOND).await;
    bench.kill().await;
    let mut last = 0;
    for name in 0..200 {
        last = bench.publish(&[tag(&format!("t{name}"))]).await;
        bench.pass(SECOND).await;
    }
    bench.behave("web", bench::Behaviour::Slow(SECOND));
    bench.start_unready();
    while !bench.not_ready().is_empty() {
        bench.pass(SECOND / 10).await;
    }
    let applied = bench.report("web", Priority::Normal).await.line().applied;
    assert!(applied + 30 >= last, "ready with {applied} of {last}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_its_publisher_calls_lost_is_flushed_at_once_and_a_restart_repeats_only_the_pass() {
    let mut bench = Bench::new().cache("web", |cache| {
        cache.flush_spread = SECOND;
        cache.rebounds = vec![20 * SECOND];
    });
    bench.start().await;
    bench.pass(30 * SECOND).await;
    let lost = bench.lose(&[tag("lost")]);
    bench.say(&lost_message(lost)).await;
    bench.until(|lane| lane.line().applied == lost).await;
    let lane = bench.report("web", Priority::Normal).await;
    assert!(lane.line().finished < lost, "not before its last pass");
    assert_eq!(lane.line().exceptions, [(number(lost), Outcome::Flushed)]);
    bench.pass(3 * SECOND).await;
    bench.kill().await;
    bench.forget_purges();
    bench.start().await;
    let begun = bench.elapsed();
    bench.until(|lane| lane.line().finished == lost).await;
    assert!(bench.since(begun) >= 15 * SECOND, "{:?}", bench.since(begun));
    assert_eq!(bench.purges("web"), ["everything"], "the pass, and nothing else");
    bench.stop().await;
}

fn lost_message(lost: Number) -> LogMessage {
    LogMessage::Lost(Lost {
        publisher: "p".parse().expect("a name"),
        line: bench::line(Priority::Normal),
        numbers: number(lost),
    })
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_filled_calls_the_flush_off_and_leaves_the_report() {
    let mut bench = Bench::new().cache("web", |cache| cache.flush_spread = 100_000 * SECOND);
    bench.start().await;
    let late = bench.withhold(&[tag("late")]);
    let head = bench.publish(&[tag("b")]).await;
    bench.until(|lane| lane.line().holes == [number(late.first)]).await;
    bench.pass(70 * SECOND).await;
    assert_eq!(bench.degraded(), ["lane web.normal"], "a flush is due");
    bench.say(&LogMessage::Frame(late)).await;
    bench.until(|lane| lane.line().finished == head && lane.line().holes.is_empty()).await;
    bench.pass(150 * SECOND).await;
    assert!(!bench.purges("web").contains(&"everything".to_owned()));
    assert_eq!(bench.degraded(), Vec::<String>::new());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hostile_frames_are_parked_by_reason_and_hurt_nobody() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    let mut frame = bench.withhold(&[tag("x")]);
    let last = frame.first;
    frame.line = schemas::LineId::from_bytes([0xee; 16]);
    frame.first = Number::MAX;
    bench.say(&LogMessage::Frame(frame.clone())).await;
    frame.first = 1;
    frame.invalidations[0].priority = Priority::Critical;
    bench.say(&LogMessage::Frame(frame.clone())).await;
    frame.invalidations[0].priority = Priority::Normal;
    frame.line = bench::line(Priority::Normal);
    frame.first = last;
    bench.say(&LogMessage::Frame(frame)).await;
    bench.until(|lane| lane.line().finished == last).await;
    for reason in ["impossible_number", "wrong_topic"] {
        let labels = format!("cache=\"web\",priority=\"normal\",reason=\"{reason}\"");
        let parked = format!("purgebus_parked_total{{{labels}}} 1");
        assert!(bench.metrics().contains(&parked), "{parked}");
    }
    assert_eq!(bench.report("web", Priority::Normal).await.lines.len(), 1);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_far_up_costs_a_flush_and_not_the_agent() {
    let mut bench = Bench::new().cache("web", |cache| cache.flush_spread = SECOND);
    bench.start().await;
    let mut frame = bench.withhold(&[tag("x")]);
    let ours = frame.clone();
    frame.line = schemas::LineId::from_bytes([0xee; 16]);
    frame.first = Number::MAX - 2;
    bench.say(&LogMessage::Frame(frame)).await;
    bench.say(&LogMessage::Frame(ours.clone())).await;
    let settled = |lane: &schemas::LaneReport| {
        let line = |id| lane.lines.iter().find(|line| line.line == id).map(|line| line.finished);
        line(schemas::LineId::from_bytes([0xee; 16])) == Some(Number::MAX - 2)
            && line(ours.line) == Some(ours.first)
    };
    bench.until(settled).await;
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_closed_and_over_leaves_report_and_cursor() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    let last = bench.publish(&[tag("a")]).await;
    bench.until(|lane| lane.line().finished == last).await;
    bench.close_line(last).await;
    bench.pass(300 * SECOND).await;
    assert_eq!(bench.report("web", Priority::Normal).await.lines.len(), 0);
    bench.kill().await;
    bench.start().await;
    assert_eq!(bench.report("web", Priority::Normal).await.lines.len(), 0);
    assert_eq!(bench.purges("web"), ["tag a", "tag a"], "nothing is missed, nothing flushed");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_report_tells_how_the_clocks_stand() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    bench.pass(3 * SECOND).await;
    let clocks = bench.clocks().await;
    assert_eq!(clocks.len(), 1);
    assert!((0..2_000_000).contains(&clocks[0].heard_after_us), "{clocks:?}");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_of_several_partitions_are_heard_each_by_itself() {
    let mut bench = Bench::new().cache("web", |_| {});
    bench.start().await;
    let ours = bench.publish(&[tag("a")]).await;
    let others: Vec<_> = [1, 2].map(|partition| bench.other_line(partition)).into();
    for (frame, partition) in &others {
        bench.say_on(*partition, &LogMessage::Frame(frame.clone())).await;
    }
    bench.until(|lane| lane.lines.len() == 3 && lane.lag == 0).await;
    bench.pass(5 * SECOND).await;
    bench.kill().await;
    bench.forget_purges();
    bench.start().await;
    let lane = bench.report("web", Priority::Normal).await;
    assert!(lane.lines.iter().all(|line| line.finished >= 1 && line.holes.is_empty()));
    assert_eq!((bench.purges("web").len(), ours), (0, 1), "each resumes where it was");
    bench.stop().await;
}
