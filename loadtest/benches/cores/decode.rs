//! Bytes of the log, to and fro: frames of one invalidation, of a hundred, and of as many as a frame takes.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use schemas::wire::{self, LogDecoder};
use schemas::{LogMessage, Number};
use tests::record;

use crate::given;

const COUNTS: [Number; 3] = [1, 100, 950];
const BARE: bincode::config::Configuration = bincode::config::standard();

/// What one cannot do without to purge a page.
#[derive(bincode::Encode, bincode::Decode)]
struct Bare {
    id: [u8; 16],
    host: String,
    path: String,
}

fn frame(count: Number) -> LogMessage {
    LogMessage::Frame(record::frame(given::line(), 1, count))
}

fn bare(count: Number) -> Vec<Bare> {
    let page = |number| Bare {
        id: [1; 16],
        host: record::HOST.to_owned(),
        path: format!("/page/{number}"),
    };
    (1..=count).map(page).collect()
}

#[divan::bench(args = COUNTS)]
fn encode(bencher: Bencher<'_, '_>, count: Number) {
    let frame = frame(count);
    bencher.counter(ItemsCount::new(count)).bench(|| wire::encode_log(black_box(&frame)).len());
}

#[divan::bench(args = COUNTS)]
fn encode_baseline_bare_struct(bencher: Bencher<'_, '_>, count: Number) {
    let bare = bare(count);
    bencher.counter(ItemsCount::new(count)).bench(|| {
        bincode::encode_to_vec(black_box(&bare), BARE).expect("a vector takes every byte").len()
    });
}

#[divan::bench(args = COUNTS)]
fn decode(bencher: Bencher<'_, '_>, count: Number) {
    let bytes = wire::encode_log(&frame(count));
    let mut decoder = LogDecoder::default();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let message = decoder.decode(black_box(&bytes)).expect("a message");
        let LogMessage::Frame(frame) = message else { panic!("no frame: {message:?}") };
        assert_eq!(black_box(frame).invalidations.len() as Number, count);
    });
}

#[divan::bench(args = COUNTS)]
fn decode_baseline_bare_struct(bencher: Bencher<'_, '_>, count: Number) {
    let bytes = bincode::encode_to_vec(bare(count), BARE).expect("a vector takes every byte");
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let (bare, _): (Vec<Bare>, _) =
            bincode::decode_from_slice(black_box(&bytes), BARE).expect("the same");
        assert_eq!(black_box(bare).len() as Number, count);
    });
}

#[divan::bench(args = COUNTS)]
fn decode_baseline_copy(bencher: Bencher<'_, '_>, count: Number) {
    let bytes = wire::encode_log(&frame(count));
    bencher.counter(ItemsCount::new(count)).bench(|| black_box(black_box(&bytes).to_vec()).len());
}
