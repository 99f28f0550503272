//! `redis-benchmark`, the tool that comes with Redis, as a second baseline.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::raw::Reading;

/// Longest time for one run.
const RUN_WITHIN: Duration = Duration::from_mins(2);

/// Sends `count` times UNLINK, each for one of the keys that `prefix` and twelve digits below `count` make, on one
/// connection, with so many `at_once`.
pub(super) async fn unlink(
    address: SocketAddr,
    prefix: &str,
    count: u64,
    at_once: u64,
) -> anyhow::Result<Reading> {
    let (count_text, at_once) = (count.to_string(), at_once.to_string());
    let key = format!("{prefix}__rand_int__");
    let benchmark = Command::new("redis-benchmark")
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-c", "1", "-n", &count_text, "-r", &count_text, "-P", &at_once, "--csv"])
        .args(["UNLINK", &key])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(RUN_WITHIN, benchmark).await.context("redis-benchmark does not end")?;
    let output = output.context("cannot run redis-benchmark; it comes with Redis")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "redis-benchmark failed: {told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let took = time(&told, count).with_context(|| format!("redis-benchmark told this: {told}"))?;
    Ok(Reading { messages: count, took })
}

/// How long `count` commands took, as the last line of a table in CSV tells by their rate.
fn time(table: &str, count: u64) -> Option<Duration> {
    let rate = table.lines().last()?.split(',').nth(1)?.trim_matches('"');
    let rate: f64 = rate.parse().ok().filter(|rate| *rate > 0.0)?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let seconds = count as f64 / rate;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_told_by_the_rate() {
        let table = "\"test\",\"rps\",\"avg_latency_ms\"\n\"UNLINK a,b\",\"1000.00\",\"0.081\"\n";
        let plain = table.replace("a,b", "a");
        assert_eq!(time(&plain, 500), Some(Duration::from_millis(500)));
        for hostile in ["", "a", "\"a\",\"0\"", "\"a\",\"-1\"", "\"a\",\"NaN\"", table] {
            assert_eq!(time(hostile, 500), None, "{hostile}");
        }
    }
}
