//! The targets, one file each.

mod board;
mod config;
mod edge;
mod events;
mod journal;
mod kept;
mod log;
mod requests;
mod selectors;
mod signed;
mod templates;
mod varnish;

mod message;
mod shop;

use crate::Target;

/// All of them.
pub const TARGETS: [Target; 12] = [
    Target { name: "selectors", run: selectors::run },
    Target { name: "log", run: log::run },
    Target { name: "board", run: board::run },
    Target { name: "kept", run: kept::run },
    Target { name: "signed", run: signed::run },
    Target { name: "varnish", run: varnish::run },
    Target { name: "edge", run: edge::run },
    Target { name: "templates", run: templates::run },
    Target { name: "requests", run: requests::run },
    Target { name: "journal", run: journal::run },
    Target { name: "config", run: config::run },
    Target { name: "events", run: events::run },
];
