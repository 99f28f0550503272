//! All that a lane does with a number but to decode it and to wait for its cache: hear, coalesce, settle.

use agent::cores::Lane;
use divan::Bencher;
use divan::counter::ItemsCount;
use schemas::Number;
use tests::record;

use crate::given;

#[divan::bench(args = [1, 100, 950])]
fn lane(bencher: Bencher<'_, '_>, count: Number) {
    let mut lane = Lane::new(record::sites());
    let first = std::cell::Cell::new(1);
    let frame = || record::frame(given::line(), first.replace(first.get() + count), count);
    bencher.counter(ItemsCount::new(count)).with_inputs(frame).bench_local_values(|frame| {
        assert_eq!(lane.pass(frame) as Number, count);
    });
}
