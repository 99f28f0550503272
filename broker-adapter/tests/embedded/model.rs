//! The embedded log against a plain vector.

use broker_adapter::{Broker, Embedded, EmbeddedConfig, Partition, Position, Positions, Start};
use proptest::prelude::*;

use crate::disk::Disk;
use crate::{LOG, at, message, read_all};

const PARTITIONS: u32 = 2;
const RETENTION_SECONDS: i64 = 20;
const RETENTION_BYTES: usize = 60;

#[derive(Debug, Clone)]
enum Step {
    Publish { partition: u32, sizes: Vec<usize> },
    Wait { seconds: i64 },
    Retain,
    Crash,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    second: i64,
    partition: u32,
    position: u64,
    size: usize,
}

#[derive(Debug, Default)]
struct Model {
    kept: Vec<Kept>,
    ends: [u64; PARTITIONS as usize],
    now: i64,
}

impl Model {
    fn publish(&mut self, partition: u32, sizes: &[usize]) {
        let end = &mut self.ends[partition as usize];
        for &size in sizes {
            self.kept.push(Kept { second: self.now, partition, position: *end, size });
            *end += 1;
        }
    }

    fn retain(&mut self) {
        self.kept.sort();
        let mut bytes: usize = self.kept.iter().map(|kept| kept.size).sum();
        let oldest = self.now - RETENTION_SECONDS;
        self.kept.retain(|kept| {
            let goes = kept.second < oldest || bytes > RETENTION_BYTES;
            bytes -= if goes { kept.size } else { 0 };
            !goes
        });
    }

    /// What a partition gives from `position` on.
    fn from(&self, partition: u32, position: u64) -> Vec<Kept> {
        let due = |kept: &&Kept| kept.partition == partition && kept.position >= position;
        let mut due: Vec<Kept> = self.kept.iter().filter(due).cloned().collect();
        due.sort_by_key(|kept| kept.position);
        due
    }

    fn at(&self, partition: u32, position: u64) -> Vec<Kept> {
        let all = self.from(partition, 0);
        let end = self.ends[partition as usize];
        let first = all.first().map_or(end, |kept| kept.position);
        if (first..=end).contains(&position) { self.from(partition, position) } else { all }
    }

    fn since(&self, partition: u32, second: i64) -> Vec<Kept> {
        let mut all = self.from(partition, 0);
        all.retain(|kept| kept.second >= second);
        all
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = prop::collection::vec(0..30_usize, 1..5);
    let step = prop_oneof![
        4 => (0..PARTITIONS, sizes).prop_map(|(partition, sizes)| Step::Publish { partition, sizes }),
        3 => (0..8_i64).prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Retain),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..25)
}

async fn deliveries(log: &Embedded, partition: u32, start: Start) -> Vec<Kept> {
    let all = read_all(log, LOG, start).await.into_iter();
    all.filter(|delivery| delivery.partition == Partition(partition))
        .map(|delivery| Kept {
            second: delivery.time.as_second(),
            partition,
            position: delivery.position.0,
            size: delivery.body.len(),
        })
        .collect()
}

async fn compare(log: &Embedded, model: &Model) -> Result<(), TestCaseError> {
    let bounds = log.bounds(LOG).await.unwrap();
    for (partition, end) in (0..PARTITIONS).zip(model.ends) {
        let kept = model.from(partition, 0);
        if end > 0 {
            let bounds = bounds[&Partition(partition)];
            let first = kept.first().map_or(end, |kept| kept.position);
            prop_assert_eq!((bounds.first.0, bounds.end.0), (first, end));
        }
        prop_assert_eq!(deliveries(log, partition, Start::Oldest).await, kept);
        for position in 0..end + 2 {
            let start = Start::At(Positions::from([(Partition(partition), Position(position))]));
            let got = deliveries(log, partition, start).await;
            prop_assert_eq!(got, model.at(partition, position), "at {}", position);
        }
        for second in 0..=model.now + 1 {
            let got = deliveries(log, partition, Start::Since(at(second))).await;
            prop_assert_eq!(got, model.since(partition, second), "since {}", second);
        }
    }
    Ok(())
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut disk = Disk::default();
    let mut model = Model::default();
    let hand = crate::Hand::default();
    let config = EmbeddedConfig {
        retention: std::time::Duration::from_secs(RETENTION_SECONDS.unsigned_abs()),
        retention_bytes: RETENTION_BYTES as u64,
    };
    let mut log = disk.open_with(config.clone(), hand.clock()).unwrap();
    for step in steps {
        match step {
            Step::Publish { partition, sizes } => {
                let messages = sizes.iter().map(|size| message(vec![7; *size])).collect();
                log.publish(LOG, Partition(partition), messages).await.unwrap();
                model.publish(partition, &sizes);
            }
            Step::Wait { seconds } => {
                model.now += seconds;
                hand.set(model.now);
            }
            Step::Retain => {
                log.retain(at(model.now)).await.unwrap();
                model.retain();
            }
            Step::Crash => {
                disk = disk.after_crash();
                log = disk.open_with(config.clone(), hand.clock()).unwrap();
            }
        }
    }
    compare(&log, &model).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_vector_that_forgets_its_oldest(steps in steps()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(play(steps))?;
    }
}
