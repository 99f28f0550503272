//! Query parameters: each known, each once.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use schemas::api::Mistake;

use crate::problem::{Kind, Refused};

/// The query parameters of a request, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Parameters {
    given: Vec<(String, String)>,
    mistakes: Vec<Mistake>,
}

impl Parameters {
    /// Reads those of `uri`; any but `known` is a mistake.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Self {
        let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            let mistake = Mistake { pointer: "?".to_owned(), detail: "cannot be read".to_owned() };
            return Self { given: Vec::new(), mistakes: vec![mistake] };
        };
        let mut parameters = Self { given: Vec::new(), mistakes: Vec::new() };
        for (name, value) in given {
            if !known.contains(&name.as_str()) {
                let there_are = match known {
                    [] => "there are none".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                parameters.mistake(&name, format!("is not a parameter here; {there_are}"));
            } else if parameters.given.iter().any(|(earlier, _)| *earlier == name) {
                parameters.mistake(&name, "is given twice; give it once");
            } else {
                parameters.given.push((name, value));
            }
        }
        parameters
    }

    /// A parameter's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter's value; `fix` says what it may be.
    pub(super) fn value<T: FromStr>(&mut self, name: &str, fix: &str) -> Option<T> {
        let text = self.text(name)?.to_owned();
        let value = text.parse().ok();
        if value.is_none() {
            self.mistake(name, format!("cannot be read; {fix}"));
        }
        value
    }

    /// Something is wrong with a parameter.
    pub(super) fn mistake(&mut self, name: &str, detail: impl Into<String>) {
        self.mistakes.push(Mistake { pointer: format!("?{name}"), detail: detail.into() });
    }

    /// To be called when all are read.
    pub(super) fn finish(self) -> Result<(), Refused> {
        if self.mistakes.is_empty() {
            return Ok(());
        }
        Err(Refused::mistakes(Kind::Malformed, self.mistakes))
    }
}
