//! The sums of what may stand on a log topic and on a board.

use crate::{Frame, Heartbeat, Incarnation, Lost, Report};

/// The board of agents' reports.
pub const REPORTS_BOARD: &str = "reports";

/// The board of publishers' incarnations.
pub const PUBLISHERS_BOARD: &str = "publishers";

/// What a log topic carries; the topic's name is the priority's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogMessage {
    /// Invalidations.
    Frame(Frame),
    /// Last numbers.
    Heartbeat(Heartbeat),
    /// Numbers that are gone.
    Lost(Lost),
}

/// What a board keeps the latest of, per key.
#[derive(Debug, Clone, PartialEq)]
pub enum BoardMessage {
    /// An agent's latest word; its key is the agent's name.
    Report(Box<Report>),
    /// A publisher's present incarnation; its key is the publisher's name.
    Incarnation(Incarnation),
}
