//! JSON of every kind for the tests, and what two texts of equal value have in common.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

/// JSON with numbers, names and nesting that a DynamoDB map can hold, in spellings of all kinds.
pub(super) fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any_number(),
        any_text().prop_map(|text| quoted(&text)),
        "(\\\\u00[0-7][0-9a-fA-F]|\\\\n|\\\\/|\\\\ud83e\\\\udd50|[a-zé🥐 ]){0,8}"
            .prop_map(|escaped| format!("\"{escaped}\"")),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6)
                .prop_map(|elements| format!("[ {} ]", elements.join(" ,\n"))),
            proptest::collection::btree_map(any_name(), inner, 0..6).prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("{}:\t{value}", quoted(name)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\u{0}-\u{1F}\"\\\\\u{7F}\u{FFFE}\u{FFFF}]{0,5}"
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    any_text().prop_filter("a name is not empty", |name| !name.is_empty())
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        "-?0(\\.0{1,20})?([eE][+-]?[0-9]{1,4})?",
    ]
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A value that is equal where two JSON texts say the same: names in order, numbers as digits and exponent,
/// independent of how the adapter reads them.
#[derive(Debug, PartialEq)]
pub(super) enum Canonical {
    Word(String),
    Number(bool, String, i64),
    Text(String),
    List(Vec<Canonical>),
    Map(BTreeMap<String, Canonical>),
}

pub(super) fn canonical(json: &str) -> Canonical {
    let raw: &RawValue = serde_json::from_str(json).unwrap();
    let json = raw.get();
    match json.as_bytes()[0] {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap();
            let members = members.into_iter();
            Canonical::Map(
                members
                    .map(|(name, value)| (name, canonical(value.get())))
                    .collect(),
            )
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap();
            Canonical::List(
                elements
                    .iter()
                    .map(|element| canonical(element.get()))
                    .collect(),
            )
        }
        b'"' => Canonical::Text(serde_json::from_str(json).unwrap()),
        b'-' | b'0'..=b'9' => number(json),
        _ => Canonical::Word(json.to_owned()),
    }
}

fn number(text: &str) -> Canonical {
    let text = text.to_lowercase();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut exponent: i64 = exponent.parse().unwrap();
    let negative = mantissa.starts_with('-');
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if let Some((_, fraction)) = mantissa.split_once('.') {
        exponent -= i64::try_from(fraction.len()).unwrap();
    }
    while digits.ends_with('0') {
        digits.pop();
        exponent += 1;
    }
    match digits.trim_start_matches('0') {
        "" => Canonical::Number(false, String::new(), 0),
        digits => Canonical::Number(negative, digits.to_owned(), exponent),
    }
}
