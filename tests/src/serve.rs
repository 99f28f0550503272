//! A real `purgebus serve` process: publisher and one agent, on an embedded log.

mod api;
mod caches;
mod remains;
mod settings;

use std::ops::{Deref, DerefMut};

use tokio::time::{Duration, Instant, sleep};

use crate::process::{Home, Process};

pub use api::Api;
pub use caches::{Caches, Reader};
pub use remains::{Remains, is_finished};
pub(crate) use settings::site;
pub use settings::{DATA, PAGES, Settings};

/// Longest time from an open port to an API that answers.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The process, dead when dropped.
#[derive(Debug)]
pub struct Serve {
    process: Process,
    api: Api,
}

impl Serve {
    /// Starts it in a fresh folder; its API answers when this returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn start(settings: Settings) -> Self {
        let process = Process::start("serve", move |home: &Home| settings.toml(home)).await;
        let api = Api::new(process.home().api, process.admin().clone());
        let serve = Self { process, api };
        serve.answers().await;
        serve
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it is not in time; with the end of its log.
    pub async fn start_ready(settings: Settings) -> Self {
        let serve = Self::start(settings).await;
        serve.ready().await;
        serve
    }

    /// Starts it again, on the same folder and ports; its API answers when this returns.
    ///
    /// # Panics
    /// When it does not; with the end of its log.
    pub async fn restart(&mut self) {
        self.process.restart().await;
        self.answers().await;
    }

    /// How it is asked. Works over restarts.
    pub fn api(&self) -> &Api {
        &self.api
    }

    async fn answers(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.api.answers().await {
            assert!(Instant::now() < deadline, "no answer:\n{}", self.process.log_tail());
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Deref for Serve {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Serve {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
