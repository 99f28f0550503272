//! Builds an `OpenAPI` document, one operation after another.

use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use schemas::api::Problem;
use serde_json::{Map, Value, json};

use crate::problem::Kind;

/// Nothing in the document comes from outside the program.
type Text = &'static str;

/// What any request may be answered.
const ALWAYS: [Kind; 3] = [Kind::Unauthorized, Kind::Internal, Kind::Unavailable];

/// A document in the making.
#[derive(Debug)]
pub(in crate::routes) struct Document {
    /// Schemas of what is answered: every field that is always written is required.
    answers: SchemaGenerator,
    /// Schemas of what is asked: what has a default may be left out.
    requests: SchemaGenerator,
    paths: Map<String, Value>,
}

/// One path of a document.
#[derive(Debug)]
pub(in crate::routes) struct At<'a> {
    document: &'a mut Document,
    path: Text,
}

/// One operation, in the document when it is dropped.
#[derive(Debug)]
pub(in crate::routes) struct Operation<'a> {
    document: &'a mut Document,
    path: Text,
    method: Text,
    parameters: Vec<Value>,
    request: Option<Value>,
    responses: Map<String, Value>,
    id: Text,
    summary: Text,
}

impl Document {
    pub(super) fn new() -> Self {
        let generator = |contract| {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = contract;
            SchemaGenerator::new(settings)
        };
        Self {
            answers: generator(Contract::Serialize),
            requests: generator(Contract::Deserialize),
            paths: Map::new(),
        }
    }

    pub(super) fn at(&mut self, path: Text) -> At<'_> {
        At { document: self, path }
    }

    /// The document.
    pub(super) fn finish(mut self) -> Value {
        let mut components = self.requests.take_definitions(true);
        components.extend(self.answers.take_definitions(true));
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Purgebus",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Tells every cache in every region that content has changed, and proves that they obeyed.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "paths": self.paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        });
        name_words(&mut document);
        document
    }
}

impl At<'_> {
    pub(in crate::routes) fn get(&mut self, id: Text, summary: Text) -> Operation<'_> {
        self.operation("get", id, summary)
    }

    pub(in crate::routes) fn post(&mut self, id: Text, summary: Text) -> Operation<'_> {
        self.operation("post", id, summary)
    }

    pub(in crate::routes) fn delete(&mut self, id: Text, summary: Text) -> Operation<'_> {
        self.operation("delete", id, summary)
    }

    /// `id` names it in generated clients.
    fn operation(&mut self, method: Text, id: Text, summary: Text) -> Operation<'_> {
        let named =
            self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let of_path = |name: &str| {
            let mut schema = json!({"type": "string"});
            if name == "id" {
                schema["format"] = json!("uuid");
            }
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        };
        let operation = Operation {
            parameters: named.map(of_path).collect(),
            document: self.document,
            path: self.path,
            method,
            request: None,
            responses: Map::new(),
            id,
            summary,
        };
        operation.refuses(&ALWAYS)
    }
}

impl Operation<'_> {
    /// Takes a query parameter.
    pub(in crate::routes) fn query<T: JsonSchema>(self, name: Text, about: Text) -> Self {
        self.parameter::<T>("query", name, about)
    }

    /// Takes a header.
    pub(in crate::routes) fn header(self, name: Text, about: Text) -> Self {
        self.parameter::<String>("header", name, about)
    }

    fn parameter<T: JsonSchema>(mut self, place: Text, name: Text, about: Text) -> Self {
        let schema = self.document.requests.subschema_for::<T>();
        self.parameters.push(json!({
            "name": name, "in": place, "required": false, "description": about, "schema": schema,
        }));
        self
    }

    /// Takes a body.
    pub(in crate::routes) fn takes<T: JsonSchema>(mut self) -> Self {
        let schema = self.document.requests.subschema_for::<T>();
        self.request =
            Some(json!({"required": true, "content": content("application/json", &schema)}));
        self
    }

    /// Answers with a body.
    pub(in crate::routes) fn answers<T: JsonSchema>(self, status: u16, about: &str) -> Self {
        self.answers_as::<T>("application/json", status, about)
    }

    /// Answers with a body of another kind.
    pub(in crate::routes) fn answers_as<T: JsonSchema>(
        mut self,
        media_type: &str,
        status: u16,
        about: &str,
    ) -> Self {
        let schema = self.document.answers.subschema_for::<T>();
        let response = json!({"description": about, "content": content(media_type, &schema)});
        self.responses.insert(status.to_string(), response);
        self
    }

    /// Answers so where it does not do what was asked.
    pub(in crate::routes) fn refuses(mut self, kinds: &[Kind]) -> Self {
        for kind in kinds {
            let (status, word, title) = kind.facts();
            let about = format!("{title} (`{word}`)");
            let schema = self.document.answers.subschema_for::<Problem>();
            let response = self.responses.entry(status.as_str()).or_insert_with(|| {
                json!({"description": "", "content": content("application/problem+json", &schema)})
            });
            let before = response["description"].as_str().filter(|before| !before.is_empty());
            let about = before.map(|before| format!("{before}; {about}")).unwrap_or(about);
            response["description"] = Value::String(about);
        }
        self
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let mut operation = json!({
            "operationId": self.id, "summary": self.summary, "parameters": self.parameters,
            "responses": self.responses,
        });
        if let Some(request) = self.request.take() {
            operation["requestBody"] = request;
        }
        let path = self.document.paths.entry(self.path).or_insert_with(|| json!({}));
        path[self.method] = operation;
    }
}

/// Makes a choice between documented words an enumeration, which generators of clients understand best.
fn name_words(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some((words, about)) = fields.get("oneOf").and_then(words) {
                let before = fields.get("description").and_then(Value::as_str);
                let about: Vec<_> = before.map(str::to_owned).into_iter().chain(about).collect();
                fields.remove("oneOf");
                fields.insert("type".to_owned(), json!("string"));
                fields.insert("enum".to_owned(), json!(words));
                fields.insert("description".to_owned(), json!(about.join("\n")));
            }
            fields.values_mut().for_each(name_words);
        }
        Value::Array(items) => items.iter_mut().for_each(name_words),
        _ => {}
    }
}

/// The words of a choice between nothing but words, and what is said about each.
fn words(choice: &Value) -> Option<(Vec<Value>, Vec<String>)> {
    let choices = choice.as_array()?.iter();
    let word = |choice: &Value| {
        let word = choice.get("const")?.clone();
        let about = choice.get("description").and_then(Value::as_str).unwrap_or_default();
        let about = format!("* `{}`: {about}", word.as_str()?);
        Some((word, about))
    };
    choices.map(word).collect()
}

fn content(media_type: &str, schema: &Schema) -> Value {
    json!({media_type: {"schema": schema}})
}
