//! `asyncapi.yaml`: every message that a team's queue can hold, by type, with its schema.
//! <https://www.asyncapi.com/docs/reference/specification/v3.0.0>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{examples, members, published, schema};

const FILE: &str = "asyncapi.yaml";

/// The schemas are of JSON Schema's draft 2020-12, which AsyncAPI takes under its own name only.
const SCHEMA_FORMAT: &str = "application/schema+json;version=draft-2020-12";

fn document(types: impl Iterator<Item = String>) -> Value {
    let mut references = Map::new();
    let mut messages = Map::new();
    for name in types {
        let key = key(&name);
        let place = format!("#/components/messages/{key}");
        references.insert(key.clone(), json!({ "$ref": place }));
        messages.insert(key, message(&name));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orderhook",
            "version": "1",
            "description": "What Orderhook sends to a team's SQS queue or SNS topic. Generated from the schemas beside it: do not edit. How to consume: infra/docs/consumers.md.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "team": {
                "address": null,
                "title": "A team's queue or topic",
                "description": "The queue that the team's route names. Its types decide which of these messages it gets, and a source may add types at any time: ignore those that you do not know.",
                "messages": references,
            },
        },
        "operations": {
            "consume": {
                "action": "receive",
                "channel": { "$ref": "#/channels/team" },
                "summary": "At least once, in no particular order: drop repeats by `id`; order by `sequence`, else by `id`.",
            },
        },
        "components": {
            "messages": messages,
            "schemas": { "attributes": attributes() },
        },
    })
}

/// A type as AsyncAPI takes it for a key, which must have no `@`.
fn key(name: &str) -> String {
    name.replace('@', ".")
}

fn message(name: &str) -> Value {
    let (source, kind) = name.split_once('.').unwrap();
    let payload = match source {
        "orderhook" => json!({
            "allOf": [{ "$ref": "./orderhook-account.schema.json" }, { "properties": { "type": { "const": name } } }],
        }),
        "ecommerce" => {
            let resource = match kind.split_once('.').unwrap() {
                (_, "deleted") => "id_only",
                (resource, _) => resource,
            };
            let data = format!("./orderhook-unified.schema.json#/$defs/{resource}");
            json!({
                "allOf": [
                    { "$ref": "./orderhook-event.schema.json" },
                    { "properties": { "type": { "const": name }, "data": { "$ref": data } } },
                ],
            })
        }
        _ => json!({
            "allOf": [{ "$ref": "./orderhook-event.schema.json" }, { "properties": { "type": { "const": name } } }],
        }),
    };
    json!({
        "name": name,
        "contentType": "application/json",
        "headers": { "$ref": "#/components/schemas/attributes" },
        "payload": { "schemaFormat": SCHEMA_FORMAT, "schema": payload },
        "tags": [{ "name": source }],
        "x-example": format!("./examples/{name}.json"),
    })
}

/// The message attributes, in the words of the envelope's schema, which they repeat.
fn attributes() -> Value {
    let event = schema("event");
    let of = |name: &str| {
        let pattern = &event["properties"][name]["pattern"];
        assert!(pattern.is_string(), "{name} has no pattern");
        json!({ "type": "string", "pattern": pattern })
    };
    json!({
        "type": "object",
        "description": "The message attributes, which repeat the envelope's so that a filter need not parse it, and the trace. `subject` is left out where its characters are not allowed there.",
        "required": ["type", "account"],
        "properties": {
            "type": of("type"),
            "account": of("account"),
            "subject": of("subject"),
            "replayed": { "const": "true" },
            "traceparent": {
                "type": "string",
                "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$",
                "description": "The trace that the event is part of, as W3C's Trace Context writes it; left out where there is none.",
            },
        },
    })
}

/// The value in YAML's block style. A scalar is written as JSON, which YAML reads the same.
fn write_yaml(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(_) => {
            for (name, value) in members(value) {
                write_entry(text, &format!("{indent}{}:", json!(name)), value, depth);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                write_entry(text, &format!("{indent}-"), element, depth);
            }
        }
        _ => panic!("the document is an object"),
    }
}

fn write_entry(text: &mut String, before: &str, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            writeln!(text, "{before}").unwrap();
            write_yaml(text, value, depth + 1);
        }
        Value::Array(elements) if !elements.is_empty() => {
            writeln!(text, "{before}").unwrap();
            write_yaml(text, value, depth + 1);
        }
        scalar => writeln!(text, "{before} {scalar}").unwrap(),
    }
}

#[test]
fn every_message_is_described() {
    let document = document(examples::all().into_keys());
    let mut text = String::new();
    write_yaml(&mut text, &document, 0);
    published(&BTreeMap::from([(FILE.to_owned(), text)]), None);
}
