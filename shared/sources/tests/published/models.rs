//! The messages as types of Python and TypeScript, made from the schemas. Only what the schemas use is understood: a new
//! keyword stops here rather than being left out of the types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::{members, published, schema};

/// How wide a comment's line may be, in characters.
const WIDTH: usize = 100;

/// The schemas' objects with the names that they have as types, in the order in which they are written.
fn objects() -> Vec<(String, Value)> {
    let unified = schema("unified");
    let resources = members(&unified["$defs"]).into_iter();
    let resources = resources.map(|(name, object)| (type_name(name), object.clone()));
    let envelopes = [("Event", "event"), ("AccountEvent", "account")];
    let envelopes = envelopes.map(|(name, of)| (name.to_owned(), schema(of)));
    let mut objects = Vec::new();
    for (name, object) in envelopes.into_iter().chain(resources) {
        with_nested(&name, &object, &mut objects);
    }
    let names: BTreeSet<&String> = objects.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), objects.len(), "two types have one name");
    objects
}

/// Adds an object behind those that are described inside it.
fn with_nested(name: &str, object: &Value, objects: &mut Vec<(String, Value)>) {
    for (member, schema) in members(&object["properties"]) {
        for inner in described(schema) {
            with_nested(&nested_name(name, member), inner, objects);
        }
    }
    objects.push((name.to_owned(), object.clone()));
}

/// The objects that a member's schema describes in place: itself, an element, or one of its choices.
fn described(schema: &Value) -> Vec<&Value> {
    if schema.get("properties").is_some() {
        return vec![schema];
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    let inside = choices.into_iter().flatten().chain(schema.get("items"));
    inside.flat_map(described).collect()
}

/// The name of an object that is described inside another.
fn nested_name(of: &str, member: &str) -> String {
    format!("{of}{}", type_name(member))
}

/// `order_customer` as `OrderCustomer`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    name.split('_').map(word).collect()
}

/// What a member may be.
#[derive(Debug, PartialEq, Eq)]
enum Type {
    Text,
    Boolean,
    Null,
    /// A JSON object of which the schema says nothing more.
    Anything,
    /// One of these values, each as JSON writes it.
    Literals(Vec<String>),
    List(Box<Type>),
    Named(String),
    Either(Vec<Type>),
}

/// Reads the schema of a member of the object `of`.
fn type_of(of: &str, name: &str, schema: &Value) -> Type {
    if let Some(constant) = schema.get("const") {
        return Type::Literals(vec![constant.to_string()]);
    }
    if let Some(values) = schema.get("enum") {
        let values = values.as_array().unwrap().iter();
        return Type::Literals(values.map(Value::to_string).collect());
    }
    if let Some(place) = schema.get("$ref") {
        let name = place.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
        return Type::Named(type_name(name));
    }
    if let Some(choices) = schema.get("anyOf") {
        let choices = choices.as_array().unwrap().iter();
        return Type::Either(choices.map(|choice| type_of(of, name, choice)).collect());
    }
    let words = match &schema["type"] {
        Value::Array(words) => words.clone(),
        word => vec![word.clone()],
    };
    let mut types = words.iter().map(|word| match word.as_str().unwrap() {
        "string" => Type::Text,
        "boolean" => Type::Boolean,
        "null" => Type::Null,
        "array" => Type::List(Box::new(type_of(of, name, &schema["items"]))),
        "object" if schema.get("properties").is_none() => Type::Anything,
        "object" => Type::Named(nested_name(of, name)),
        other => panic!("{name} of {of} has the unknown type {other}"),
    });
    match words.len() {
        1 => types.next().unwrap(),
        _ => Type::Either(types.collect()),
    }
}

impl Type {
    fn python(&self) -> String {
        let literal = |value: &String| match value.as_str() {
            "true" => "True".to_owned(),
            "false" => "False".to_owned(),
            "null" => "None".to_owned(),
            text => text.to_owned(),
        };
        match self {
            Self::Text => "str".to_owned(),
            Self::Boolean => "bool".to_owned(),
            Self::Null => "None".to_owned(),
            Self::Anything => "dict[str, Any]".to_owned(),
            Self::Literals(values) => {
                let values: Vec<String> = values.iter().map(literal).collect();
                format!("Literal[{}]", values.join(", "))
            }
            Self::List(element) => format!("list[{}]", element.python()),
            // A name may be defined further down.
            Self::Named(name) => format!("\"{name}\""),
            Self::Either(types) => {
                let types: Vec<String> = types.iter().map(Self::python).collect();
                format!("Union[{}]", types.join(", "))
            }
        }
    }

