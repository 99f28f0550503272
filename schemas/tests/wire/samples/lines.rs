//! What publishers say about lines, and who is gone.

use schemas::{Heartbeat, Incarnation, Lost, OpenLine, Priority, Retired, Retirement};
use uuid::Uuid;

use super::{line, range, text, time};

pub(crate) fn heartbeat() -> Heartbeat {
    Heartbeat {
        publisher: text("publisher-1"),
        at: time("2026-11-21T10:00:01Z"),
        lines: vec![(line(0x11), 70_001), (line(0x22), 0), (line(0x33), u64::MAX)],
        agents: None,
    }
}

pub(crate) fn heartbeat_with_agents() -> Heartbeat {
    Heartbeat { agents: Some(1_200), ..heartbeat() }
}

pub(crate) fn lost() -> Lost {
    Lost { publisher: text("publisher-1"), line: line(0x11), numbers: range(250, 300) }
}

pub(crate) fn incarnation() -> Incarnation {
    Incarnation {
        publisher: text("publisher-1"),
        since: time("2026-11-21T09:59:59.5Z"),
        lines: vec![line(0x33), line(0x44)],
        closes: vec![(line(0x11), 70_001), (line(0x22), 0)],
    }
}

pub(crate) fn retired_agent() -> Retirement {
    let id = |digit| Uuid::from_u128(digit);
    Retirement {
        retired: Retired::Agent { name: text("edge-1"), instances: vec![(id(1), 900), (id(2), 7)] },
        at: time("2026-11-21T10:05:00Z"),
        by: text("publisher-1"),
    }
}

pub(crate) fn retired_publisher() -> Retirement {
    Retirement {
        retired: Retired::Publisher {
            name: text("publisher-2"),
            lines: vec![(line(0x11), 70_001), (line(0x22), 0)],
            open: Vec::new(),
        },
        at: time("2026-11-21T10:06:00Z"),
        by: text("publisher-1"),
    }
}

pub(crate) fn retired_publisher_with_open_lines() -> Retirement {
    let open = |digits, priority, partition| OpenLine { line: line(digits), priority, partition };
    let open = vec![open(0x11, Priority::Normal, 3), open(0x22, Priority::Critical, 0)];
    let Retirement { retired: Retired::Publisher { name, lines, .. }, at, by } =
        retired_publisher()
    else {
        panic!("not a publisher")
    };
    Retirement { retired: Retired::Publisher { name, lines, open }, at, by }
}
