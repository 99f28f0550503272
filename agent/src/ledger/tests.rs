//! The books against a plain account of the same events.

use proptest::prelude::*;
use schemas::Number;

use super::*;
use crate::stretch::Stretches;

const LINES: u64 = 2;

#[derive(Debug, Clone)]
enum Event {
    /// The next number of a line, after passing over so many, with so many selectors; later by a second or not.
    Heard {
        line: u64,
        skipped: u64,
        selectors: u32,
        later: bool,
    },
    Settled(usize),
    Finished(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let heard = (0..LINES, 0u64..3, 1u32..3, any::<bool>());
    prop_oneof![
        heard.prop_map(|(line, skipped, selectors, later)| {
            Event::Heard { line, skipped, selectors, later }
        }),
        any::<usize>().prop_map(Event::Settled),
        any::<usize>().prop_map(Event::Finished),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Open {
    unsettled: u32,
    unfinished: u32,
    heard: Moment,
}

fn place(line: u64, number: Number) -> Place {
    let line = LineId::from_bytes([u8::try_from(line).expect("few lines"); 16]);
    Place { line, number }
}

/// Each line has a partition of its own, and two numbers share a message.
fn located(line: u64, number: Number) -> Located {
    let time = Timestamp::from_second(i64::try_from(number / 2).expect("small")).expect("a time");
    let partition = Partition(u32::try_from(line).expect("few lines"));
    Located { partition, position: Position(number / 2), time }
}

fn chosen(open: &BTreeMap<(u64, Number), Open>, at: usize) -> Option<(u64, Number)> {
    open.keys().nth(at.checked_rem(open.len())?).copied()
}

proptest! {
    #[test]
    fn what_is_open_is_what_was_heard_and_has_not_ended(
        events in prop::collection::vec(event(), 1..200)
    ) {
        let mut ledger = Ledger::default();
        let mut open: BTreeMap<(u64, Number), Open> = BTreeMap::new();
        let (mut heads, mut over, mut now) = ([0; 2], Vec::new(), Moment::ZERO);
        for line in 0..LINES {
            ledger.lines.insert(place(line, 0).line, Line::from_base(0));
        }
        for event in events {
            match event {
                Event::Heard { line, skipped, selectors, later } => {
                    let head = &mut heads[usize::try_from(line).expect("few lines")];
                    *head += 1 + skipped;
                    now += Duration::from_secs(later.into());
                    ledger.read(located(line, *head));
                    ledger.open(place(line, *head), selectors, located(line, *head), now);
                    let account = Open { unsettled: selectors, unfinished: selectors, heard: now };
                    open.insert((line, *head), account);
                }
                Event::Settled(at) => {
                    let Some((line, number)) = chosen(&open, at) else { continue };
                    let account = open.get_mut(&(line, number)).expect("it is open");
                    let settles = account.unsettled == 1;
                    account.unsettled = account.unsettled.saturating_sub(1);
                    prop_assert_eq!(ledger.settle(place(line, number), Outcome::Purged), settles);
                }
                Event::Finished(at) => {
                    let Some((line, number)) = chosen(&open, at) else { continue };
                    let account = open.get_mut(&(line, number)).expect("it is open");
                    account.unfinished = account.unfinished.saturating_sub(1);
                    if account.unfinished + account.unsettled == 0 {
                        open.remove(&(line, number));
                        over.push((line, number));
                    }
                    ledger.finish(place(line, number));
                }
            }
            let unsettled: Vec<_> = open.values().filter(|open| open.unsettled > 0).collect();
            prop_assert_eq!(ledger.unsettled(), unsettled.len());
            prop_assert_eq!(ledger.oldest_unsettled(), unsettled.iter().map(|open| open.heard).min());
            for hint in ledger.hints(&Stretches::new(Vec::new())) {
                let line = u64::from(hint.partition);
                let next = heads[usize::try_from(line).expect("few lines")] / 2 + 1;
                let lowest = open.range((line, 0)..(line + 1, 0)).next();
                let position = lowest.map_or(next, |((_, number), _)| number / 2);
                prop_assert_eq!(hint.position, position);
            }
            for (line, number) in open.keys() {
                prop_assert!(!ledger.lines[&place(*line, 0).line].finished.has(*number));
            }
            for (line, number) in &over {
                prop_assert!(ledger.lines[&place(*line, 0).line].finished.has(*number));
            }
        }
    }
}
