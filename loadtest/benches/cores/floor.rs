//! Up to where all is settled: one number at a time, in order and as a window of them may end at worst.

use agent::cores::Settled;
use divan::Bencher;
use divan::counter::ItemsCount;
use rangemap::RangeInclusiveSet;
use schemas::{Number, NumberRange};

use crate::given::WINDOW;

/// How the numbers come.
const ORDERS: [&str; 2] = ["in order", "at random"];

fn numbers(order: &str) -> Vec<Number> {
    let mut numbers: Vec<Number> = (1..=WINDOW).collect();
    if order == "at random" {
        fastrand::Rng::with_seed(1).shuffle(&mut numbers);
    }
    numbers
}

#[divan::bench(args = ORDERS)]
fn floor(bencher: Bencher<'_, '_>, order: &str) {
    let numbers = numbers(order);
    bencher.counter(ItemsCount::new(WINDOW)).bench(|| {
        let mut settled = Settled::default();
        let one = |number| NumberRange { first: number, last: number };
        let floor = numbers.iter().map(|number| settled.settle(one(*number))).max();
        assert_eq!(floor, Some(WINDOW));
    });
}

#[divan::bench(args = ORDERS)]
fn floor_baseline_set_of_ranges(bencher: Bencher<'_, '_>, order: &str) {
    let numbers = numbers(order);
    bencher.counter(ItemsCount::new(WINDOW)).bench(|| {
        let mut settled = RangeInclusiveSet::new();
        for number in &numbers {
            settled.insert(*number..=*number);
        }
        assert_eq!(settled.first(), Some(&(1..=WINDOW)));
    });
}
