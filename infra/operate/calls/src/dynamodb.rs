//! DynamoDB: items, a page at a time, and how tables are kept.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Calls, Error, Service};

/// Items that one batch reads at the most.
pub const BATCH: usize = 100;

/// An item, or the key of one: attributes in DynamoDB's JSON (`{"pk":{"S":"acme"}}`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Item(pub Map<String, Value>);

impl Item {
    /// A key of text attributes.
    #[must_use]
    pub fn key(attributes: &[(&str, &str)]) -> Self {
        let attribute = |(name, value): &(&str, &str)| ((*name).to_owned(), json!({ "S": value }));
        Self(attributes.iter().map(attribute).collect())
    }

    /// A text attribute.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.get("S")?.as_str()
    }

    /// A number attribute.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.get("N")?.as_str()?.parse().ok()
    }

    /// A boolean attribute.
    #[must_use]
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.get("BOOL")?.as_bool()
    }

    /// A binary attribute, in base64.
    #[must_use]
    pub fn base64(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.get("B")?.as_str()
    }

    /// An attribute as DynamoDB writes it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// A page of a query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Page {
    /// The items.
    #[serde(default)]
    pub items: Vec<Item>,
    /// What the next page is asked with; none on the last one.
    pub last_evaluated_key: Option<Item>,
}

/// How a table is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backups {
    /// Whether it can be restored to any time of the last days.
    pub point_in_time: bool,
}

/// A page of a query: `input` is that of `Query` (`TableName`, `KeyConditionExpression` and so on); `from` is the key
/// that the page before ended with.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn query(calls: &Calls, input: &Value, from: Option<&Item>) -> Result<Page, Error> {
    let mut input = input.clone();
    if let (Some(from), Some(input)) = (from, input.as_object_mut()) {
        input.insert("ExclusiveStartKey".to_owned(), json!(from.0));
    }
    calls.json(Service::DynamoDb, "Query", &input).await
}

/// An item by its key; none where there is none. `attributes` are the only ones that are read, all where it is empty.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn get(
    calls: &Calls,
    table: &str,
    key: &Item,
    attributes: &[&str],
) -> Result<Option<Item>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        item: Option<Item>,
    }
    let mut input = projected(attributes);
    input.insert("TableName".to_owned(), json!(table));
    input.insert("Key".to_owned(), json!(key.0));
    let answer: Answer = calls.json(Service::DynamoDb, "GetItem", &input).await?;
    Ok(answer.item)
}

/// Items by their keys, up to [`BATCH`]; those that do not exist are left out. What DynamoDB left for later is asked for
/// again, until everything is answered.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn batch_get(
    calls: &Calls,
    table: &str,
    keys: &[Item],
    attributes: &[&str],
) -> Result<Vec<Item>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        responses: BTreeMap<String, Vec<Item>>,
        #[serde(default)]
        unprocessed_keys: BTreeMap<String, Value>,
    }
    // Where none of the keys is answered several times in a row, the table is overloaded.
    const FRUITLESS: u32 = 5;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut request = projected(attributes);
    let keys: Vec<&Map<String, Value>> = keys.iter().map(|key| &key.0).collect();
    request.insert("Keys".to_owned(), json!(keys));
    let mut wanted = json!({ table: request });
    let (mut items, mut fruitless) = (Vec::new(), 0_u32);
    loop {
        let input = json!({ "RequestItems": wanted });
        let answer: Answer = calls
            .json(Service::DynamoDb, "BatchGetItem", &input)
            .await?;
        let before = items.len();
        items.extend(answer.responses.into_values().flatten());
        if answer.unprocessed_keys.is_empty() {
            return Ok(items);
        }
        fruitless = if items.len() > before {
            0
        } else {
            fruitless + 1
        };
        if fruitless > FRUITLESS {
            return Err(Error::Unreachable {
                action: "dynamodb:BatchGetItem".to_owned(),
                reason: format!("table {table} leaves keys unread"),
            });
        }
        tokio::time::sleep(std::time::Duration::from_millis(50 << fruitless)).await;
        wanted = json!(answer.unprocessed_keys);
    }
}

fn projected(attributes: &[&str]) -> Map<String, Value> {
    let mut input = Map::new();
    if attributes.is_empty() {
        return input;
    }
    // By places, since some names are words of DynamoDB's own.
    let names: Map<String, Value> = attributes
        .iter()
        .enumerate()
        .map(|(index, name)| (format!("#p{index}"), json!(name)))
        .collect();
    let expression: Vec<&str> = names.keys().map(String::as_str).collect();
    input.insert(
        "ProjectionExpression".to_owned(),
        json!(expression.join(", ")),
    );
    input.insert("ExpressionAttributeNames".to_owned(), json!(names));
    input
}

/// How a table is backed up.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn backups(calls: &Calls, table: &str) -> Result<Backups, Error> {
    let input = json!({ "TableName": table });
    let answer = calls.json(Service::DynamoDb, "DescribeContinuousBackups", &input);
    let named = |error: Error| error.naming(format!("table {table}"));
    let answer: Value = answer.await.map_err(named)?;
    let status = answer.pointer(
        "/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus",
    );
    Ok(Backups {
        point_in_time: status.and_then(Value::as_str) == Some("ENABLED"),
    })
}

/// Whether a table's items expire.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn expires(calls: &Calls, table: &str) -> Result<bool, Error> {
    let input = json!({ "TableName": table });
    let answer = calls.json(Service::DynamoDb, "DescribeTimeToLive", &input);
    let named = |error: Error| error.naming(format!("table {table}"));
    let answer: Value = answer.await.map_err(named)?;
    let status = answer.pointer("/TimeToLiveDescription/TimeToLiveStatus");
    Ok(matches!(
        status.and_then(Value::as_str),
        Some("ENABLED" | "ENABLING")
    ))
}
