//! From selectors that come to batches that go: a window of them waits at once.

use std::collections::HashMap;

use agent::cores::Waiting;
use agent::driver::Purge;
use divan::Bencher;
use divan::counter::ItemsCount;
use schemas::{Number, Place, Selector};
use tests::record;

use crate::given::{self, BATCH, WINDOW};

/// What comes: another page each time; each page ten times; a hundred pages below each prefix, and then the prefix.
const KINDS: [&str; 3] = ["distinct", "repeated", "covered"];

fn purges(kind: &str) -> Vec<Purge> {
    let selector = |number: Number| match kind {
        "repeated" => record::page(number / 10),
        "covered" if number.is_multiple_of(100) => Selector::Prefix {
            host: record::HOST.parse().expect("a host"),
            path: format!("/part/{}/", number / 100).parse().expect("a path"),
        },
        "covered" => below(number),
        _ => record::page(number),
    };
    (1..=WINDOW).map(|number| given::purge(selector(number))).collect()
}

/// A page below the prefix that comes after it.
fn below(number: Number) -> Selector {
    let Selector::Url { scheme, host, query, .. } = record::page(number) else {
        unreachable!("a page is a URL")
    };
    let path = format!("/part/{}/{number}", number / 100 + 1).parse().expect("a path");
    Selector::Url { scheme, host, path, query }
}

#[divan::bench(args = KINDS)]
fn coalesce(bencher: Bencher<'_, '_>, kind: &str) {
    let purges = purges(kind);
    let expected = match kind {
        "repeated" => WINDOW / 10 + 1,
        "covered" => WINDOW / 100,
        _ => WINDOW,
    };
    bencher.counter(ItemsCount::new(WINDOW)).with_inputs(|| purges.clone()).bench_values(
        |purges| {
            let mut waiting = Waiting::default();
            for (number, purge) in (1..).zip(purges) {
                waiting.add(purge, Place { line: given::line(), number });
            }
            let batches = std::iter::repeat_with(|| waiting.take(BATCH).purges.len());
            let taken: usize = batches.take_while(|taken| *taken > 0).sum();
            assert_eq!(taken as Number, expected);
        },
    );
}

#[divan::bench(args = KINDS)]
fn coalesce_baseline_map(bencher: Bencher<'_, '_>, kind: &str) {
    let purges = purges(kind);
    bencher.counter(ItemsCount::new(WINDOW)).with_inputs(|| purges.clone()).bench_values(
        |purges| {
            let mut waiting: HashMap<Purge, Vec<Number>> = HashMap::new();
            for (number, purge) in (1..).zip(purges) {
                waiting.entry(purge).or_default().push(number);
            }
            assert_eq!(
                waiting.drain().map(|(_, numbers)| numbers.len()).sum::<usize>() as Number,
                WINDOW
            );
        },
    );
}
