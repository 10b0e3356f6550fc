//! The size of an item, and what a write of it costs.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// An item's attributes by name.
pub type Attributes = BTreeMap<String, Value>;

/// The bytes of an item in DynamoDB's JSON.
pub fn bytes(item: &Attributes) -> u64 {
    let sizes = item
        .iter()
        .map(|(name, value)| length(name) + value_bytes(value));
    sizes.sum()
}

/// The units that a write of so many bytes costs: one for each KB that was begun.
pub fn write_units(bytes: u64) -> f64 {
    crate::stand::chunks(bytes, 1024)
}

/// The item that `PutItem` writes, or that `UpdateItem` makes where there was none; `None` where the request is neither.
pub fn written(request: &Value) -> Option<Attributes> {
    if let Some(item) = request.get("Item") {
        return Some(owned(item.as_object()?));
    }
    let mut item = owned(request.get("Key")?.as_object()?);
    let expression = request.get("UpdateExpression")?.as_str()?;
    let none = Map::new();
    let member = |name| {
        request
            .get(name)
            .and_then(Value::as_object)
            .unwrap_or(&none)
    };
    let names = member("ExpressionAttributeNames");
    let values = member("ExpressionAttributeValues");
    let mut tokens = expression
        .split(|c: char| c.is_whitespace() || "(),".contains(c))
        .filter(|token| !token.is_empty())
        .peekable();
    let (mut clause, mut attribute) = ("", "");
    while let Some(token) = tokens.next() {
        let next = tokens.peek().copied().unwrap_or_default();
        match (clause, token) {
            (_, "SET" | "ADD" | "REMOVE" | "DELETE") => clause = token,
            // `#a = :a`, `#a = if_not_exists(#b, :a)`; and in the other clause `#a :a`.
            ("SET", _) if next == "=" => attribute = token,
            ("ADD", _) if next.starts_with(':') => attribute = token,
            ("SET" | "ADD", _) if token.starts_with(':') => {
                let name = names.get(attribute).and_then(Value::as_str);
                let name = name.unwrap_or(attribute).to_owned();
                item.insert(name, values.get(token)?.clone());
            }
            _ => {}
        }
    }
    Some(item)
}

fn owned(attributes: &Map<String, Value>) -> Attributes {
    let all = attributes.iter();
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// The bytes of a value, without its name.
fn value_bytes(value: &Value) -> u64 {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return 0;
    };
    let many = |each: fn(&Value) -> u64| value.as_array().into_iter().flatten().map(each).sum();
    match kind.as_str() {
        "S" => text(value),
        "N" => number(value),
        "B" => binary(value),
        "M" => {
            let members = value.as_object().into_iter().flatten();
            3 + members
                .map(|(name, value)| 1 + length(name) + value_bytes(value))
                .sum::<u64>()
        }
        "L" => 3 + many(|value| 1 + value_bytes(value)),
        "SS" => many(text),
        "NS" => many(number),
        "BS" => many(binary),
        _ => 1,
    }
}

fn text(value: &Value) -> u64 {
    value.as_str().map_or(0, length)
}

/// About a byte for two digits, and one more.
fn number(value: &Value) -> u64 {
    let digits = value
        .as_str()
        .map_or(0, |text| text.bytes().filter(u8::is_ascii_digit).count());
    u64::try_from(digits.div_ceil(2) + 1).unwrap_or(u64::MAX)
}

/// The bytes behind base64.
fn binary(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    length(text.trim_end_matches('=')) * 3 / 4
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::text(json!({ "S": "é" }), 2)]
    #[case::number(json!({ "N": "-12.345" }), 4)]
    #[case::one_digit(json!({ "N": "7" }), 2)]
    #[case::bytes(json!({ "B": "AAAA" }), 3)]
    #[case::padded(json!({ "B": "AA==" }), 1)]
    #[case::truth(json!({ "BOOL": true }), 1)]
    #[case::null(json!({ "NULL": true }), 1)]
    #[case::map(json!({ "M": { "ab": { "S": "c" } } }), 3 + 1 + 2 + 1)]
    #[case::list(json!({ "L": [{ "S": "c" }, { "N": "1" }] }), 3 + 2 + 3)]
    #[case::set(json!({ "SS": ["a", "bc"] }), 3)]
    #[case::nothing(json!({}), 0)]
    #[case::no_value(json!("text"), 0)]
    fn values_have_dynamodbs_sizes(#[case] value: Value, #[case] expected: u64) {
        assert_eq!(value_bytes(&value), expected);
        assert_eq!(
            bytes(&Attributes::from([("name".to_owned(), value)])),
            expected + 4
        );
    }

    #[rstest]
    #[case(0, 1.0)]
    #[case(1024, 1.0)]
    #[case(1025, 2.0)]
    fn a_write_is_billed_by_the_kilobyte(#[case] bytes: u64, #[case] units: f64) {
        assert!((write_units(bytes) - units).abs() < f64::EPSILON);
    }

    #[test]
    fn an_update_of_nothing_makes_an_item() {
        let request = json!({
            "Key": { "pk": { "S": "p" } },
            "UpdateExpression": "SET #data = :data, #once = if_not_exists(#once, :once), \
                #c1 = if_not_exists(#c0, :none), #c0 = :c0 REMOVE #gone ADD #attempts :attempts",
            "ExpressionAttributeNames": {
                "#data": "data", "#once": "once", "#c0": "c0", "#c1": "c1", "#gone": "gone",
                "#attempts": "attempts",
            },
            "ExpressionAttributeValues": {
                ":data": { "S": "d" }, ":once": { "S": "o" }, ":none": { "S": "" }, ":c0": { "S": "c" },
                ":attempts": { "N": "1" }, ":condition": { "S": "not kept" },
            },
        });
        let item = written(&request).unwrap();
        let expected = json!({
            "pk": { "S": "p" }, "data": { "S": "d" }, "once": { "S": "o" }, "c1": { "S": "" },
            "c0": { "S": "c" }, "attempts": { "N": "1" },
        });
        assert_eq!(item, owned(expected.as_object().unwrap()));
    }

    #[rstest]
    #[case::no_key(json!({ "UpdateExpression": "SET #a = :a" }))]
    #[case::no_expression(json!({ "Key": {} }))]
    #[case::no_value(json!({ "Key": {}, "UpdateExpression": "SET #a = :a" }))]
    #[case::no_object(json!({ "Item": 7 }))]
    fn what_writes_no_item_is_none(#[case] request: Value) {
        assert_eq!(written(&request), None);
    }
}
