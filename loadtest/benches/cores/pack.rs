//! Keys into requests for a Varnish with our VCL.

use std::hint::black_box;

use agent::cores::varnish;
use divan::Bencher;
use divan::counter::ItemsCount;
use schemas::Number;
use tests::record;

use crate::given;

const COUNTS: [Number; 2] = [100, 1_000];

#[divan::bench(args = COUNTS)]
fn pack(bencher: Bencher<'_, '_>, count: Number) {
    let (sites, batch) = (record::sites(), given::batch(count));
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let requests = varnish::requests(&sites, black_box(&batch)).expect("pages are keys");
        assert!((1..=count).contains(&(requests as Number)));
    });
}

#[divan::bench(args = COUNTS)]
fn pack_baseline_join(bencher: Bencher<'_, '_>, count: Number) {
    let keys: Vec<_> =
        (1..=count).map(|number| format!("u:{}/page/{number}", record::HOST)).collect();
    bencher.counter(ItemsCount::new(count)).bench(|| black_box(&keys).join(" ").len());
}
