//! Random runs of reports, restarts, wiped boards and retirements at two publishers, against a plain model: nobody is
//! unregistered but by a retirement that covers its last word, and nothing is applied that a registered agent has not.

use proptest::prelude::*;
use redb::Database;
use schemas::{AgentName, BoardMessage, Retirement};

use super::super::store;
use super::*;

const AGENTS: usize = 3;
const NUMBERS: Number = 4;

#[derive(Debug, Clone)]
enum Step {
    /// An agent purges up to a number, and reports onto the board.
    Report { agent: usize, floor: Number },
    /// It is started again as another instance, with the cursor that it had.
    Replace { agent: usize },
    /// A publisher reads the board of reports, or that of publishers.
    Read { at: usize, reports: bool },
    /// A publisher retires an agent that it knows.
    Retire { at: usize, agent: usize },
    /// A publisher stores its books and starts again from them.
    Restart { at: usize },
    /// A board is deleted.
    Wipe { reports: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (agent, at) = (0..AGENTS, 0..2usize);
    prop_oneof![
        4 => (agent.clone(), 0..=NUMBERS).prop_map(|(agent, floor)| Step::Report { agent, floor }),
        1 => agent.clone().prop_map(|agent| Step::Replace { agent }),
        6 => (at.clone(), any::<bool>()).prop_map(|(at, reports)| Step::Read { at, reports }),
        2 => (at.clone(), agent).prop_map(|(at, agent)| Step::Retire { at, agent }),
        1 => at.prop_map(|at| Step::Restart { at }),
        1 => any::<bool>().prop_map(|reports| Step::Wipe { reports }),
    ]
}

/// The last word of an agent that a publisher has heard: instance, sequence, floor.
type Word = (u128, u64, Number);

/// What a publisher must know, in the plainest form.
#[derive(Debug, Default)]
struct Model {
    registered: BTreeMap<String, Word>,
    /// Per agent and instance the last sequence that is retired.
    retired: BTreeMap<(String, u128), u64>,
    /// Per agent and instance the last sequence that counts.
    heard: BTreeMap<(String, u128), u64>,
}

impl Model {
    fn hear(&mut self, report: &Report) {
        let (name, instance) = (report.agent.to_string(), report.instance.as_u128());
        let key = (name.clone(), instance);
        let retired = self.retired.get(&key).is_some_and(|last| report.sequence <= *last);
        let registered = self.registered.contains_key(&name);
        let heard = self.heard.get(&key).is_some_and(|last| report.sequence <= *last);
        if retired || (registered && heard) {
            return;
        }
        self.heard.insert(key, report.sequence);
        let floor = report.caches[0].lanes[0].lines[0].applied;
        let told = self.registered.get(&name).filter(|told| told.0 == instance);
        let floor = told.map_or(floor, |told| told.2.max(floor));
        self.registered.insert(name, (instance, report.sequence, floor));
    }

    fn retire(&mut self, name: &str, instances: &[(Uuid, u64)]) {
        for (instance, sequence) in instances {
            let last = self.retired.entry((name.to_owned(), instance.as_u128())).or_insert(0);
            *last = (*last).max(*sequence);
        }
        if let Some((instance, sequence, _)) = self.registered.get(name)
            && self.retired.get(&(name.to_owned(), *instance)).is_some_and(|last| sequence <= last)
        {
            self.registered.remove(name);
        }
    }
}

struct Publisher {
    bus: Bus,
    database: Database,
    model: Model,
}

impl Publisher {
    fn new() -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(backend).unwrap();
        drop(store::load(&database).unwrap());
        Self { bus: Bus::with_accepted(NUMBERS), database, model: Model::default() }
    }

    fn restart(&mut self) {
        store::save(&self.database, &self.bus.tracker.take_unstored(true)).unwrap();
        let now = at(self.bus.now);
        self.bus.tracker = Tracker::new("p1".parse().unwrap(), sites(), now);
        self.bus.tracker.restore(store::load(&self.database).unwrap());
    }

    fn read(&mut self, message: BoardMessage) {
        let now = at(self.bus.now);
        match message {
            BoardMessage::Report(report) => {
                self.model.hear(&report);
                self.bus.tracker.report(*report, now);
            }
            BoardMessage::Retirement(retirement) => {
                self.model_retires(&retirement);
                self.bus.tracker.retirement(retirement, now);
            }
            BoardMessage::Incarnation(_) | BoardMessage::Orders(_) => {}
        }
    }

    fn retire(&mut self, name: &AgentName) -> Option<Retirement> {
        let by = "p1".parse().unwrap();
        let retirement = self.bus.tracker.agent_retirement(name, &by, at(self.bus.now))?;
        self.read(BoardMessage::Retirement(retirement.clone()));
        Some(retirement)
    }

    fn model_retires(&mut self, retirement: &Retirement) {
        if let schemas::Retired::Agent { name, instances } = &retirement.retired {
            self.model.retire(name.as_str(), instances);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let registered = self.bus.tracker.registry.agents().map(|(name, _)| name.to_string());
        let expected: Vec<_> = self.model.registered.keys().cloned().collect();
        prop_assert_eq!(registered.collect::<Vec<_>>(), expected);
        for number in 1..=NUMBERS {
            let floors = || self.model.registered.values().map(|(_, _, floor)| *floor);
            let state = self.bus.state(number);
            match floors().min() {
                None => prop_assert_eq!(state, ProgressState::NoAgents),
                Some(lowest) if lowest >= number => prop_assert_eq!(state, ProgressState::Final),
                Some(_) => prop_assert!(
                    matches!(state, ProgressState::Published | ProgressState::Blocked),
                    "{number} is {state:?} with {:?}",
                    self.model.registered
                ),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn only_a_retirement_unregisters_and_nothing_is_applied_that_is_not(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut publishers = [Publisher::new(), Publisher::new()];
        let names = ["a", "b", "c"];
        let mut agents = names.map(|name| Agent::new(name, "eu"));
        let mut board: BTreeMap<String, BoardMessage> = BTreeMap::new();
        for step in steps {
            for publisher in &mut publishers {
                publisher.bus.pass(60_000);
            }
            match step {
                Step::Report { agent, floor } => {
                    let floor = floor.max(agents[agent].line().applied);
                    let report = agents[agent].floors(floor, floor).next();
                    let message = BoardMessage::Report(Box::new(report));
                    board.insert(message.key(), message);
                }
                Step::Replace { agent } => {
                    let instance = agents[agent].report.instance.as_u128();
                    agents[agent].report.instance = Uuid::from_u128(instance + 1);
                }
                Step::Read { at, reports } => {
                    for message in board.values().filter(|message| on_reports(message) == reports) {
                        publishers[at].read(message.clone());
                    }
                }
                Step::Retire { at, agent } => {
                    let retirement = publishers[at].retire(&names[agent].parse().unwrap());
                    let message = retirement.map(BoardMessage::Retirement);
                    board.extend(message.map(|message| (message.key(), message)));
                }
                Step::Restart { at } => publishers[at].restart(),
                Step::Wipe { reports } => board.retain(|_, message| on_reports(message) != reports),
            }
            for publisher in &publishers {
                publisher.check()?;
            }
        }
    }
}

fn on_reports(message: &BoardMessage) -> bool {
    message.board() == schemas::REPORTS_BOARD
}
