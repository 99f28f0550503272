//! A broker that misbehaves as real ones were seen to.

mod subscription;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use parking_lot::Mutex;

use crate::{Bounds, Broker, BrokerError, Message, Partition, Start, Subscription, Topic};
use subscription::MisbehavingSubscription;

/// A publish held back lands after at most so many later ones of its topic and partition.
const REORDER_WINDOW: u8 = 8;

/// What goes wrong, each as a probability from 0 to 1. By default nothing does.
#[derive(Debug, Clone, PartialEq)]
pub struct Misbehaviour {
    /// A publish fails and does not land.
    pub fail: f64,
    /// A publish lands, or is held back, yet its caller is told that it failed.
    pub time_out: f64,
    /// A publish is acknowledged and never lands.
    pub lose: f64,
    /// A publish lands twice.
    pub duplicate: f64,
    /// A publish is acknowledged and lands after up to eight later ones.
    pub reorder: f64,
    /// A publish takes up to `delay_max` longer.
    pub delay: f64,
    /// A read fails and takes nothing.
    pub read_fail: f64,
    /// A subscription fails from now on.
    pub read_abort: f64,
    /// A subscription says nothing more, for ever.
    pub read_silence: f64,
    /// A read is followed by some of the latest deliveries once more.
    pub read_repeat: f64,
    /// A read takes up to `delay_max` longer.
    pub read_delay: f64,
    /// The longest delay.
    pub delay_max: Duration,
}

impl Default for Misbehaviour {
    fn default() -> Self {
        Self {
            fail: 0.0,
            time_out: 0.0,
            lose: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            delay: 0.0,
            read_fail: 0.0,
            read_abort: 0.0,
            read_silence: 0.0,
            read_repeat: 0.0,
            read_delay: 0.0,
            delay_max: Duration::from_secs(1),
        }
    }
}

/// A broker around a broker that duplicates, delays, loses, reorders, fails, and times out publishes that still land.
///
/// The same seed and the same order of calls give the same misbehaviour.
#[derive(Debug)]
pub struct Misbehaving {
    inner: Arc<dyn Broker>,
    misbehaviour: Arc<Mutex<Misbehaviour>>,
    rng: Mutex<Rng>,
    held: Mutex<Vec<Held>>,
    releasing: tokio::sync::Mutex<()>,
}

/// A publish that lands later.
#[derive(Debug, Clone)]
struct Held {
    topic: Topic,
    partition: Partition,
    messages: Vec<Message>,
    /// Tells two equal publishes apart.
    id: u64,
    /// So many publishes come first.
    after: u8,
}

/// What becomes of one publish.
#[derive(Debug)]
struct Fate {
    fails: bool,
    times_out: bool,
    delay: Duration,
    /// One entry per copy that lands: after how many later publishes.
    copies: Vec<u8>,
}

impl Misbehaving {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Broker>, misbehaviour: Misbehaviour, seed: u64) -> Self {
        Self {
            inner,
            misbehaviour: Arc::new(Mutex::new(misbehaviour)),
            rng: Mutex::new(Rng::with_seed(seed)),
            held: Mutex::default(),
            releasing: tokio::sync::Mutex::default(),
        }
    }

    /// Misbehaves otherwise from now on, existing subscriptions too.
    pub fn set(&self, misbehaviour: Misbehaviour) {
        *self.misbehaviour.lock() = misbehaviour;
    }

    /// Behaves from now on, and lands all that was held back. Aborted and silent subscriptions stay so.
    pub async fn quiet(&self) -> Result<(), BrokerError> {
        self.set(Misbehaviour::default());
        self.release(|_| true).await
    }

    fn fate(&self) -> Fate {
        let misbehaviour = self.misbehaviour.lock().clone();
        let mut rng = self.rng.lock();
        let mut happens = |probability| rng.f64() < probability;
        let fails = happens(misbehaviour.fail);
        let times_out = happens(misbehaviour.time_out);
        let delayed = happens(misbehaviour.delay);
        let lost = happens(misbehaviour.lose);
        let twice = happens(misbehaviour.duplicate);
        let copies = match (lost, twice) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        let held: Vec<bool> = (0..copies).map(|_| happens(misbehaviour.reorder)).collect();
        Fate {
            fails,
            times_out,
            delay: if delayed { misbehaviour.delay_max.mul_f64(rng.f64()) } else { Duration::ZERO },
            copies: held
                .into_iter()
                .map(|held| if held { rng.u8(1..=REORDER_WINDOW) } else { 0 })
                .collect(),
        }
    }

    /// Counts one publish past those held back.
    fn pass(&self, topic: Topic, partition: Partition) {
        for held in self.held.lock().iter_mut() {
            if (held.topic, held.partition) == (topic, partition) {
                held.after = held.after.saturating_sub(1);
            }
        }
    }

    /// Lands what is due, one after the other. Each is forgotten only once it has landed, so a dropped call
    /// repeats rather than loses.
    async fn release(&self, due: impl Fn(&Held) -> bool) -> Result<(), BrokerError> {
        let _one_at_a_time = self.releasing.lock().await;
        loop {
            let next = self.held.lock().iter().find(|held| due(held)).cloned();
            let Some(Held { topic, partition, messages, id, .. }) = next else { return Ok(()) };
            self.inner.publish(topic, partition, messages).await?;
            self.held.lock().retain(|held| held.id != id);
        }
    }
}

#[async_trait]
impl Broker for Misbehaving {
    async fn publish(
        &self,
        topic: Topic,
        partition: Partition,
        messages: Vec<Message>,
    ) -> Result<(), BrokerError> {
        let fate = self.fate();
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.fails {
            return Err(unavailable("publish failed on purpose"));
        }
        self.pass(topic, partition);
        for after in fate.copies {
            let messages = messages.clone();
            if after == 0 {
                self.inner.publish(topic, partition, messages).await?;
            } else {
                let id = self.rng.lock().u64(..);
                self.held.lock().push(Held { topic, partition, messages, id, after });
            }
        }
        self.release(|held| held.after == 0).await?;
        if fate.times_out {
            return Err(unavailable("publish timed out on purpose"));
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        topic: Topic,
        start: Start,
    ) -> Result<Box<dyn Subscription>, BrokerError> {
        let mut rng = self.rng.lock().fork();
        let read_fail = self.misbehaviour.lock().read_fail;
        if rng.f64() < read_fail {
            return Err(unavailable("subscribe failed on purpose"));
        }
        let inner = self.inner.subscribe(topic, start).await?;
        let misbehaviour = Arc::clone(&self.misbehaviour);
        Ok(Box::new(MisbehavingSubscription::new(inner, misbehaviour, rng)))
    }

    async fn bounds(&self, topic: Topic) -> Result<Bounds, BrokerError> {
        let read_fail = self.misbehaviour.lock().read_fail;
        if self.rng.lock().f64() < read_fail {
            return Err(unavailable("bounds failed on purpose"));
        }
        self.inner.bounds(topic).await
    }
}

fn unavailable(what: &'static str) -> BrokerError {
    BrokerError::Unavailable(what.into())
}
