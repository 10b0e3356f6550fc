//! The records table, read as anybody reads it: items into JSON, without the product's own reader.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use local::aws::Aws;
use serde_json::{Value, json};

/// A record as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The last data.
    pub(crate) data: Option<Value>,
    /// The event that it is from.
    pub(crate) event_id: Option<String>,
    /// Whether a delete was seen.
    pub(crate) deleted: bool,
    /// The events that said the same, where they are collected.
    pub(crate) event_ids: BTreeSet<String>,
}

/// A record's account, kind and id.
pub(crate) type RecordKey = (String, String, String);

/// Every record of these accounts and kinds.
///
/// # Errors
/// The table does not answer, or an item is not what one can read.
pub(crate) async fn read(
    aws: &Aws,
    table: &str,
    accounts: &[String],
    kinds: &BTreeSet<&str>,
) -> Result<BTreeMap<RecordKey, Record>> {
    let mut records = BTreeMap::new();
    for account in accounts {
        for kind in kinds {
            let mut from = Value::Null;
            loop {
                let mut query = json!({
                    "TableName": table, "ConsistentRead": true, "KeyConditionExpression": "pk = :pk",
                    "ExpressionAttributeValues": { ":pk": { "S": format!("{account}#{kind}") } },
                });
                if let Some(query) = query.as_object_mut().filter(|_| !from.is_null()) {
                    query.insert("ExclusiveStartKey".to_owned(), from);
                }
                let answer = aws.dynamodb("Query", &query).await?;
                let items = answer.get("Items").and_then(Value::as_array);
                for item in items.into_iter().flatten() {
                    let id = item.pointer("/sk/S").and_then(Value::as_str);
                    let id = id.context("an item has no sort key")?;
                    let key = (account.clone(), (*kind).to_owned(), id.to_owned());
                    let record = record(item)
                        .with_context(|| format!("the record {account} {kind}/{id}"))?;
                    records.insert(key, record);
                }
                from = answer.get("LastEvaluatedKey").cloned().unwrap_or_default();
                if from.is_null() {
                    break;
                }
            }
        }
    }
    Ok(records)
}

fn record(item: &Value) -> Result<Record> {
    for form in ["compact", "dataref"] {
        if item.get(form).is_some() {
            bail!("it is kept as {form}, though a map can hold it");
        }
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let event_ids = item.pointer("/event_ids/SS").and_then(Value::as_array);
    Ok(Record {
        data: item.get("data").map(plain).transpose()?,
        event_id: item.pointer("/event_id/S").and_then(text),
        deleted: item.pointer("/deleted/BOOL") == Some(&Value::Bool(true)),
        event_ids: event_ids.into_iter().flatten().filter_map(text).collect(),
    })
}

/// An attribute as the JSON that it stands for.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>
fn plain(attribute: &Value) -> Result<Value> {
    let (kind, value) = attribute
        .as_object()
        .and_then(|members| members.iter().next())
        .context("an attribute has no type")?;
    Ok(match (kind.as_str(), value) {
        ("S" | "BOOL", value) => value.clone(),
        ("NULL", _) => Value::Null,
        ("N", Value::String(number)) => json!(number.parse::<f64>()?),
        ("L", Value::Array(list)) => Value::Array(list.iter().map(plain).collect::<Result<_>>()?),
        ("M", Value::Object(map)) => Value::Object(
            map.iter()
                .map(|(name, value)| Ok((name.clone(), plain(value)?)))
                .collect::<Result<_>>()?,
        ),
        (other, _) => bail!("no JSON becomes an attribute of type {other}"),
    })
}

/// A record's text in the same form: every number as a fraction, because that is what a table's numbers are.
///
/// # Errors
/// It is no JSON.
pub(crate) fn of_text(text: &str) -> Result<Value> {
    fn widen(value: Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64()),
            Value::Array(list) => Value::Array(list.into_iter().map(widen).collect()),
            Value::Object(map) => map
                .into_iter()
                .map(|(name, value)| (name, widen(value)))
                .collect(),
            other => other,
        }
    }
    Ok(widen(serde_json::from_str(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_reads_back_as_the_text_that_it_was() {
        let item = json!({
            "pk": {"S": "acme#order"}, "sk": {"S": "or_1"}, "event_id": {"S": "e"},
            "data": {"M": {
                "id": {"S": "or_1"}, "total": {"N": "12.5"}, "lines": {"L": [{"N": "100"}, {"NULL": true}]},
                "open": {"BOOL": true},
            }},
        });
        let record = record(&item).unwrap();
        let text = r#"{"open":true, "id":"or_1","total":12.50,"lines":[1e2,null]}"#;
        assert_eq!(record.data, Some(of_text(text).unwrap()));
        assert_eq!(record.event_id.as_deref(), Some("e"));
        assert!(!record.deleted);
        let other = r#"{"open":true,"id":"or_1","total":12.51,"lines":[100,null]}"#;
        assert_ne!(record.data, Some(of_text(other).unwrap()));
    }
}
