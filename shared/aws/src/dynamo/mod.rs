//! DynamoDB: the accounts, receipts and records tables.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html>

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub mod accounts;
mod changes;
mod compression;
pub mod erasures;
mod keys;
pub mod receipts;
pub mod records;
pub mod tokens;

pub use compression::{Dictionary, DictionaryError};

/// An item, attribute by attribute.
pub type Item = HashMap<String, AttributeValue>;

/// Partition and sort key of every table.
pub(crate) const PK: &str = "pk";
/// The sort key, where a table has one.
pub(crate) const SK: &str = "sk";
/// The attribute by which DynamoDB removes items some time after it has passed, in seconds since 1970.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// The code of an item that does not say what its kind says.
pub(crate) const MALFORMED_ITEM: &str = "malformed_item";

/// Whether a code says that the content was refused: too large, too deep, a number too long.
pub(crate) fn is_permanent(code: &str) -> bool {
    matches!(code, "ValidationException" | "http_413")
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number_of(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A client that is never used to ask anything, for tests of what would be asked.
#[cfg(test)]
pub(crate) fn offline() -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}
