//! Random runs of agents that settle, crash, fall back and report, over a board that repeats, delays and
//! reorders, against a model that remembers every number of every lane by itself.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use schemas::Outcome;
use schemas::api::CacheProgress;

use super::*;

const NUMBERS: Number = 12;
const LANES: usize = 4;

/// What happens on the bus.
#[derive(Debug, Clone)]
enum Step {
    /// A lane settles a number, with its last pass or without.
    Settle { lane: usize, number: Number, outcome: Outcome, finished: bool },
    /// An agent crashes and resumes at its last passes.
    Crash { lane: usize },
    /// An agent resumes from a cursor that has forgotten the numbers above.
    FallBack { lane: usize, above: Number },
    /// An agent reports; the report goes onto the board.
    Report { lane: usize },
    /// The board delivers some report that was ever made.
    Deliver { which: prop::sample::Index },
}

fn step() -> impl Strategy<Value = Step> {
    let lane = 0..LANES;
    let outcome = prop_oneof![
        6 => Just(Outcome::Purged),
        1 => Just(Outcome::Covered),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::Expired),
    ];
    prop_oneof![
        8 => (lane.clone(), 1..=NUMBERS, outcome, any::<bool>()).prop_map(
            |(lane, number, outcome, finished)| Step::Settle { lane, number, outcome, finished }
        ),
        1 => lane.clone().prop_map(|lane| Step::Crash { lane }),
        1 => (lane.clone(), 0..=NUMBERS).prop_map(|(lane, above)| Step::FallBack { lane, above }),
        4 => lane.prop_map(|lane| Step::Report { lane }),
        6 => any::<prop::sample::Index>().prop_map(|which| Step::Deliver { which }),
    ]
}

/// Numbers settled with outcomes, and those that had their last pass.
#[derive(Debug, Clone, Default, PartialEq)]
struct Books {
    applied: BTreeMap<Number, Outcome>,
    finished: BTreeSet<Number>,
}

/// What an agent truly is, and what the tracker must have understood of it.
#[derive(Debug)]
struct Lane {
    agent: Agent,
    base: Number,
    now: Books,
    /// All that was ever settled by the cache.
    ever: BTreeSet<Number>,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    sequence: u64,
    life: u64,
    books: Books,
    since: BTreeMap<Number, i64>,
}

fn lanes() -> Vec<Lane> {
    let lane = |name: &str, region: &str, base: Number, change: fn(&mut Abilities)| {
        let mut agent = Agent::new(name, region);
        change(agent.abilities());
        let mut now = Books::default();
        now.applied.extend((1..=base).map(|number| (number, Outcome::Purged)));
        now.finished.extend(1..=base);
        Lane { agent, base, now, ever: BTreeSet::new(), told: None }
    };
    vec![
        lane("a", "eu", 0, |_| {}),
        lane("b", "eu", 3, |abilities| abilities.key = Ability::NotHeld),
        lane("c", "us", 0, |abilities| abilities.tag = Ability::Unsupported),
        lane("d", "us", 0, |_| {}),
    ]
}

/// Tags, keys or both; of `main` or `local`; for all or for some.
fn varied(number: Number) -> Invalidation {
    let selectors = match number % 3 {
        0 => vec![tag()],
        1 => vec![key()],
        _ => vec![tag(), key()],
    };
    let site = if number.is_multiple_of(4) { "local" } else { "main" };
    let audience = match number % 5 {
        0 => regions(&["us", "mars"]),
        _ => Audience::All,
    };
    Invalidation { selectors, site: site.parse().unwrap(), audience, ..invalidation() }
}

impl Lane {
    fn settle(&mut self, number: Number, outcome: Outcome, finished: bool) {
        if number <= self.base {
            return;
        }
        let outcome = *self.now.applied.entry(number).or_insert(outcome);
        if outcome.applied() {
            self.ever.insert(number);
        }
        if finished {
            self.now.finished.insert(number);
        }
    }

    /// Every outcome but a dead letter is only in memory.
    fn crash(&mut self) {
        let Books { applied, finished } = &mut self.now;
        applied.retain(|number, _| finished.contains(number));
    }

    fn fall_back(&mut self, above: Number) {
        self.crash();
        let keeps = above.max(self.base);
        self.now.applied.retain(|number, _| *number <= keeps);
        self.now.finished.retain(|number| *number <= keeps);
        self.agent.lane().life += 1;
    }

    fn report(&mut self) -> (Report, Books) {
        let base = self.base;
        let numbers = self.now.applied.keys().copied().collect();
        let (applied, applied_above) = floor(&numbers);
        let (finished, finished_above) = floor(&self.now.finished);
        let not_purged = |(_, outcome): &(&Number, &Outcome)| **outcome != Outcome::Purged;
        let exceptions = self.now.applied.iter().filter(not_purged);
        *self.agent.line() = LineReport {
            base,
            applied,
            applied_above,
            finished,
            finished_above,
            exceptions: exceptions
                .map(|(number, outcome)| (range(*number, *number), *outcome))
                .collect(),
            ..LineReport::new(own_line())
        };
        (self.agent.next(), self.now.clone())
    }

