//! One call of `publish`, told of each of its messages by librdkafka's thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Notify;

/// Messages of one call that are on their way.
#[derive(Debug)]
pub(super) struct Call {
    left: AtomicUsize,
    first_failure: Mutex<Option<Code>>,
    done: Notify,
}

impl Call {
    pub(super) fn of(messages: usize) -> Self {
        Self {
            left: AtomicUsize::new(messages),
            first_failure: Mutex::new(None),
            done: Notify::new(),
        }
    }

    /// One of them is acknowledged, or failed.
    pub(super) fn delivered(&self, failure: Option<Code>) {
        if let Some(code) = failure {
            self.first_failure.lock().get_or_insert(code);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// Waits for all of them. For one waiter.
    pub(super) async fn done(&self) -> Result<(), Code> {
        self.done.notified().await;
        match *self.first_failure.lock() {
            Some(code) => Err(code),
            None => Ok(()),
        }
    }
}