    fn typescript(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Anything => "Record<string, unknown>".to_owned(),
            Self::Literals(values) => values.join(" | "),
            Self::List(element) => format!("Array<{}>", element.typescript()),
            Self::Named(name) => name.clone(),
            Self::Either(types) => {
                let types: Vec<String> = types.iter().map(Self::typescript).collect();
                types.join(" | ")
            }
        }
    }
}

/// A member: its name, whether it is always there, what it may be, and what it says.
struct Member {
    name: String,
    is_required: bool,
    is: Type,
    says: String,
}

fn members_of(name: &str, object: &Value) -> Vec<Member> {
    let required: BTreeSet<&str> = match &object["required"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    };
    let properties = members(&object["properties"]);
    assert!(
        required.iter().all(|name| properties.contains_key(name)),
        "{name} requires what it does not describe"
    );
    let member = |(member, schema): (&str, &Value)| Member {
        name: member.to_owned(),
        is_required: required.contains(member),
        is: type_of(name, member, schema),
        says: says(schema),
    };
    properties.into_iter().map(member).collect()
}

fn says(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A text in lines that each begin with `before`.
fn wrapped(text: &str, before: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let is_full = before.len() + line.chars().count() + 1 + word.chars().count() > WIDTH;
        if is_full && !line.is_empty() {
            writeln!(lines, "{before}{}", std::mem::take(&mut line)).unwrap();
        }
        line.push(' ');
        line.push_str(word);
    }
    if !line.is_empty() {
        writeln!(lines, "{before}{line}").unwrap();
    }
    lines
}

fn python() -> String {
    let mut text = r#""""The messages of a team's queue as types, for a checker such as mypy or pyright; json.loads gives what they describe.

Generated from infra/events/*.schema.json: do not edit. Python 3.11 or newer.
"""

from typing import Any, Literal, NotRequired, TypedDict, Union
"#
    .to_owned();
    for (name, object) in objects() {
        write!(text, "\n\n{}", wrapped(&says(&object), "#")).unwrap();
        writeln!(text, "class {name}(TypedDict):").unwrap();
        for Member {
            name,
            is_required,
            is,
            says,
        } in members_of(&name, &object)
        {
            text.push_str(&wrapped(&says, "    #"));
            match is_required {
                true => writeln!(text, "    {name}: {}", is.python()).unwrap(),
                false => writeln!(text, "    {name}: NotRequired[{}]", is.python()).unwrap(),
            }
        }
    }
    text
}

fn typescript() -> String {
    let mut text =
        "// The messages of a team's queue as types; JSON.parse gives what they describe.\n\
         // Generated from infra/events/*.schema.json: do not edit.\n"
            .to_owned();
    let comment = |says: &str, indent: &str| {
        assert!(!says.contains("*/"), "{says} ends its comment");
        match says {
            "" => String::new(),
            says => {
                let lines = wrapped(says, &format!("{indent} *"));
                format!("{indent}/**\n{lines}{indent} */\n")
            }
        }
    };
    for (name, object) in objects() {
        write!(text, "\n{}", comment(&says(&object), "")).unwrap();
        writeln!(text, "export interface {name} {{").unwrap();
        for Member {
            name,
            is_required,
            is,
            says,
        } in members_of(&name, &object)
        {
            text.push_str(&comment(&says, "  "));
            let optional = if is_required { "" } else { "?" };
            writeln!(text, "  {name}{optional}: {};", is.typescript()).unwrap();
        }
        text.push_str("}\n");
    }
    text
}

#[test]
fn every_type_that_is_named_is_defined() {
    fn names(is: &Type) -> Vec<&str> {
        match is {
            Type::Named(name) => vec![name],
            Type::List(element) => names(element),
            Type::Either(types) => types.iter().flat_map(names).collect(),
            Type::Text | Type::Boolean | Type::Null | Type::Anything | Type::Literals(_) => vec![],
        }
    }
    let objects = objects();
    let defined: BTreeSet<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
    let mut named = 0;
    for (name, object) in &objects {
        for member in members_of(name, object) {
            for name in names(&member.is) {
                assert!(defined.contains(name), "{name} is not defined");
                named += 1;
            }
        }
    }
    assert!(named > 0, "no type is named");
}

#[test]
fn the_types_are_what_the_schemas_describe() {
    let files = BTreeMap::from([
        ("clients/python/orderhook_events.py".to_owned(), python()),
        (
            "clients/typescript/orderhook-events.d.ts".to_owned(),
            typescript(),
        ),
    ]);
    published(&files, None);
}
