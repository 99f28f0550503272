//! From the body of a request to an invalidation that the journal takes.

use std::collections::BTreeSet;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use publisher::fuzzing;
use schemas::Region;
use serde_json::{Value, json};
use tests::record;

const COUNTS: [usize; 3] = [1, 100, 1_000];

fn body(count: usize) -> Vec<u8> {
    let page = |number| format!("https://{}/page/{number}", record::HOST);
    let body = json!({"site": "main", "urls": (1..=count).map(page).collect::<Vec<_>>()});
    body.to_string().into_bytes()
}

#[divan::bench(args = COUNTS)]
fn request(bencher: Bencher<'_, '_>, count: usize) {
    let (body, sites) = (body(count), record::sites());
    let regions: BTreeSet<Region> = ["local".parse().expect("a name")].into();
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let read = fuzzing::request(black_box(&body), None, &sites, &regions).expect("json");
        assert_eq!(read.expect("no mistake").selectors.len(), count);
    });
}

#[divan::bench(args = COUNTS)]
fn request_baseline_json(bencher: Bencher<'_, '_>, count: usize) {
    let body = body(count);
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let read: Value = serde_json::from_slice(black_box(&body)).expect("json");
        assert_eq!(read["urls"].as_array().map(Vec::len), Some(count));
    });
}
