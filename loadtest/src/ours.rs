//! The bus that most scenarios measure: one process with an embedded log, or two with a broker between them.

use tests::bus::Bus;
use tests::process::Admin;
use tests::serve::{Api, Serve, Settings};

use crate::http::let_in;
use crate::log::Log;

/// It runs, and is dead when dropped.
pub(crate) enum Ours {
    /// `serve`.
    Serve(Box<Serve>),
    /// `publisher` and `agent`.
    Apart(Box<Bus>),
}

impl Ours {
    /// Starts it before these caches; it is ready, and everybody knows everybody.
    pub(crate) async fn start(log: Option<&Log>, caches: Settings) -> Self {
        let Some(log) = log else {
            return Self::Serve(Box::new(Serve::start_ready(caches.publisher(&let_in())).await));
        };
        let mut bus = Bus::on(log.wire());
        bus.start_publisher("publisher-1", &let_in()).await;
        bus.start_agent("edge-1", "local", caches).await;
        bus.registered().await;
        Self::Apart(Box::new(bus))
    }

    /// How its publisher is asked.
    pub(crate) fn api(&self) -> &Api {
        match self {
            Self::Serve(serve) => serve.api(),
            Self::Apart(bus) => bus.publishers[0].api(),
        }
    }

    /// The admin port of its agent.
    pub(crate) fn agent(&self) -> &Admin {
        match self {
            Self::Serve(serve) => serve.admin(),
            Self::Apart(bus) => bus.agents[0].admin(),
        }
    }

    /// The process that its publisher is in.
    pub(crate) fn publisher(&self) -> u32 {
        match self {
            Self::Serve(serve) => serve.process(),
            Self::Apart(bus) => bus.publishers[0].process(),
        }
    }
}
