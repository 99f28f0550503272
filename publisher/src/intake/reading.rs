//! From JSON to a request. Walks by hand, since serde stops at the first mistake.

use std::borrow::Cow;

use schemas::api::{InvalidationRequest, Mistake, UrlRequest, UrlWithQuery};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Mistakes, Pointer};

/// Every field of a request.
const FIELDS: [&str; 14] = [
    "site",
    "urls",
    "prefixes",
    "tags",
    "keys",
    "everything",
    "confirm",
    "mode",
    "priority",
    "regions",
    "after",
    "expires_in",
    "reason",
    "labels",
];

/// How alike a wrong and a right word must be for a suggestion, of 1.
const ALIKE: f64 = 0.75;

/// The request in `json`, and all that keeps it from being one. What could not be read is left out or empty there.
pub(crate) fn read(json: Value) -> (InvalidationRequest, Vec<Mistake>) {
    let mut mistakes = Mistakes::default();
    let Value::Object(object) = json else {
        mistakes.add("", format!("is {}; give an object", kind(&json)));
        return (InvalidationRequest::default(), mistakes.0);
    };
    for name in object.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        mistakes.add(Pointer::Field(name), unknown(name));
    }
    let request = Reader { object, mistakes: &mut mistakes }.request();
    (request, mistakes.0)
}

/// The mistakes of reading, and those of checking what could be read that do not merely follow from them.
pub(crate) fn together(misread: Vec<Mistake>, checked: Vec<Mistake>) -> Vec<Mistake> {
    let follows = |mistake: &Mistake| {
        ["", "/site"].contains(&&*mistake.pointer)
            || misread.iter().any(|earlier| earlier.pointer == mistake.pointer)
    };
    let (_, own): (Vec<_>, Vec<_>) = checked.into_iter().partition(follows);
    misread.into_iter().chain(own).collect()
}

struct Reader<'a> {
    object: Map<String, Value>,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    fn request(mut self) -> InvalidationRequest {
        InvalidationRequest {
            site: self.text("site"),
            urls: self.urls(),
            prefixes: self.texts("prefixes").unwrap_or_default(),
            tags: self.texts("tags").unwrap_or_default(),
            keys: self.texts("keys").unwrap_or_default(),
            everything: self.field("everything", "give true or false").unwrap_or_default(),
            confirm: self.text("confirm"),
            mode: self.field("mode", "give \"hard\" or \"soft\"").unwrap_or_default(),
            priority: self.field("priority", "give \"normal\" or \"critical\"").unwrap_or_default(),
            regions: self.texts("regions"),
            after: self.field("after", "give {\"postgres_lsn\": ...} or {\"mysql_gtid\": ...}"),
            expires_in: self.text("expires_in"),
            reason: self.text("reason"),
            labels: self
                .field("labels", "give an object of strings such as {\"cms\": \"wagtail\"}")
                .unwrap_or_default(),
        }
    }

    /// A field's value, if it is there; `null` is as if it were not.
    fn value(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self, pointer: Pointer<'_>, value: &Value, fix: &str) -> Option<T> {
        self.mistakes.add(pointer, format!("is {}; {fix}", told(value)));
        None
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => Some(text),
            other => self.wrong(Pointer::Field(name), &other, "give a string"),
        }
    }

    fn items(&mut self, name: &str, fix: &str) -> Option<Vec<Value>> {
        match self.value(name)? {
            Value::Array(items) => Some(items),
            other => self.wrong(Pointer::Field(name), &other, fix),
        }
    }

    fn field<T: DeserializeOwned>(&mut self, name: &str, fix: &str) -> Option<T> {
        let value = self.value(name)?;
        T::deserialize(&value).ok().or_else(|| self.wrong(Pointer::Field(name), &value, fix))
    }

    /// Strings; what is none is empty, so that the others keep their places.
    fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let items = self.items(name, "give an array of strings")?;
        let texts = items.into_iter().enumerate().map(|(at, item)| match item {
            Value::String(text) => text,
            other => {
                self.wrong(Pointer::Item(name, at), &other, "give a string").unwrap_or_default()
            }
        });
        Some(texts.collect())
    }

    fn urls(&mut self) -> Vec<UrlRequest> {
        let items = self.items("urls", "give an array of URLs").unwrap_or_default();
        let urls = items.into_iter().enumerate().map(|(at, item)| {
            let pointer = Pointer::Item("urls", at);
            let read = match item {
                Value::String(text) => Some(UrlRequest::Exact(text)),
                Value::Object(_) => {
                    let url = UrlWithQuery::deserialize(item).map(UrlRequest::With);
                    let detail =
                        "is not {\"url\": \"https://...\", \"query\": \"any\" or \"exact\"}";
                    self.mistakes.take(pointer, url.map_err(|_| detail))
                }
                other => self.wrong(pointer, &other, "give a URL"),
            };
            read.unwrap_or_else(|| UrlRequest::Exact(String::new()))
        });
        urls.collect()
    }
}

fn unknown(name: &str) -> String {
    let alike = FIELDS.iter().map(|field| (strsim::jaro_winkler(name, field), field));
    match alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((alike, field)) if alike >= ALIKE => {
            format!("is not a field of a request; did you mean \"{field}\"?")
        }
        _ => format!("is not a field of a request; there are {}", FIELDS.join(", ")),
    }
}

/// A wrong value in words: a short text as it is, anything else by its kind.
fn told(value: &Value) -> Cow<'static, str> {
    match value {
        Value::String(text) if text.len() <= 32 => format!("{text:?}").into(),
        Value::Number(_) | Value::Bool(_) => value.to_string().into(),
        other => kind(other).into(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
