//! The sums of what may stand on a log topic and on a board.

use crate::{Frame, Heartbeat, Incarnation, Lost, Orders, Report, Retired, Retirement};

/// The board of agents' reports.
pub const REPORTS_BOARD: &str = "reports";

/// The board of what publishers say: their incarnations, retirements, and orders.
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
    /// A retirement; its key begins with what no name begins with.
    Retirement(Retirement),
    /// A publisher's orders; its key begins with what no name begins with.
    Orders(Orders),
}

impl BoardMessage {
    /// Its key on its board.
    pub fn key(&self) -> String {
        match self {
            Self::Report(report) => report.agent.to_string(),
            Self::Incarnation(incarnation) => incarnation.publisher.to_string(),
            Self::Retirement(Retirement { retired, .. }) => match retired {
                Retired::Agent { name, .. } => format!("-agent.{name}"),
                Retired::Publisher { name, .. } => format!("-publisher.{name}"),
            },
            Self::Orders(orders) => format!("-orders.{}", orders.by),
        }
    }

    /// The board it stands on.
    pub fn board(&self) -> &'static str {
        match self {
            Self::Report(_) => REPORTS_BOARD,
            Self::Incarnation(_) | Self::Retirement(_) | Self::Orders(_) => PUBLISHERS_BOARD,
        }
    }
}
