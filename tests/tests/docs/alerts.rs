//! The alerts of the docs are those that we ship, and ask for metrics and labels that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tests::book::{Page, project};

/// What Prometheus adds to the names of a histogram.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// When an alert is raised: its expression, and for how long that must be so.
type When = (String, String);

fn shipped() -> BTreeMap<String, When> {
    let file = project().join("deploy/prometheus/purgebus.rules.yml");
    let text = fs::read_to_string(file).expect("it is shipped");
    let rules = text.split("- alert: ").skip(1).map(|rule| {
        let field = |name: &str| {
            let value = rule.lines().find_map(|line| line.trim().strip_prefix(name));
            value.unwrap_or_default().trim().to_owned()
        };
        let name = rule.lines().next().expect("a name").trim().to_owned();
        (name, (field("expr:"), field("for:")))
    });
    rules.collect()
}

#[test]
fn the_alerts_of_the_docs_are_those_shipped() {
    let rows = Page::read(Path::new("docs/operations.md")).rows_under("Alerts").into_iter();
    let told: BTreeMap<_, _> =
        rows.map(|row| (row[0].clone(), (row[1].clone(), row[2].clone()))).collect();
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(told, shipped());
}

#[test]
fn alerts_ask_for_metrics_and_labels_that_there_are() {
    let documented = labels_by_metric();
    for (alert, (expression, _)) in shipped() {
        let mut asked = 0;
        for (name, labels) in asked_for(&expression) {
            let bare = OF_HISTOGRAMS.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let known = documented.get(bare).or_else(|| documented.get(name));
            let known = known.unwrap_or_else(|| panic!("{alert}: there is no {name}"));
            assert!(labels.is_subset(known), "{alert}: {name} has {known:?}, not {labels:?}");
            asked += 1;
        }
        assert!(asked == 1 || expression.starts_with("up{"), "{alert} asks for one: {expression}");
    }
}

/// The metrics of the docs, with their labels.
fn labels_by_metric() -> BTreeMap<String, BTreeSet<String>> {
    let rows = Page::read(Path::new("docs/operations.md")).rows_under("Metrics").into_iter();
    let split = |row: Vec<String>| {
        let (name, labels) = row[0].split_once('{').unwrap_or((&row[0], ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (name.to_owned(), labels.map(str::to_owned).collect())
    };
    rows.map(split).collect()
}

/// Each of our metrics in an expression, with the labels by which it is chosen.
fn asked_for(expression: &str) -> Vec<(&str, BTreeSet<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = expression.match_indices("purgebus_").map(|(at, _)| {
        let rest = &expression[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let chosen = after.strip_prefix('{').and_then(|after| after.split('}').next());
        let labels = chosen.unwrap_or_default().split(',').filter(|label| !label.is_empty());
        let names = labels.map(|label| label.split(['=', '!']).next().unwrap_or_default());
        (name, names.map(str::to_owned).collect())
    });
    found.collect()
}
