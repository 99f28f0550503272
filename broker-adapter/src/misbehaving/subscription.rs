//! The reading side of a broker that misbehaves.

use std::collections::VecDeque;
use std::future;
use std::sync::Arc;

use async_trait::async_trait;
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Misbehaviour, unavailable};
use crate::{BrokerError, Delivery, Subscription};

/// So many of the latest deliveries may come once more.
const REPEAT_MAX: usize = 16;

/// A subscription that misbehaves, always before or after the inner read, so that it stays cancel-safe.
#[derive(Debug)]
pub(super) struct MisbehavingSubscription {
    inner: Box<dyn Subscription>,
    misbehaviour: Arc<Mutex<Misbehaviour>>,
    rng: Rng,
    health: Health,
    not_before: Option<Instant>,
    latest: VecDeque<Delivery>,
    again: VecDeque<Delivery>,
}

#[derive(Debug, Clone, Copy)]
enum Health {
    Sound,
    Aborted,
    Silent,
}

impl MisbehavingSubscription {
    pub(super) fn new(
        inner: Box<dyn Subscription>,
        misbehaviour: Arc<Mutex<Misbehaviour>>,
        rng: Rng,
    ) -> Self {
        Self {
            inner,
            misbehaviour,
            rng,
            health: Health::Sound,
            not_before: None,
            latest: VecDeque::new(),
            again: VecDeque::new(),
        }
    }

    fn happens(&mut self, probability: impl Fn(&Misbehaviour) -> f64) -> bool {
        self.rng.f64() < probability(&self.misbehaviour.lock())
    }

    fn fall_ill(&mut self) {
        if self.happens(|misbehaviour| misbehaviour.read_abort) {
            self.health = Health::Aborted;
        } else if self.happens(|misbehaviour| misbehaviour.read_silence) {
            self.health = Health::Silent;
        }
    }

    /// Waits out the delay of this read, once however often the read is dropped and called again.
    async fn delay(&mut self) {
        if self.not_before.is_none() && self.happens(|misbehaviour| misbehaviour.read_delay) {
            let delay_max = self.misbehaviour.lock().delay_max;
            self.not_before = Some(Instant::now() + delay_max.mul_f64(self.rng.f64()));
        }
        if let Some(until) = self.not_before {
            tokio::time::sleep_until(until).await;
        }
    }

    fn remember(&mut self, batch: &[Delivery]) {
        self.latest.extend(batch.iter().cloned());
        let surplus = self.latest.len().saturating_sub(REPEAT_MAX);
        self.latest.drain(..surplus);
        if self.happens(|misbehaviour| misbehaviour.read_repeat) {
            let from = self.rng.usize(..self.latest.len());
            self.again.extend(self.latest.iter().skip(from).cloned());
        }
    }
}

#[async_trait]
impl Subscription for MisbehavingSubscription {
    async fn read(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        if matches!(self.health, Health::Sound) {
            self.fall_ill();
        }
        match self.health {
            Health::Sound => self.delay().await,
            Health::Aborted => return Err(unavailable("subscription aborted on purpose")),
            Health::Silent => return future::pending().await,
        }
        if self.happens(|misbehaviour| misbehaviour.read_fail) {
            return Err(unavailable("read failed on purpose"));
        }
        if !self.again.is_empty() {
            self.not_before = None;
            let repeated = max.min(self.again.len());
            return Ok(self.again.drain(..repeated).collect());
        }
        let batch = self.inner.read(max).await?;
        self.not_before = None;
        self.remember(&batch);
        Ok(batch)
    }
}