    /// What a tracker that hears this must know from then on.
    fn tell(&mut self, report: &Report, books: &Books, now: i64) {
        let life = report.caches[0].lanes[0].life;
        let Some(told) = &mut self.told else {
            let since = books.applied.keys().map(|number| (*number, now)).collect();
            let (sequence, books) = (report.sequence, books.clone());
            self.told = Some(Told { sequence, life, books, since });
            return;
        };
        if report.sequence <= told.sequence {
            return;
        }
        if told.life != life {
            told.books.applied.retain(|number, _| books.applied.contains_key(number));
            told.books.finished.retain(|number| books.finished.contains(number));
            told.since.retain(|number, _| books.applied.contains_key(number));
        }
        told.books.applied.extend(&books.applied);
        told.books.finished.extend(&books.finished);
        for number in books.applied.keys() {
            told.since.entry(*number).or_insert(now);
        }
        (told.sequence, told.life) = (report.sequence, life);
    }

    /// How the tracker must show it, if the lane owes the number.
    fn expected(
        &self,
        number: Number,
        invalidation: &Invalidation,
    ) -> Option<(ProgressState, CacheProgress)> {
        let told = self.told.as_ref()?;
        let region = &self.agent.report.region;
        let concerned = invalidation.audience.includes(region)
            && (invalidation.site.as_str() == "main" || region.as_str() == "eu");
        let abilities = self.agent.report.caches[0].abilities.as_ref().unwrap();
        let kinds = invalidation.selectors.iter().map(|selector| abilities.of(selector.kind()));
        let held = kinds.clone().any(|ability| ability != Ability::NotHeld);
        if !concerned || !held || number <= self.base {
            return None;
        }
        let unsupported = kinds.clone().any(|ability| ability == Ability::Unsupported);
        let outcome = told.books.applied.get(&number).copied();
        let outcome = outcome.map(|it| if unsupported { it.max(Outcome::Unsupported) } else { it });
        let state = match outcome {
            None => ProgressState::Published,
            Some(Outcome::Refused | Outcome::Unsupported) => ProgressState::Blocked,
            Some(_) if told.books.finished.contains(&number) => ProgressState::Final,
            Some(_) => ProgressState::Applied,
        };
        let shown = CacheProgress {
            agent: self.agent.report.agent.clone(),
            cache: "varnish".parse().unwrap(),
            outcome,
            settled_ms: told
                .since
                .get(&number)
                .map(|since| SignedDuration::from_millis(*since).as_millis_f64()),
            final_ms: None,
            error: None,
        };
        Some((state, shown))
    }
}

fn floor(numbers: &BTreeSet<Number>) -> (Number, Vec<NumberRange>) {
    let floor = (1..=NUMBERS).take_while(|number| numbers.contains(number)).last().unwrap_or(0);
    (floor, numbers.iter().filter(|number| **number > floor).map(|n| range(*n, *n)).collect())
}

fn worst(states: &[ProgressState]) -> ProgressState {
    let order = [
        ProgressState::Blocked,
        ProgressState::Published,
        ProgressState::Applied,
        ProgressState::Final,
    ];
    order.into_iter().find(|state| states.contains(state)).unwrap_or(ProgressState::NoAgents)
}

fn check(bus: &Bus, lanes: &[Lane]) -> Result<(), TestCaseError> {
    for number in 1..=NUMBERS {
        let invalidation = varied(number);
        let progress = bus.progress_of(number, &invalidation);
        let mut overall = Vec::new();
        for region in &progress.regions {
            let here = lanes.iter().filter(|lane| lane.agent.report.region == region.region);
            let (states, caches): (Vec<_>, Vec<_>) =
                here.clone().filter_map(|lane| lane.expected(number, &invalidation)).unzip();
            prop_assert_eq!(region.state, worst(&states), "{} in {}", number, region.region);
            for (shown, expected) in region.caches.iter().zip(&caches) {
                prop_assert_eq!(
                    (shown.outcome, shown.settled_ms),
                    (expected.outcome, expected.settled_ms)
                );
            }
            prop_assert_eq!(region.caches.len(), caches.len());
            overall.extend(states);
            if matches!(region.state, ProgressState::Applied | ProgressState::Final) {
                let owing = here.filter(|lane| lane.expected(number, &invalidation).is_some());
                for lane in owing {
                    prop_assert!(lane.ever.contains(&number), "{} was never purged", number);
                }
            }
        }
        prop_assert_eq!(progress.state, worst(&overall), "{}", number);
        let owing = lanes.iter().filter_map(|lane| lane.expected(number, &invalidation));
        prop_assert_eq!(
            owing.count(),
            progress.regions.iter().map(|region| region.caches.len()).sum::<usize>()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn progress_is_what_delivered_reports_say_and_never_applied_before_it_is(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut bus = Bus::new();
        let mut lanes = lanes();
        let mut made: Vec<(usize, Report, Books)> = Vec::new();
        for number in 1..=NUMBERS {
            bus.tracker.accepted(place(number), &varied(number));
        }
        for step in steps {
            bus.pass(7);
            match step {
                Step::Settle { lane, number, outcome, finished } => {
                    lanes[lane].settle(number, outcome, finished);
                }
                Step::Crash { lane } => lanes[lane].crash(),
                Step::FallBack { lane, above } => lanes[lane].fall_back(above),
                Step::Report { lane } => {
                    let (report, books) = lanes[lane].report();
                    made.push((lane, report, books));
                }
                Step::Deliver { which } if !made.is_empty() => {
                    let (lane, report, books) = which.get(&made);
                    lanes[*lane].tell(report, books, bus.now);
                    bus.tracker.report(report.clone(), at(bus.now));
                }
                Step::Deliver { .. } => {}
            }
            check(&bus, &lanes)?;
        }
        let counted: u64 = bus.tracker.regions(at(bus.now)).iter().map(|row| row.applied.since_start.count).sum();
        prop_assert!(counted <= 2 * NUMBERS, "each number is measured once per region");
    }
}
