//! The wish to see content gone, as a caller writes it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Gate, Mode, Priority};

/// Most bytes in a request body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most selectors in a request.
pub const SELECTORS_MAX: usize = 1_000;
/// Most tags in a request.
pub const TAGS_MAX: usize = 64;

/// Body of `POST /v1/invalidations`, as written by the caller: nothing in it is checked yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InvalidationRequest {
    /// Whose content; may be left out when the URLs' hosts or the token name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Exact addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UrlRequest>,
    /// Path prefixes of whole segments, as URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Cache groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Raw keys of data caches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The whole site; needs `confirm`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
    /// The site's name again, as consent to `everything`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// `hard` (default) or `soft`.
    pub mode: Mode,
    /// `normal` (default) or `critical`.
    pub priority: Priority,
    /// Left out: all regions of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// A database position that replicas must have reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Gate>,
    /// A duration such as `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// For humans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For humans' tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A URL to purge: the text alone, or with how its query counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum UrlRequest {
    /// The exact URL.
    Exact(String),
    /// The URL with options.
    With(UrlWithQuery),
}

/// A URL with how its query counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UrlWithQuery {
    /// The URL.
    pub url: String,
    /// `exact` (default) or `any`.
    #[serde(default)]
    pub query: QueryRequest,
}

/// How a URL's query counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryRequest {
    /// Any query, and none.
    Any,
    /// The one written.
    #[default]
    Exact,
}

// Derived, a mistake inside the object would read "did not match any variant": useless to a caller.
impl<'de> Deserialize<'de> for UrlRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UrlVisitor)
    }
}

struct UrlVisitor;

impl<'de> Visitor<'de> for UrlVisitor {
    type Value = UrlRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL, or an object with `url` and `query`")
    }

    fn visit_str<E>(self, url: &str) -> Result<UrlRequest, E> {
        Ok(UrlRequest::Exact(url.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UrlRequest, A::Error> {
        UrlWithQuery::deserialize(MapAccessDeserializer::new(map)).map(UrlRequest::With)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(request: serde_json::Value) -> String {
        serde_json::from_value::<InvalidationRequest>(request).expect_err("a mistake").to_string()
    }

    #[test]
    fn the_request_of_the_contract_is_understood() {
        let text = r#"
            { "site": "main",
              "urls": ["https://www.example.com/a", {"url": "https://www.example.com/search", "query": "any"}],
              "prefixes": ["https://www.example.com/blog/"], "tags": ["article-7"], "keys": ["user:42"], "everything": false,
              "mode": "hard", "priority": "normal", "regions": ["eu-west"],
              "after": {"postgres_lsn": "0/3015FF0"}, "expires_in": "24h", "reason": "editor published article 7", "labels": {"cms": "wagtail"} }"#;
        let search =
            UrlWithQuery { url: "https://www.example.com/search".into(), query: QueryRequest::Any };
        let expected = InvalidationRequest {
            site: Some("main".into()),
            urls: vec![
                UrlRequest::Exact("https://www.example.com/a".into()),
                UrlRequest::With(search),
            ],
            prefixes: vec!["https://www.example.com/blog/".into()],
            tags: vec!["article-7".into()],
            keys: vec!["user:42".into()],
            everything: false,
            confirm: None,
            mode: Mode::Hard,
            priority: Priority::Normal,
            regions: Some(vec!["eu-west".into()]),
            after: Some(Gate::PostgresLsn("0/3015FF0".into())),
            expires_in: Some("24h".into()),
            reason: Some("editor published article 7".into()),
            labels: BTreeMap::from([("cms".into(), "wagtail".into())]),
        };
        assert_eq!(serde_json::from_str::<InvalidationRequest>(text).unwrap(), expected);
        let written = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<InvalidationRequest>(&written).unwrap(), expected);
    }

    #[test]
    fn what_is_left_out_has_a_default_and_is_not_written() {
        let request: InvalidationRequest =
            serde_json::from_value(json!({"everything": true, "confirm": "main"})).unwrap();
        assert_eq!((request.mode, request.priority), (Mode::Hard, Priority::Normal));
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({"everything": true, "confirm": "main", "mode": "hard", "priority": "normal"})
        );
        let url = serde_json::from_value::<UrlRequest>(json!({"url": "https://a.com/"})).unwrap();
        let exact = UrlWithQuery { url: "https://a.com/".into(), query: QueryRequest::Exact };
        assert_eq!(url, UrlRequest::With(exact));
    }

    #[test]
    fn unknown_fields_are_named_with_the_known_ones() {
        let reason = refusal(json!({"url": "https://a.com/"}));
        assert!(
            reason.starts_with("unknown field `url`, expected one of `site`, `urls`"),
            "{reason}"
        );
        assert_eq!(
            refusal(json!({"urls": [{"url": "https://a.com/", "querry": "any"}]})),
            "unknown field `querry`, expected `url` or `query`"
        );
        assert_eq!(
            refusal(json!({"after": {"oracle_scn": "7"}})),
            "unknown variant `oracle_scn`, expected `postgres_lsn` or `mysql_gtid`"
        );
    }

    #[test]
    fn wrong_values_are_refused_with_the_right_ones() {
        for (request, reason) in [
            (json!({"mode": "gentle"}), "unknown variant `gentle`, expected `soft` or `hard`"),
            (json!({"priority": 1}), "invalid type: integer `1`, expected string or map"),
            (
                json!({"urls": [7]}),
                "invalid type: integer `7`, expected a URL, or an object with `url` and `query`",
            ),
            (
                json!({"urls": [{"url": "https://a.com/", "query": "some"}]}),
                "unknown variant `some`, expected `any` or `exact`",
            ),
            (json!({"urls": [{"query": "any"}]}), "missing field `url`"),
            (json!({"tags": "a"}), "invalid type: string \"a\", expected a sequence"),
        ] {
            assert_eq!(refusal(request), reason);
        }
    }
}
