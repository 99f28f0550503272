//! Which numbers are new: frames of one number, in order and with neighbours swapped.

use agent::cores::Heard;
use divan::Bencher;
use divan::counter::ItemsCount;
use rangemap::RangeInclusiveSet;
use schemas::{Number, NumberRange};

use crate::given::WINDOW;

/// How the numbers come.
const ORDERS: [&str; 2] = ["in order", "swapped"];

fn numbers(order: &str) -> Vec<Number> {
    let swapped = |number: Number| ((number - 1) ^ 1) + 1;
    (1..=WINDOW).map(|number| if order == "swapped" { swapped(number) } else { number }).collect()
}

#[divan::bench(args = ORDERS)]
fn hear(bencher: Bencher<'_, '_>, order: &str) {
    let numbers = numbers(order);
    bencher.counter(ItemsCount::new(WINDOW)).bench(|| {
        let mut heard = Heard::default();
        let one = |number| NumberRange { first: number, last: number };
        let new: usize = numbers.iter().map(|number| heard.hear(one(*number))).sum();
        assert_eq!(new, numbers.len());
    });
}

#[divan::bench(args = ORDERS)]
fn hear_baseline_set_of_ranges(bencher: Bencher<'_, '_>, order: &str) {
    let numbers = numbers(order);
    bencher.counter(ItemsCount::new(WINDOW)).bench(|| {
        let mut heard = RangeInclusiveSet::new();
        for number in &numbers {
            heard.insert(*number..=*number);
        }
        assert_eq!(heard.len(), 1);
    });
}
