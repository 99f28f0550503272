//! What is wrong with a configuration: every mistake at once, each with its place and its way out.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Keys whose values nobody may see.
const SECRETS: [&str; 2] = ["password", "token"];

/// Whether the value of a key is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
}

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Nowhere in particular: something is missing.
    File,
    /// In the file, both counted from 1.
    At { line: usize, column: usize },
    /// In a variable of the environment.
    Variable(String),
}

/// One step from a table or an array to what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into a table.
    Key(String),
    /// Into an array.
    Item(usize),
}

/// The way from the top of the file to a value: `agent.cache[1].batch.wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field(Vec<Step>);

impl Field {
    /// From the top into one table.
    pub(crate) fn top(key: &str) -> Self {
        Self::default().key(key)
    }

    /// One step further, into a table.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// One step further, into an array.
    pub(crate) fn item(&self, at: usize) -> Self {
        self.step(Step::Item(at))
    }

    /// One step further.
    pub(crate) fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Its steps from the top.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether its value may not be seen.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.0.last(), Some(Step::Key(key)) if is_secret(key))
    }

    /// Whether this is `other` or lies within it.
    pub(crate) fn lies_in(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    pub(super) place: Place,
    pub(super) field: Field,
    /// What is wrong, and what to write instead.
    pub(super) problem: String,
}

/// Every mistake of one configuration, by place. Never empty.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Mistakes {
    pub(super) file: PathBuf,
    pub(super) mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// The same for scripts.
    pub(crate) fn to_json(&self) -> Value {
        let mistakes: Vec<_> = self.mistakes.iter().map(|mistake| mistake.to_json(self)).collect();
        json!({"ok": false, "mistakes": mistakes})
    }
}

impl Mistake {
    fn to_json(&self, all: &Mistakes) -> Value {
        let (field, problem) = (self.field.to_string(), &self.problem);
        let mut object = json!({"field": field, "problem": problem});
        match &self.place {
            Place::File => object["file"] = json!(all.file),
            Place::At { line, column } => {
                object["file"] = json!(all.file);
                object["line"] = json!(line);
                object["column"] = json!(column);
            }
            Place::Variable(name) => object["variable"] = json!(name),
        }
        object
    }
}

impl Mistakes {
    /// One mistake a line, in the form that editors jump to.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |Mistake { place, field, problem }: &Mistake| {
            let file = self.file.display();
            let place = match place {
                Place::File => format!("{file}: "),
                Place::At { line, column } => format!("{file}:{line}:{column}: "),
                Place::Variable(name) => format!("{name}: "),
            };
            let field = if field.steps().is_empty() { String::new() } else { format!("{field}: ") };
            format!("{place}{field}{problem}")
        };
        self.mistakes.iter().map(line).collect()
    }
}

impl fmt::Display for Mistakes {
    /// A line for each, and how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        match self.mistakes.len() {
            1 => f.write_str("1 mistake"),
            count => write!(f, "{count} mistakes"),
        }
    }
}
