//! A drawing of a document: latencies by percentile, and what was measured by round.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

/// Of each panel.
const SIZE: (u32, u32) = (900, 420);
const MARGIN: i32 = 16;
const LABELS: i32 = 64;
const FONT: (&str, i32) = ("sans-serif", 18);
/// One more nine is one more step to the right.
const NINES_MAX: f64 = 4.0;

/// A line of a drawing.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws what `figures` hold of both kinds into an SVG file.
///
/// # Errors
/// When there is nothing to draw, or the file cannot be written.
pub(crate) fn draw(figures: &Value, file: &Path) -> anyhow::Result<()> {
    let title = figures["scenario"].as_str().unwrap_or_default();
    let curves = lines(figures, |name| name == "by_percentile_us", curve);
    let rounds = lines(figures, |name| name.ends_with("_by_round"), by_round);
    let parts = [
        (format!("{title}: latency in ms, by percentile"), curves),
        (format!("{title}: by round"), rounds),
    ];
    let drawn: Vec<_> = parts.into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
    let count = Some(drawn.len()).filter(|count| *count > 0).context("nothing to draw")?;
    let (width, height) = (SIZE.0, SIZE.1 * u32::try_from(count)?);
    let whole = SVGBackend::new(file, (width, height)).into_drawing_area();
    let area = || -> Result<(), Box<dyn std::error::Error>> {
        whole.fill(&WHITE)?;
        for (part, (title, lines)) in whole.split_evenly((count, 1)).iter().zip(&drawn) {
            panel(part, title, lines)?;
        }
        Ok(whole.present()?)
    };
    area().map_err(|error| anyhow!("{}: {error}", file.display()))
}

/// Every series that `is_one` names, anywhere in the figures, by where it stands.
fn lines(
    figures: &Value,
    is_one: impl Fn(&str) -> bool,
    points: fn(&Value) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let (mut found, mut waiting) = (Vec::new(), vec![(String::new(), figures)]);
    while let Some((place, value)) = waiting.pop() {
        for (name, value) in value.as_object().into_iter().flatten() {
            let dot = if place.is_empty() { "" } else { "." };
            let place = format!("{place}{dot}{name}");
            if is_one(name) {
                let name = place.trim_end_matches(".by_percentile_us").to_owned();
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
    title: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |figures: &mut dyn Iterator<Item = f64>| figures.fold(f64::MIN_POSITIVE, f64::max);
    let (right, top) = (most(&mut points().map(|at| at.0)), most(&mut points().map(|at| at.1)));
    let latency = title.ends_with("percentile");
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, FONT)
        .set_all_label_area_size(LABELS)
        .build_cartesian_2d(0.0..right * 1.01, 0.0..top * 1.05)?;
    let label = |at: &f64| if latency { percent(*at) } else { format!("{at:.0}") };
    chart.configure_mesh().x_label_formatter(&label).draw()?;
    for (at, line) in lines.iter().enumerate() {
        let style = Palette99::pick(at).stroke_width(2);
        let series = LineSeries::new(line.points.iter().copied(), style);
        let drawn = chart.draw_series(series)?.label(line.name.clone());
        drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    Ok(())
}

fn percent(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
    format!("{percent:.4}").trim_end_matches('0').trim_end_matches('.').to_owned() + " %"
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
        let curves = lines(&figures(), |name| name == "by_percentile_us", curve);
        assert_eq!(curves.len(), 1, "what is empty is not drawn");
        assert_eq!((curves[0].name.as_str(), curves[0].points[1].1), ("ours", 5.0));
        let rounds = lines(&figures(), |name| name.ends_with("_by_round"), by_round);
        let name = "ours.per_second_by_round".to_owned();
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
    fn a_drawing_holds_its_lines_and_nothing_to_draw_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("idle.svg");
        draw(&figures(), &file).expect("a drawing");
        let drawn = std::fs::read_to_string(&file).expect("a file");
        assert!(drawn.starts_with("<svg") && drawn.matches("polyline").count() >= 2, "{drawn}");
        assert!(draw(&json!({"scenario": "none"}), &file).is_err());
    }
}
