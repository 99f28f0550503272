//! `verify`: what the check of signatures adds to decoding, of single invalidations and of full frames, on one core.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use schemas::wire::{self, LogDecoder, Spot};
use schemas::{FRAME_BYTES_MAX, LineId, LogMessage, SigningKey, Trust};
use serde_json::{Value, json};
use tests::record;
use tokio::time::Instant;

use crate::measure::{Round, Rounds, ratio};
use crate::terms::Terms;
use crate::usage::Cpu;

const HERE: Spot<'_> = Spot { topic: "normal", partition: 0 };
/// Different messages, so that no cache of the processor holds all of them.
const MESSAGES: u64 = 512;

/// Length of a round.
const EACH: Duration = Duration::from_secs(2);
/// Ours and the baseline, of single invalidations and of full frames.
const KINDS: u32 = 4;

/// Signed messages through the check and the decoder of an agent, against the decoder alone.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Rounds of the baseline and of ours, in turn, after one that warms up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

impl Verify {
    pub(crate) async fn run(&self, terms: &Terms) -> anyhow::Result<Value> {
        let (rounds, time) = (self.rounds, terms.each((self.rounds + 1) * KINDS, EACH));
        // One thread: the figures are those of one core.
        tokio::task::spawn_blocking(move || measure(rounds, time)).await?
    }
}

fn measure(rounds: u32, time: Duration) -> anyhow::Result<Value> {
    let key = SigningKey::generate()?;
    let single = Sample::signed(1, &key)?.measure(rounds, time)?;
    let framed = Sample::signed(full_frame(), &key)?.measure(rounds, time)?;
    Ok(json!({
        "scenario": "verify",
        "ours": {"single": single["ours"], "framed": framed["ours"]},
        "baseline": {"single": single["baseline"], "framed": framed["baseline"]},
        "ratio": framed["ratio"],
        "ratio_single": single["ratio"],
        "signature_us": {"single": single["signature_us"], "framed": framed["signature_us"]},
        "sign": {"single": single["sign"], "framed": framed["sign"]},
        "invalidations_of_a_frame": framed["each"],
        "lost": 0,
        "stale_after_final": 0,
        "notes": [
            "rates are invalidations a second on one core: checked and decoded, against decoded",
            "signature_us: what the check adds to a message; sign: messages signed a second",
            "there is no log and no cache in this run, so nothing could be lost or stale",
        ],
    }))
}

/// How many invalidations a publisher packs into one frame.
fn full_frame() -> u64 {
    let bytes = |count| wire::frame_bytes(&record::frame(LineId::from_bytes([1; 16]), 1, count));
    (1..FRAME_BYTES_MAX as u64)
        .take_while(|count| bytes(*count) <= FRAME_BYTES_MAX)
        .last()
        .unwrap_or(1)
}

/// Messages of so many invalidations each.
struct Sample {
    each: u64,
    bare: Vec<Bytes>,
    signed: Vec<Bytes>,
    sign: Value,
    trust: Trust,
}

impl Sample {
    fn signed(each: u64, key: &SigningKey) -> anyhow::Result<Self> {
        let bare: Vec<Bytes> =
            record::frames(LineId::from_bytes([1; 16]), MESSAGES * each, each).collect();
        let (started, before) = (Instant::now(), Cpu::now()?);
        let signed = bare.iter().map(|message| wire::sign(message, HERE, key));
        let signed = signed.collect::<Result<Vec<_>, _>>()?;
        let (took, cpu) = (started.elapsed(), Cpu::now()?.since(&before));
        let mut rounds = Rounds::default();
        rounds.push(Round { count: MESSAGES, took, cpu });
        let trust = Trust::Keys(key.public().to_string().parse()?);
        Ok(Self { each, bare, signed, sign: rounds.document()?, trust })
    }

    fn measure(&self, rounds: u32, time: Duration) -> anyhow::Result<Value> {
        let (mut ours, mut baseline) = (Rounds::default(), Rounds::default());
        for round in 0..=rounds {
            let decoded = read(&self.bare, &Trust::Anyone, time)?;
            let checked = read(&self.signed, &self.trust, time)?;
            if round > 0 {
                baseline.push(decoded);
                ours.push(checked);
            }
        }
        let (fast, slow) = (baseline.median()?, ours.median()?);
        Ok(json!({
            "ours": ours.document()?,
            "baseline": baseline.document()?,
            "ratio": ratio(slow, fast),
            "signature_us": self.microseconds(slow) - self.microseconds(fast),
            "sign": self.sign,
            "each": self.each,
        }))
    }

    /// For one message, at so many invalidations a second.
    fn microseconds(&self, per_second: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let microseconds = 1e6 * self.each as f64 / per_second.max(1) as f64;
        (microseconds * 10.0).round() / 10.0
    }
}

/// As an agent reads: nothing is decoded that is not believed.
fn read(messages: &[Bytes], trust: &Trust, time: Duration) -> anyhow::Result<Round> {
    let mut decoder = LogDecoder::default();
    let (started, before) = (Instant::now(), Cpu::now()?);
    let mut count = 0;
    for message in messages.iter().cycle() {
        wire::verify(message, HERE, trust).context("a message that was signed here")?;
        let LogMessage::Frame(frame) = black_box(decoder.decode(message)?) else {
            anyhow::bail!("no frame")
        };
        count += frame.invalidations.len() as u64;
        if started.elapsed() >= time {
            break;
        }
    }
    Ok(Round { count, took: started.elapsed(), cpu: Cpu::now()?.since(&before) })
}
