//! An agent process on a real broker that comes back to a backlog, and what it costs; killed in the middle, too.

use ::tests::record::Named;
use ::tests::serve::Settings;
use anyhow::bail;
use serde_json::{Value, json};

use super::FRAMED;
use super::varnish::LAYERS;
use crate::log::Kind;
use crate::measure::{Round, Rounds};
use crate::terms::Terms;
use crate::watched::Watched;

/// A backlog that was over before it could be disturbed is published once more.
const TRIES: u32 = 3;

/// The agent, and the lane of each layer.
pub(super) struct Returning {
    agent: Watched,
    layers: u64,
    named: Named,
    idle: u64,
    peak: u64,
}

/// What a life that was ended in the middle had settled, and what the next one settled after it: in all layers.
#[derive(Debug)]
pub(super) struct Killed {
    before: u64,
    after: u64,
}

impl Returning {
    /// An agent before these caches, of which every lane has settled something.
    pub(super) async fn start(
        broker: Kind,
        caches: Settings,
        layers: usize,
        named: Named,
        terms: &Terms,
    ) -> anyhow::Result<Self> {
        let mut agent = Watched::start(broker, caches, terms).await?;
        for layer in &LAYERS[..layers] {
            agent.goes_on(&[&format!("cache=\"{layer}\"")], 0).await?;
        }
        agent.caught_up(&[]).await?;
        let idle = agent.resident()?;
        Ok(Self { agent, layers: u64::try_from(layers)?, named, idle, peak: 0 })
    }

    /// The numbers 1 to `count` lie on the log before it is back.
    async fn come_back(&mut self, count: u64) -> anyhow::Result<()> {
        self.agent.leave().await;
        let (before, named) = (self.agent.last, self.named);
        self.agent.publish_of(count, FRAMED, move |number| named(number - before)).await?;
        self.agent.come_back().await;
        Ok(())
    }

    /// It works off a backlog: from the first to the last that it settles.
    pub(super) async fn purge_all(&mut self, count: u64) -> anyhow::Result<Round> {
        self.come_back(count).await?;
        let all = self.agent.works_off(count * self.layers).await?;
        self.peak = self.peak.max(self.agent.peak()?);
        Ok(Round { count: all.count / self.layers, ..all })
    }

    /// It is killed in the middle of a backlog, and goes on in another life until nothing is left.
    pub(super) async fn is_killed(&mut self, count: u64) -> anyhow::Result<Killed> {
        let all = count * self.layers;
        for _ in 0..TRIES {
            self.come_back(count).await?;
            let before = self.agent.until_settled(all / 2).await?;
            if before < all {
                self.agent.kill();
                self.agent.come_back().await;
                self.agent.caught_up(&[]).await?;
                return Ok(Killed { before, after: self.agent.settled().await });
            }
        }
        bail!("every backlog was over before it could be killed: ask for more");
    }

    /// What it has cost, beside its rates.
    pub(super) fn document(&self, rounds: &Rounds, killed: &Killed) -> anyhow::Result<Value> {
        let mut document = rounds.document()?;
        document["cpu_us_a_purge"] = a_purge(&document, self.layers);
        document["idle_bytes"] = json!(self.idle);
        document["resident_bytes"] = json!(self.peak);
        let Killed { before, after } = killed;
        document["killed"] = json!({"settled_before": before, "settled_after": after});
        Ok(document)
    }
}

/// CPU time for each purge of each layer, in microseconds: of whoever purges, and of Varnish.
pub(super) fn a_purge(document: &Value, layers: u64) -> Value {
    let of = |names: &[&str]| {
        let used = names.iter().filter_map(|name| document["cpu_us_each"][name].as_f64());
        #[expect(clippy::cast_precision_loss, reason = "there are two at most")]
        let each = used.fold(0.0, |sum, used| sum + used) / layers.max(1) as f64;
        (each * 10.0).round() / 10.0
    };
    // The child of varnishd that does the work has a name of its own.
    json!({"agent": of(&["purgebus agent"]), "varnishd": of(&["varnishd", "cache-main"])})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_layers_took_is_told_for_one() {
        let used =
            json!({"purgebus agent": 14.0, "varnishd": 1.0, "cache-main": 23.4, "java": 9.0});
        let each = a_purge(&json!({"cpu_us_each": used}), 2);
        assert_eq!(each, json!({"agent": 7.0, "varnishd": 12.2}));
        assert_eq!(a_purge(&json!({}), 1)["agent"].to_string(), "0.0");
    }
}
