//! Query parameters: each known, each once.

use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jiff::Timestamp;
use schemas::api::Mistake;
use schemas::{Refusal, Region, SiteName};
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::caller::Caller;
use crate::handle::PublisherHandle;
use crate::intake::moment;
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

    /// A parameter that is one of a few words; `fix` names them.
    pub(super) fn word<T: DeserializeOwned>(&mut self, name: &str, fix: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).ok();
        if value.is_none() {
            self.mistake(name, fix);
        }
        value
    }

    /// A parameter's validated text; what is wrong with it is told in its own words.
    pub(super) fn validated<T: FromStr<Err = Refusal>>(&mut self, name: &str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.mistake(name, refusal.to_string());
                None
            }
        }
    }

    /// A site that there is.
    pub(super) fn site(&mut self, name: &str, publisher: &PublisherHandle) -> Option<SiteName> {
        let site: SiteName = self.validated(name)?;
        if publisher.sites().get(&site).is_none() {
            self.mistake(name, format!("there is no site {site}"));
            return None;
        }
        Some(site)
    }

    /// The site to read of: one that there is and that the caller may read of.
    pub(super) fn site_of(
        &mut self,
        name: &str,
        caller: &Caller,
        publisher: &PublisherHandle,
    ) -> Option<SiteName> {
        let site = self.site(name, publisher);
        caller.reading(site).unwrap_or_else(|mistake| {
            self.mistake(name, mistake);
            None
        })
    }

    /// A region that there is.
    pub(super) fn region(&mut self, name: &str, publisher: &PublisherHandle) -> Option<Region> {
        let region: Region = self.validated(name)?;
        let known = publisher.known_regions();
        if known.contains(&region) {
            return Some(region);
        }
        let known: Vec<&str> = known.iter().map(Region::as_str).collect();
        let there_are = match known[..] {
            [] => "there are none yet".to_owned(),
            _ => format!("there are {}", known.join(", ")),
        };
        self.mistake(name, format!("there is no region {region}; {there_are}"));
        None
    }

    /// A moment: RFC 3339, or so long before `now`.
    pub(super) fn moment(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let moment = moment(self.text(name)?, now);
        moment.map_err(|mistake| self.mistake(name, mistake)).ok()
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
