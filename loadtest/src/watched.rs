//! An agent in a process of its own, on a real broker whose log is written without a publisher, and what it costs.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use broker_adapter::{Broker, Topic};
use schemas::{LineId, LogMessage, Number, Priority, Selector, wire};
use tests::bus::Bus;
use tests::process::Admin;
use tests::record;
use tests::serve::Settings;
use tokio::time::{Instant, sleep};

use crate::log::{Kind, Log};
use crate::measure::Round;
use crate::raw::{Place, Raw};
use crate::terms::Terms;
use crate::usage::{Cpu, peak, resident};

/// Time to settle before memory is read.
pub(crate) const SETTLE: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it is asked how far it is, while it works.
const FOLLOW_EVERY: Duration = Duration::from_millis(20);
/// Lanes that lack nothing, and settled nothing for so long, have caught up.
const LOOK_TWICE: Duration = Duration::from_secs(2);
/// Longest time for a lane to join, and longest time without progress.
const PATIENCE: Duration = Duration::from_mins(2);

/// The agent and its log.
pub(crate) struct Watched {
    raw: Raw,
    bus: Bus,
    line: LineId,
    place: Place,
    topic: Topic,
    /// The last number on the log.
    pub(crate) last: Number,
    broker: Arc<dyn Broker>,
    _log: Log,
}

impl Watched {
    /// An agent before these caches, which has settled a number.
    pub(crate) async fn start(
        broker: Kind,
        caches: Settings,
        terms: &Terms,
    ) -> anyhow::Result<Self> {
        let log = broker.start().await;
        let raw = log.raw().await?;
        let mut bus = Bus::on(log.wire()).unsigned();
        let broker = log.broker(bus.wire.prefix()).await?;
        let topic = Topic::log(Priority::Normal.as_str());
        bus.start_agent("edge-1", "local", caches).await;
        let place = log.place(bus.wire.prefix(), topic);
        let line = LineId::random();
        let mut watched = Self { raw, bus, line, place, topic, last: 0, broker, _log: log };
        // What comes before a lane has joined it does not owe.
        watched.goes_on(&[], 0).await?;
        sleep(terms.pause(SETTLE)).await;
        Ok(watched)
    }

    /// So many more numbers in frames of `each`, and a heartbeat.
    pub(crate) async fn publish(&mut self, count: u64, each: u64) -> anyhow::Result<()> {
        self.publish_of(count, each, record::page).await
    }

    /// The same where a number names what it is told to.
    pub(crate) async fn publish_of(
        &mut self,
        count: u64,
        each: u64,
        named: impl Fn(Number) -> Selector + Send + 'static,
    ) -> anyhow::Result<()> {
        let (line, first, last) = (self.line, self.last + 1, self.last + count);
        let step = usize::try_from(each)?;
        let frames = (first..=last).step_by(step).map(move |first| {
            let frame = record::frame_of(line, first, each.min(last + 1 - first), &named);
            wire::encode_log(&LogMessage::Frame(frame))
        });
        self.raw.publish_all(&self.place, frames.chain([record::heartbeat(line, last)])).await?;
        self.last = last;
        Ok(())
    }

    /// Waits until its lane of normal priority, which is new, has flushed: from then on it has a cursor.
    pub(crate) async fn flushed(&mut self) -> anyhow::Result<()> {
        let lane = ["priority=\"normal\""];
        let deadline = Instant::now() + PATIENCE;
        while self.admin().count("purgebus_flushes_total", &lane).await == 0 {
            ensure!(Instant::now() < deadline, "the new lane does not flush");
            sleep(LOOK_EVERY).await;
        }
        let settled = self.settled().await;
        self.goes_on(&[], settled).await
    }

    /// Publishes until its lanes with these labels have settled more than that.
    pub(crate) async fn goes_on(&mut self, labels: &[&str], settled: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.settled_with(labels).await <= settled {
            ensure!(Instant::now() < deadline, "the agent settles nothing");
            self.publish(1, 1).await?;
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until it has settled so many in this life; answers how many it has.
    pub(crate) async fn until_settled(&self, count: u64) -> anyhow::Result<u64> {
        let (mut most, mut moved) = (0, Instant::now());
        loop {
            let settled = self.settled().await;
            if settled >= count {
                return Ok(settled);
            }
            if settled > most {
                (most, moved) = (settled, Instant::now());
            }
            let waited = moved.elapsed() < PATIENCE;
            ensure!(waited, "the agent does not go on: {settled} of {count}");
            sleep(FOLLOW_EVERY).await;
        }
    }

    /// Waits until a life that has just begun, and so settled nothing yet, has settled so many: from the first to the
    /// last of them.
    pub(crate) async fn works_off(&self, count: u64) -> anyhow::Result<Round> {
        let first = self.until_settled(1).await?;
        let (before, began) = (Cpu::now()?, Instant::now());
        let all = self.until_settled(count).await?;
        let (took, cpu) = (began.elapsed(), Cpu::now()?.since(&before));
        ensure!(all > first, "it was over before it was seen to begin: ask for more");
        Ok(Round { count: all - first, took, cpu })
    }

    /// Waits until its lanes with these labels have settled something, and lack nothing.
    pub(crate) async fn caught_up(&self, labels: &[&str]) -> anyhow::Result<()> {
        let (mut most, mut moved) = (0, Instant::now());
        loop {
            let settled = self.settled_with(labels).await;
            let lag = self.admin().count("purgebus_lag_numbers", labels).await;
            // Two looks alike: what is known of the log is what was published.
            if settled > 0 && settled == most && lag == 0 && moved.elapsed() > LOOK_TWICE {
                return Ok(());
            }
            if settled > most {
                (most, moved) = (settled, Instant::now());
            }
            ensure!(moved.elapsed() < PATIENCE, "the agent does not catch up");
            sleep(LOOK_TWICE / 4).await;
        }
    }

    /// It leaves, with its cursor stored.
    pub(crate) async fn leave(&mut self) {
        self.bus.agents[0].terminate().await;
    }

    /// It is killed at this moment.
    pub(crate) fn kill(&mut self) {
        self.bus.agents[0].kill();
    }

    /// It starts again where it was; it listens when this returns.
    pub(crate) async fn come_back(&mut self) {
        self.bus.agents[0].restart().await;
    }

    /// Messages that the log keeps.
    pub(crate) async fn kept(&self) -> anyhow::Result<u64> {
        let kept = self.broker.bounds(self.topic).await?;
        Ok(kept.values().map(|kept| kept.end.0 - kept.first.0).sum())
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        resident(self.bus.agents[0].process())
    }

    /// The most resident memory that it had in this life, in bytes.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        peak(self.bus.agents[0].process())
    }

    /// The size of all that it keeps on disk, in bytes.
    pub(crate) fn state_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for file in fs::read_dir(self.bus.agents[0].home().state())? {
            // One that is written anew may be gone.
            bytes += file?.metadata().map_or(0, |known| known.len());
        }
        Ok(bytes)
    }

    /// Its admin port.
    pub(crate) fn admin(&self) -> &Admin {
        self.bus.agents[0].admin()
    }

    /// What a metric adds up to, over all lanes.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        let text = self.admin().metrics().await;
        let rows = text.lines().filter(|row| row.split(['{', ' ']).next() == Some(name));
        rows.filter_map(|row| row.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Numbers that it has settled, in all lanes.
    pub(crate) async fn settled(&self) -> u64 {
        self.settled_with(&[]).await
    }

    async fn settled_with(&self, labels: &[&str]) -> u64 {
        self.admin().count("purgebus_settled_total", labels).await
    }
}
