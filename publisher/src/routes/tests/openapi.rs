//! The document of the API against the API: every path, method and parameter, and bodies as they are answered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::{Api, good};
use crate::routes::openapi::whole;

/// A path of the document as a request may have it.
fn path(template: &str) -> String {
    let id = "01993a00-0000-7000-8000-000000000000";
    template.replace("{id}", id).replace("{name}", "nobody")
}

fn words<'a>(given: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    given.map(str::to_uppercase).collect()
}

#[tokio::test]
async fn every_method_of_every_path_is_written_down_and_no_other() {
    let api = Api::start().await;
    let document = api.get("/openapi.json").await.json();
    assert_eq!(document, whole());
    for (template, operations) in document["paths"].as_object().unwrap() {
        let answer = api.send(&format!("TRACE {}", path(template)), "", b"").await;
        answer.problem(405, "method_not_allowed");
        let allowed = answer.header("allow").unwrap();
        let allowed = words(allowed.split(',').filter(|method| *method != "HEAD"));
        let written = words(operations.as_object().unwrap().keys().map(String::as_str));
        assert_eq!(allowed, written, "{template}");
    }
    api.end().await;
}

#[tokio::test]
async fn every_query_parameter_is_written_down_and_no_other() {
    let api = Api::start().await;
    for (template, operations) in whole()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let line = format!("{} {}?nonsense=1", method.to_uppercase(), path(template));
            let told = api.send(&line, "", b"").await.problem(400, "malformed");
            let detail = told[0].1.strip_prefix("is not a parameter here; there are ");
            let taken = detail.expect("it names what there is");
            let taken = words(taken.split(", ").filter(|name| *name != "none"));
            let written = operation["parameters"].as_array().unwrap().iter();
            let written = written.filter(|parameter| parameter["in"] == "query");
            let written = words(written.filter_map(|parameter| parameter["name"].as_str()));
            assert_eq!(taken, written, "{method} {template}");
        }
    }
    api.end().await;
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_nothing_is_written_for_nobody() {
    let document = whole();
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    let there = document["components"]["schemas"].as_object().unwrap();
    assert_eq!(named, there.keys().cloned().collect());
    for schema in ["Progress", "InvalidationRequest", "Problem", "CacheSummary"] {
        assert!(named.contains(schema), "{schema}");
    }
}

fn references(value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                named.extend(reference.strip_prefix("#/components/schemas/").map(str::to_owned));
            }
            fields.values().for_each(|value| references(value, named));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, named)),
        _ => {}
    }
}

#[tokio::test]
async fn answers_have_exactly_the_fields_that_are_written_down() {
    let api = Api::start().await;
    api.hear_of("edge-1").await;
    let document = whole();
    let accepted = api.post(&good()).await.json();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let progress = api.get(accepted["status_url"].as_str().unwrap()).await.json();
    for (name, body) in [
        ("Accepted", accepted),
        ("Progress", progress),
        ("DryRun", api.post_to("?dry_run=true", &good()).await.json()),
        ("AgentSummary", api.get("/v1/agents").await.json()["items"][0].clone()),
        ("RegionSummary", api.get("/v1/regions").await.json()["items"][0].clone()),
        ("LatencyReport", api.get("/v1/latency").await.json()),
        ("InvalidationSummary", api.get("/v1/invalidations").await.json()["items"][0].clone()),
    ] {
        let written = schema(name);
        let fields = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert!(fields(&body).is_subset(&fields(&written["properties"])), "{name}: {body}");
        let required = written["required"].as_array().unwrap().iter();
        for name in required.map(|name| name.as_str().unwrap()) {
            assert!(body.get(name).is_some(), "{name}: {body}");
        }
    }
    assert_eq!(schema("InvalidationRequest")["additionalProperties"], json!(false));
    api.end().await;
}
