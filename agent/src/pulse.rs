//! Whether a log is still heard: publishers speak each second on every partition.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_adapter::Partition;
use tokio::time::Instant;

/// A log, or a partition that was heard before, silent for this long has lost us.
const SILENCE: Duration = Duration::from_secs(5);
/// A partition that stays silent is given up on ever more rarely: nobody may write to it any more.
const PATIENCE_MAX: Duration = Duration::from_mins(5);

/// When what was last heard.
#[derive(Debug)]
pub(crate) struct Pulses {
    any: Instant,
    partitions: BTreeMap<Partition, Pulse>,
}

#[derive(Debug)]
struct Pulse {
    heard: Instant,
    patience: Duration,
}

impl Pulses {
    /// Nothing was heard yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { any: now, partitions: BTreeMap::new() }
    }

    /// `partition` was heard.
    pub(crate) fn beat(&mut self, partition: Partition, now: Instant) {
        self.any = now;
        self.partitions.insert(partition, Pulse { heard: now, patience: SILENCE });
    }

    /// Listening begins, or begins again.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.any = now;
        self.partitions.values_mut().for_each(|pulse| pulse.heard = now);
    }

    /// When the silence will have lasted too long.
    pub(crate) fn silent_at(&self) -> Instant {
        let partitions = self.partitions.values().map(|pulse| pulse.heard + pulse.patience);
        partitions.fold(self.any + SILENCE, Instant::min)
    }

    /// It has. Answers which partition is silent while others are heard, if that is the case.
    pub(crate) fn give_up(&mut self, now: Instant) -> Option<Partition> {
        let others = now < self.any + SILENCE;
        let mut silent = None;
        for (partition, pulse) in &mut self.partitions {
            if pulse.heard + pulse.patience <= now {
                pulse.patience = PATIENCE_MAX.min(pulse.patience * 2);
                silent = silent.or(Some(*partition).filter(|_| others));
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_partition_that_falls_silent_while_others_speak_is_noticed_ever_more_rarely() {
        let begun = Instant::now();
        let mut pulses = Pulses::new(begun);
        pulses.beat(Partition(1), begun);
        let (mut silent_for, mut noticed) = (Vec::new(), begun);
        for second in 1..=800 {
            let now = begun + Duration::from_secs(second);
            pulses.beat(Partition(0), now);
            if pulses.silent_at() <= now {
                assert_eq!(pulses.give_up(now), Some(Partition(1)));
                pulses.restart(now);
                silent_for.push((now - noticed).as_secs());
                noticed = now;
            }
        }
        assert_eq!(silent_for, [5, 10, 20, 40, 80, 160, 300]);
        pulses.beat(Partition(1), noticed);
        assert!(pulses.silent_at() <= noticed + SILENCE, "it is watched as before");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_everywhere_is_nobodys_in_particular() {
        let begun = Instant::now();
        let mut pulses = Pulses::new(begun);
        pulses.beat(Partition(0), begun);
        assert_eq!(pulses.silent_at(), begun + SILENCE);
        assert_eq!(pulses.give_up(begun + SILENCE), None);
        assert_eq!(pulses.silent_at(), begun + SILENCE, "the log as a whole is asked for again");
    }
}
