//! The document that every scenario ends in: one shape for all of them, as a table for people and as JSON.

use anyhow::{Context as _, ensure};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use crate::usage::Spent;

/// A field, and what is right for it.
type Field = (&'static str, fn(&Value) -> bool);

/// What stands in each.
const FIELDS: [Field; 7] = [
    ("scenario", Value::is_string),
    ("ours", Value::is_object),
    ("baseline", Value::is_object),
    ("ratio", Value::is_number),
    ("lost", Value::is_u64),
    ("stale_after_final", Value::is_u64),
    ("notes", Value::is_array),
];

/// The figures of one run.
#[derive(Debug)]
pub(crate) struct Document(Value);

impl Document {
    /// Of these figures, and of the memory and the CPU time that the run's processes had.
    ///
    /// # Errors
    /// When something that belongs to every document is not there.
    pub(crate) fn new(mut figures: Value, spent: &Spent) -> anyhow::Result<Self> {
        for (field, is_right) in FIELDS {
            let value = figures.get(field).with_context(|| format!("figures without {field}"))?;
            ensure!(is_right(value), "{field} must not be {value}");
        }
        figures["peak_rss_bytes"] = json!(spent.peaks());
        figures["cpu_seconds"] = json!(spent.seconds());
        Ok(Self(figures))
    }

    /// Its figures.
    pub(crate) fn figures(&self) -> &Value {
        &self.0
    }

    /// Whether everything arrived, and nobody got anything old after it was said to be final.
    pub(crate) fn is_sound(&self) -> bool {
        self.0["lost"] == 0 && self.0["stale_after_final"] == 0
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([self.0["scenario"].as_str().unwrap_or_default(), "ours", "baseline"]);
        let (mut ours, mut baseline) = (Rows::default(), Rows::default());
        ours.add("", &self.0["ours"]);
        baseline.add("", &self.0["baseline"]);
        for (name, value) in &ours.0 {
            table.add_row([name.as_str(), value, baseline.find(name).unwrap_or("")]);
        }
        for (name, value) in baseline.0.iter().filter(|(name, _)| ours.find(name).is_none()) {
            table.add_row([name.as_str(), "", value]);
        }
        let mut rest = Rows::default();
        for (name, value) in self.0.as_object().into_iter().flatten() {
            if !["scenario", "ours", "baseline", "notes"].contains(&name.as_str()) {
                rest.add(name, value);
            }
        }
        for (name, value) in &rest.0 {
            table.add_row([name.as_str(), value, ""]);
        }
        let notes = self.0["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let notes: Vec<_> = notes.map(|note| format!("* {note}\n")).collect();
        format!("{}\n\n{}", table.trim_fmt(), notes.concat())
    }
}

/// Names and figures, one a line.
#[derive(Debug, Default)]
struct Rows(Vec<(String, String)>);

impl Rows {
    fn add(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let dot = if name.is_empty() { "" } else { "." };
                    self.add(&format!("{name}{dot}{field}"), value);
                }
            }
            // Curves are for drawings.
            Value::Array(_) => {}
            Value::String(text) => self.0.push((name.to_owned(), text.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.0.push((name.to_owned(), value.to_string()));
            }
        }
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Value {
        json!({
            "scenario": "idle", "ours": {"p50_us": 7, "cpu": {"a": 1}}, "baseline": {"p50_us": 3, "p99_us": 5},
            "ratio": 2.33, "lost": 0, "stale_after_final": 0, "notes": ["why"],
        })
    }

    #[test]
    fn every_field_must_be_there_and_be_what_it_is() {
        assert!(Document::new(figures(), &Spent::default()).expect("whole").is_sound());
        for (field, _) in FIELDS {
            let mut without = figures();
            without.as_object_mut().expect("an object").remove(field);
            assert!(Document::new(without, &Spent::default()).is_err(), "{field}");
            let mut wrong = figures();
            wrong[field] = Value::Null;
            assert!(Document::new(wrong, &Spent::default()).is_err(), "{field}");
        }
    }

    #[test]
    fn what_is_lost_or_stale_is_not_sound() {
        for field in ["lost", "stale_after_final"] {
            let mut bad = figures();
            bad[field] = json!(1);
            assert!(!Document::new(bad, &Spent::default()).expect("whole").is_sound());
        }
    }

    #[test]
    fn ours_and_baseline_stand_side_by_side() {
        let table = Document::new(figures(), &Spent::default()).expect("whole").table();
        let row = |name: &str| {
            let row = table.lines().find(|row| row.split_whitespace().next() == Some(name));
            row.map(|row| row.split_whitespace().skip(1).collect::<Vec<_>>())
        };
        assert_eq!(row("p50_us"), Some(vec!["7", "3"]));
        assert_eq!((row("cpu.a"), row("p99_us")), (Some(vec!["1"]), Some(vec!["5"])));
        assert!(table.contains("* why"), "{table}");
    }
}
