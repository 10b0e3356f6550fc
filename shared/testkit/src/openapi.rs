//! The admin API's description, `infra/admin-api.openapi.yaml`, as something that answers are held against.
//!
//! A schema of OpenAPI 3.1 is one of JSON Schema 2020-12. <https://spec.openapis.org/oas/v3.1.1.html>

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::fakes::lock;

/// What all paths of the description follow.
const ROOT: &str = "/v1";

/// The methods that a path may have.
const METHODS: [&str; 5] = ["get", "put", "patch", "delete", "post"];

/// The description.
#[derive(Debug)]
pub struct Description {
    whole: Value,
    /// By their schemas' text: one takes longer to make than to use, and a story waits meanwhile.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

static OURS: LazyLock<Description> = LazyLock::new(|| {
    let text = include_str!("../../../infra/admin-api.openapi.yaml");
    let documents = Yaml::load_from_str(text).unwrap();
    Description {
        whole: value(&documents[0]),
        validators: Mutex::default(),
    }
});

/// A call with the answers that it may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The method in capitals.
    pub method: String,
    /// The path with its parameters, such as `/v1/accounts/{account}`.
    pub path: String,
    /// The statuses.
    pub statuses: Vec<u16>,
}

impl Description {
    /// The project's.
    ///
    /// # Panics
    /// It is no YAML.
    #[must_use]
    pub fn ours() -> &'static Self {
        &OURS
    }

    /// A value anywhere in it, or `Null`.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.whole.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Every call.
    ///
    /// # Panics
    /// There is none, or a status is no number.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (path, methods) in self.whole["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap().iter();
            for (method, call) in methods.filter(|(name, _)| METHODS.contains(&name.as_str())) {
                let statuses = call["responses"].as_object().unwrap().keys();
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: format!("{ROOT}{path}"),
                    statuses: statuses.map(|status| status.parse().unwrap()).collect(),
                });
            }
        }
        operations
    }

    /// Holds an answer against the description; an error says what is not as described. `path` is the one with
    /// parameters, and `retry_after` the header where it is known.
    ///
    /// # Errors
    /// There is no such call, no such answer of it, or the body is another.
    pub fn hold(
        &self,
        method: &str,
        path: &str,
        status: u16,
        retry_after: Option<&str>,
        body: &Value,
    ) -> Result<(), String> {
        let what = format!("{method} {path} -> {status}");
        let path = path.strip_prefix(ROOT).unwrap_or(path);
        let call = &self.whole["paths"][path][method.to_lowercase()];
        if call.is_null() {
            return Err(format!("{method} {path} is not described"));
        }
        let answer = self.followed(&call["responses"][status.to_string()]);
        if answer.is_null() {
            return Err(format!("{what} is not described"));
        }
        let header = &answer["headers"]["Retry-After"];
        if let Some(seconds) = retry_after
            && (header.is_null() || seconds.parse::<u32>().is_err())
        {
            return Err(format!("{what}: Retry-After: {seconds} is not described"));
        }
        if retry_after.is_none() && header["required"] == true {
            return Err(format!("{what}: Retry-After is missing"));
        }
        let schema = &answer["content"]["application/json"]["schema"];
        self.hold_value(schema, body)
            .map_err(|error| format!("{what}: {error} in {body}"))
    }

    /// Holds a value against a schema that stands in the description.
    ///
    /// # Errors
    /// It is another.
    ///
    /// # Panics
    /// The schema is none.
    pub fn hold_value(&self, schema: &Value, value: &Value) -> Result<(), String> {
        assert!(schema.is_object(), "there is no schema: {schema}");
        let validator = self.validator(schema);
        let errors = validator.iter_errors(value);
        let errors: Vec<String> = errors
            .map(|error| format!("{error} at {:?}", error.instance_path().as_str()))
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.join("; ")),
        }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut known = lock(&self.validators);
        let known = known.entry(schema.to_string());
        Arc::clone(known.or_insert_with(|| Arc::new(self.compiled(schema))))
    }

    fn compiled(&self, schema: &Value) -> Validator {
        // References lead from the root, so the schema is put where they find what they name.
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.whole["components"],
        });
        jsonschema::validator_for(&root).unwrap()
    }

    /// What a reference leads to; anything else is itself.
    #[must_use]
    pub fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.at(reference.trim_start_matches('#')),
            None => value,
        }
    }
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(boolean)) => Value::Bool(*boolean),
        Yaml::Value(Scalar::Integer(integer)) => Value::from(*integer),
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(name, entry)| match name {
                Yaml::Value(Scalar::String(name)) => (name.to_string(), value(entry)),
                other => panic!("{other:?} is no name"),
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => panic!("{other:?} is more than the description needs"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::signature::Policy;
    use domain::source::Source;

    use super::*;

    fn all_objects(description: &Description) -> Vec<&Map<String, Value>> {
        let mut all = Vec::new();
        objects(&description.whole, &mut all);
        all
    }

    fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
        match value {
            Value::Object(map) => {
                found.push(map);
                map.values().for_each(|value| objects(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| objects(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let ours = Description::ours();
        let all = all_objects(ours).into_iter();
        let mut count = 0;
        for reference in all.filter_map(|map| map.get("$ref")?.as_str()) {
            let target = reference.strip_prefix('#').unwrap();
            assert!(ours.at(target).is_object(), "{reference}");
            count += 1;
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn every_example_is_what_it_is_an_example_of() {
        let ours = Description::ours();
        let all = all_objects(ours).into_iter();
        let mut count = 0;
        for media in all.filter(|map| map.contains_key("examples")) {
            for (name, example) in media["examples"].as_object().unwrap() {
                let held = ours.hold_value(&media["schema"], &example["value"]);
                assert_eq!(held, Ok(()), "{name}");
                count += 1;
            }
        }
        assert!(count > 5, "{count}");
    }

    #[test]
    fn every_call_has_a_name_a_signature_and_an_answer_to_everybody_unsigned() {
        let ours = Description::ours();
        assert_eq!(ours.at("/security"), &json!([{ "sigv4": [] }]));
        let mut names = Vec::new();
        for operation in ours.operations() {
            let path = operation.path.trim_start_matches(ROOT);
            let call = &ours.whole["paths"][path][operation.method.to_lowercase()];
            assert!(call["security"].is_null(), "{operation:?}");
            assert!(operation.statuses.contains(&403), "{operation:?}");
            assert!(operation.statuses.contains(&429), "{operation:?}");
            // The gateway turns a body away that is too large, where there is one to send.
            let is_refused = operation.statuses.contains(&413);
            assert_eq!(is_refused, call["requestBody"].is_object(), "{operation:?}");
            names.push(call["operationId"].as_str().unwrap());
            let parameters = &ours.whole["paths"][path]["parameters"];
            assert_eq!(path.contains("{account}"), parameters.is_array(), "{path}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ours.operations().len());
    }

    #[test]
    fn the_events_are_those_of_the_release() {
        let ours = Description::ours();
        let mut references = Vec::new();
        for source in Source::ALL {
            let facts = sources::facts(source);
            let known: Vec<&str> = facts.types.iter().map(|row| row.name).collect();
            let name = format!("/components/schemas/{}Event", facts.title);
            assert_eq!(ours.at(&format!("{name}/enum")), &json!(known), "{source}");
            references.push(format!("#{name}"));
        }
        references.push("#/components/schemas/OwnTopic".to_owned());
        assert_refers(ours.at("/components/schemas/EventType/anyOf"), &references);
    }

    /// A connect request has the fields that the source's facts name, and no others.
    #[test]
    fn an_account_is_connected_with_the_fields_of_its_source() {
        let ours = Description::ours();
        let mut references = Vec::new();
        let named = ours.at("/components/schemas/Complaint/properties/field/enum");
        let named = named.as_array().unwrap();
        for source in Source::ALL {
            let facts = sources::facts(source);
            let name = format!("/components/schemas/Connect{}", facts.title);
            let schema = ours.at(&name);
            let mut fields = vec!["source"];
            match facts.life_cycle.is_manual() {
                true => fields.push("signing_secrets"),
                false => fields.extend(facts.life_cycle.credentials.iter().map(|field| field.name)),
            }
            fields.push("events");
            assert_eq!(schema["required"], json!(fields), "{source}");
            assert_eq!(schema["additionalProperties"], false, "{source}");
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(properties["source"]["enum"], json!([source.as_str()]));
            let may_choose = facts.policy == Policy::Observe;
            assert_eq!(properties.contains_key("proof"), may_choose, "{source}");
            fields.extend(may_choose.then_some("proof"));
            let optional = sources::protocol(source).optional_credentials();
            fields.extend(optional.iter().map(|field| field.name));
            assert_eq!(properties.len(), fields.len(), "{source}");
            let credentials = facts.life_cycle.credentials.iter().chain(optional);
            for field in credentials.filter(|field| field.is_secret) {
                let schema = properties.get(field.name);
                let is_kept = schema.is_none_or(|schema| schema["writeOnly"] == true);
                assert!(is_kept, "{source}: {} may be shown", field.name);
            }
            for field in &fields {
                assert!(named.contains(&json!(field)), "no error names {field}");
            }
            let selection = format!("#/components/schemas/{}Selection", facts.title);
            assert_eq!(properties["events"]["$ref"], json!(selection));
            references.push(format!("#{name}"));
        }
        assert_refers(ours.at("/components/schemas/Connect/oneOf"), &references);
        let sources = ours.at("/components/schemas/Summary/properties/source/enum");
        let sources = sources.as_array().unwrap().iter();
        let sources: BTreeSet<&str> = sources.flat_map(Value::as_str).collect();
        assert_eq!(sources, Source::ALL.map(Source::as_str).into());
    }

    /// A request that is described for one source is described for no other.
    #[test]
    fn no_source_takes_the_events_or_fields_of_another() {
        let ours = Description::ours();
        let schema = ours.at("/components/schemas/Connect");
        let good = json!({ "source": "ordermentum", "api_key": "k", "supplier_id": "s", "events": ["order_created"] });
        assert_eq!(ours.hold_value(schema, &good), Ok(()));
        for (field, value) in [
            ("events", json!(["order.created"])),
            ("events", json!([])),
            ("events", json!(["*", "order_created"])),
            ("source", json!("orderspace")),
            ("source", Value::Null),
            ("api_key", json!("")),
            ("api_key", json!("a b")),
            ("proof", json!("observe")),
            ("client_id", json!("c")),
        ] {
            let mut wrong = good.clone();
            wrong[field] = value;
            assert!(ours.hold_value(schema, &wrong).is_err(), "{wrong}");
        }
    }

    /// A list of references is this one, in any order.
    #[track_caller]
    fn assert_refers(list: &Value, expected: &[String]) {
        let list = list.as_array().unwrap().iter();
        let found: BTreeSet<&str> = list.map(|entry| entry["$ref"].as_str().unwrap()).collect();
        let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_described_is_told() {
        let ours = Description::ours();
        let list = |status, retry_after, body: &Value| {
            ours.hold("GET", "/v1/accounts", status, retry_after, body)
        };
        let of_accounts = |accounts: Value| json!({ "accounts": accounts, "unreadable": [] });
        let empty = of_accounts(json!([]));
        assert_eq!(list(200, None, &empty), Ok(()));
        let complains = |held: Result<(), String>, word: &str| {
            let error = held.unwrap_err();
            assert!(error.contains(word), "{error}");
        };
        complains(list(201, None, &empty), "201");
        complains(list(200, None, &of_accounts(json!([{}]))), "required");
        complains(list(200, Some("5"), &empty), "Retry-After");
        let other = json!({ "message": "m", "secret": 1 });
        complains(list(503, None, &other), "503");
        let account = ours.at("/paths/~1accounts/get/responses/200/content/application~1json/examples/one/value/accounts/0");
        let mut more = account.clone();
        more["signing_key"] = json!("k");
        complains(list(200, None, &of_accounts(json!([more]))), "signing_key");
        let path = "/v1/accounts/{account}";
        complains(ours.hold("POST", path, 200, None, account), "not described");
        complains(
            ours.hold("PUT", path, 202, None, account),
            "Retry-After is missing",
        );
    }
}
