//! A drawing of a document: latencies by percentile, and what was measured by round.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

/// Of each panel.
const SIZE: (u32, u32) = (900, 420);
const MARGIN: i32 = 16;
const BELOW: i32 = 48;
const BESIDE: i32 = 88;
const FONT: (&str, i32) = ("sans-serif", 18);
const SMALL: (&str, i32) = ("sans-serif", 14);
/// One more nine is one more step to the right.
const NINES_MAX: f64 = 4.0;
/// Most steps to the right that are named.
const STEPS_MAX: u32 = 20;
/// Colours that everybody tells apart: Okabe and Ito, <https://jfly.uni-koeln.de/color/>.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A line of a drawing.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What goes to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    /// How many of all are no later.
    Percentiles,
    /// One round after the other.
    Rounds,
}

/// Draws what `figures` hold of both kinds into an SVG file.
///
/// # Errors
/// When there is nothing to draw, or the file cannot be written.
pub(crate) fn draw(figures: &Value, file: &Path) -> anyhow::Result<()> {
    let scenario = figures["scenario"].as_str().unwrap_or_default();
    let curves = lines(figures, "by_percentile_us", curve);
    let rounds = lines(figures, "_by_round", by_round);
    let parts = [(Along::Percentiles, curves), (Along::Rounds, rounds)];
    let drawn: Vec<_> = parts.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
    let count = Some(drawn.len()).filter(|count| *count > 0).context("nothing to draw")?;
    let (width, height) = (SIZE.0, SIZE.1 * u32::try_from(count)?);
    let whole = SVGBackend::new(file, (width, height)).into_drawing_area();
    let area = || -> Result<(), Box<dyn std::error::Error>> {
        whole.fill(&WHITE)?;
        for (part, (along, lines)) in whole.split_evenly((count, 1)).iter().zip(&drawn) {
            panel(part, scenario, *along, lines)?;
        }
        Ok(whole.present()?)
    };
    area().map_err(|error| anyhow!("{}: {error}", file.display()))
}

/// Every series whose name ends so, anywhere in the figures, by where it stands and what else its name says.
fn lines(figures: &Value, end: &str, points: fn(&Value) -> Vec<(f64, f64)>) -> Vec<Line> {
    let (mut found, mut waiting) = (Vec::new(), vec![(String::new(), figures)]);
    while let Some((place, value)) = waiting.pop() {
        for (name, value) in value.as_object().into_iter().flatten() {
            let gap = if place.is_empty() { "" } else { " " };
            let place = format!("{place}{gap}{}", name.replace('_', " "));
            if name.ends_with(end) {
                let name = place.trim_end_matches(&end.replace('_', " ")).trim_end().to_owned();
                found.push(Line { name, points: points(value) });
            } else {
                waiting.push((place, value));
            }
        }
    }
    found.retain(|line| !line.points.is_empty());
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// So many nines, and milliseconds.
fn curve(value: &Value) -> Vec<(f64, f64)> {
    let points = value.as_array().into_iter().flatten();
    let pairs = points.filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?)));
    pairs.map(|(percent, us)| (nines(percent), us / 1e3)).collect()
}

fn by_round(value: &Value) -> Vec<(f64, f64)> {
    let figures = value.as_array().into_iter().flatten().filter_map(Value::as_f64);
    (1_u32..).map(f64::from).zip(figures).collect()
}

fn nines(percent: f64) -> f64 {
    (-(1.0 - percent / 100.0).max(f64::MIN_POSITIVE).log10()).min(NINES_MAX)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    scenario: &str,
    along: Along,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |figures: &mut dyn Iterator<Item = f64>| figures.fold(f64::MIN_POSITIVE, f64::max);
    let (right, top) = (most(&mut points().map(|at| at.0)), most(&mut points().map(|at| at.1)));
    let (title, below, beside) = match along {
        Along::Percentiles => (format!("{scenario}: latency"), "no later than that", "ms"),
        Along::Rounds => (format!("{scenario}: each round"), "round", ""),
    };
    let steps = (0..=STEPS_MAX).take_while(|step| f64::from(*step) <= right).count();
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, FONT)
        .x_label_area_size(BELOW)
        .y_label_area_size(BESIDE)
        .build_cartesian_2d(0.0..right * 1.02, 0.0..top * 1.05)?;
    let step = |at: &f64| match along {
        Along::Percentiles => percent(*at),
        Along::Rounds => format!("{at:.0}"),
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(SMALL)
        .x_labels(steps)
        .x_desc(below)
        .y_desc(beside)
        .x_label_formatter(&step)
        .y_label_formatter(&|at| thousands(*at))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let style = colour.stroke_width(2);
        let series = LineSeries::new(line.points.iter().copied(), style).point_size(3);
        let drawn = chart.draw_series(series)?.label(line.name.clone());
        drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    // Latencies rise to the right, and rates are far from nothing: there is room below.
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(SMALL)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

fn percent(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
    format!("{percent:.4}").trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
}

/// A figure as humans read it: without decimals where there are thousands, which stand apart.
fn thousands(figure: f64) -> String {
    if figure < 1_000.0 {
        return format!("{figure:.1}").trim_end_matches(".0").to_owned();
    }
    let digits = format!("{figure:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures() -> Value {
        json!({
            "scenario": "idle",
            "ours": {"by_percentile_us": [[50.0, 2_000], [99.0, 5_000]], "per_second_by_round": [7, 9]},
            "baseline": {"by_percentile_us": []},
        })
    }

    #[test]
    fn a_line_is_named_for_where_its_figures_stand() {
        let curves = lines(&figures(), "by_percentile_us", curve);
        assert_eq!(curves.len(), 1, "what is empty is not drawn");
        assert_eq!((curves[0].name.as_str(), curves[0].points[1].1), ("ours", 5.0));
        let rounds = lines(&figures(), "_by_round", by_round);
        let name = "ours per second".to_owned();
        assert_eq!(rounds, [Line { name, points: vec![(1.0, 7.0), (2.0, 9.0)] }]);
    }

    #[test]
    fn each_nine_is_a_step() {
        for (percent_of, steps) in [(90.0, 1.0), (99.0, 2.0), (99.9, 3.0), (100.0, NINES_MAX)] {
            assert!((nines(percent_of) - steps).abs() < 1e-6, "{percent_of}");
        }
        assert_eq!(
            (percent(0.0), percent(2.0), percent(4.0)),
            ("0 %".into(), "99 %".into(), "99.99 %".into())
        );
    }

    #[test]
    fn a_figure_is_as_long_as_it_is_read() {
        let read = [0.0, 0.5, 12.0, 999.9, 1_000.0, 64_800.0, 1_234_567.0].map(thousands);
        assert_eq!(read, ["0", "0.5", "12", "999.9", "1,000", "64,800", "1,234,567"]);
    }

    #[test]
    fn a_drawing_holds_its_lines_and_nothing_to_draw_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("idle.svg");
        draw(&figures(), &file).expect("a drawing");
        let drawn = std::fs::read_to_string(&file).expect("a file");
        assert!(drawn.starts_with("<svg") && drawn.matches("polyline").count() >= 2, "{drawn}");
        assert!(draw(&json!({"scenario": "none"}), &file).is_err());
    }
}
