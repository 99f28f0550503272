//! The demo's picture: regions and their caches, drawn again a few times a second, on a terminal only.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use crate::oracle::Reads;
use daemon::{BoxError, Stop};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use publisher::PublisherHandle;
use schemas::api::RegionSummary;
use tokio::time::interval;

use super::editor::Changes;
use super::region::Place;
use super::stage::{NAIVE, Stage};
use crate::output::milliseconds;

/// Time between two pictures.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Cells of the longest bar.
const BAR_CELLS: usize = 24;

/// Draws the bus at work until stopped.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) stage: Arc<Stage>,
    pub(crate) publisher: PublisherHandle,
    pub(crate) changes: Arc<Changes>,
    /// What is read, the naive edge last.
    pub(crate) places: Vec<Place>,
    pub(crate) lasts: Duration,
}

impl Screen {
    /// Draws on stderr, if that is a terminal.
    pub(crate) async fn run(self, stop: Stop) -> Result<(), BoxError> {
        if !stderr().is_terminal() {
            return Ok(());
        }
        let lines = MultiProgress::new();
        let clock = lines.add(ProgressBar::new(1));
        clock.set_style(ProgressStyle::with_template("{bar:40.cyan/dim} {msg}")?);
        let picture = lines.add(ProgressBar::new_spinner());
        picture.set_style(ProgressStyle::with_template("{msg}")?);
        let mut ticks = interval(DRAW_EVERY);
        while !stop.is_requested() {
            tokio::select! {
                () = stop.requested() => {}
                _ = ticks.tick() => {
                    clock.set_length(u64::try_from(self.lasts.as_millis())?);
                    clock.set_position(u64::try_from(self.stage.now().as_millis())?);
                    clock.set_message(self.headline());
                    picture.set_message(self.picture());
                }
            }
        }
        lines.clear()?;
        Ok(())
    }

    fn headline(&self) -> String {
        let (published, finished) = self.changes.counts();
        format!("{published} changes published, {finished} final everywhere")
    }

    fn picture(&self) -> String {
        let regions = self.publisher.regions();
        let slowest = regions.iter().map(|region| region.applied.since_start.p99_ms);
        let slowest = slowest.fold(1.0, f64::max);
        let mut picture = String::new();
        for region in &regions {
            let _infallible = writeln!(picture, "{}", speed(region, slowest));
            for place in &self.places {
                if place.region == region.region.as_str() {
                    let _infallible = writeln!(picture, "  {}", self.reads(place));
                }
            }
        }
        for place in self.places.iter().filter(|place| place.region == NAIVE) {
            let _infallible = write!(
                picture,
                "{NAIVE:<10} purged once by hand, no later pass\n  {}",
                self.reads(place)
            );
        }
        picture
    }

    fn reads(&self, place: &Place) -> String {
        let reads = self.stage.reads(&place.name());
        let Reads { checked, late, stale } = reads;
        format!("{:<8} {checked:>7} reads  {late:>4} late  {stale:>4} stale", place.cache)
    }
}

fn speed(region: &RegionSummary, slowest: f64) -> String {
    let applied = region.applied.since_start;
    format!(
        "{:<10} applied p50 {:>8} p99 {:>8} {}",
        region.region.as_str(),
        milliseconds(applied.p50_ms),
        milliseconds(applied.p99_ms),
        bar(applied.p50_ms, applied.p99_ms, slowest),
    )
}

/// Solid up to the median, light up to the 99th percentile.
fn bar(p50: f64, p99: f64, slowest: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let cells = |ms: f64| ((ms / slowest) * BAR_CELLS as f64).ceil().max(0.0) as usize;
    let solid = cells(p50).min(BAR_CELLS);
    let light = cells(p99).min(BAR_CELLS).saturating_sub(solid);
    format!("{}{}", "█".repeat(solid), "░".repeat(light))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_solid_to_the_median_and_light_to_the_99th_percentile() {
        assert_eq!(bar(5.0, 10.0, 10.0), format!("{}{}", "█".repeat(12), "░".repeat(12)));
        assert_eq!(bar(0.0, 0.0, 10.0), "");
    }
}
