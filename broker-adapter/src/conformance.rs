//! One suite that every backend passes.
//!
//! A check is a function whose name says what must hold. A backend implements [`Backend`] in its tests and expects
//! [`run`] to find nothing.

mod board;
mod durability;
mod log;
mod probe;
mod reading;
mod start;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{Broker, Topic};
use probe::Outcome;

/// A log topic that the suite uses.
pub const LOG: Topic = Topic::log("conformance-log");
/// Another log topic that the suite uses.
pub const OTHER_LOG: Topic = Topic::log("conformance-other-log");
/// A board that the suite uses.
pub const BOARD: Topic = Topic::board("conformance-board");

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_mins(1);

/// How the suite gets at a backend.
#[async_trait]
pub trait Backend: Send + Sync {
    /// A broker with nothing in the suite's topics; whatever an earlier one kept is gone.
    async fn fresh(&self) -> Arc<dyn Broker>;

    /// How many partitions each log topic has.
    fn partitions(&self) -> u32;

    /// The same broker after its process died and came back; `broker` itself where that cannot be done.
    async fn reopen(&self, broker: Arc<dyn Broker>) -> Arc<dyn Broker>;

    /// Removes all messages of the suite's log topics as retention does; false where it cannot.
    async fn expire(&self, broker: &Arc<dyn Broker>) -> bool;
}

/// What a backend did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What must hold: the name of the check.
    pub check: &'static str,
    /// What happened instead.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.why)
    }
}

type Check = for<'a> fn(&'a dyn Backend) -> BoxFuture<'a, Outcome>;

macro_rules! checks {
    ($($module:ident::$check:ident,)*) => {
        &[$((stringify!($check), |backend| Box::pin($module::$check(backend)))),*]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    log::messages_keep_their_order,
    log::binary_bodies_come_back_byte_for_byte,
    log::a_large_message_comes_back_whole,
    log::concurrent_publishers_lose_nothing_and_keep_their_own_order,
    log::broker_times_never_go_back,
    log::positions_rise,
    log::topics_are_apart,
    log::partitions_keep_their_own_order,
    log::bounds_enclose_what_is_kept,
    start::oldest_begins_with_the_first,
    start::newest_gives_only_what_comes,
    start::at_begins_with_the_message_named,
    start::at_the_end_gives_only_what_comes,
    start::at_beyond_the_end_begins_at_the_oldest,
    start::at_an_expired_position_begins_at_the_oldest,
    start::at_begins_an_unnamed_partition_at_its_oldest,
    start::since_an_early_time_gives_everything,
    start::since_a_time_between_gives_what_came_later,
    start::since_the_time_of_a_message_includes_it,
    start::since_a_late_time_gives_only_what_comes,
    start::every_start_of_an_empty_topic_waits_for_the_first,
    reading::a_reader_at_the_end_wakes,
    reading::a_dropped_read_loses_nothing,
    reading::a_batch_holds_one_to_max,
    reading::readers_do_not_disturb_each_other,
    reading::a_new_subscription_reads_everything_again,
    reading::a_reader_overtaken_by_expiry_goes_on_at_the_oldest,
    board::a_board_gives_the_latest_of_every_key_first,
    board::a_board_goes_on_with_updates,
    board::a_board_from_newest_gives_only_updates,
    board::a_slow_reader_of_a_board_ends_at_the_latest,
    durability::what_was_acknowledged_survives_a_restart,
    durability::a_board_survives_a_restart,
    durability::positions_go_on_after_a_restart,
    durability::positions_go_on_after_everything_expired,
];

/// Runs every check and returns what failed.
#[must_use = "an unread result checks nothing"]
pub async fn run(backend: &dyn Backend) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (name, check) in CHECKS {
        let outcome = tokio::time::timeout(CHECK_TIMEOUT, check(backend)).await;
        let why = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(why)) => why.to_string(),
            Err(_) => format!("did not end within {CHECK_TIMEOUT:?}"),
        };
        failures.push(Failure { check: name, why });
    }
    failures
}
