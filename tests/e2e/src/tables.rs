//! What the tables hold of one account, read as the functions' own adapters read it.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where an item is not what it should be"
)]

use std::collections::{BTreeSet, HashMap};

use aws::dynamo::receipts::read::read_body;
use aws::dynamo::records::read_record;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::timestamp::Timestamp;
use operate::when;

use crate::stack::Stack;

/// How long a test may have run over midnight, in seconds.
const LONGEST_TEST_SECONDS: u64 = 1800;

/// An item as DynamoDB gives it.
pub type Item = HashMap<String, AttributeValue>;

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// The last data, as JSON.
    pub data: Option<String>,
    /// Whether a delete was seen.
    pub deleted: bool,
    /// The event whose data it is.
    pub event_id: Option<String>,
    /// The events that made it, where they are collected.
    pub occurrences: Vec<String>,
    /// `data`, `compact` or `dataref`.
    pub form: Option<&'static str>,
}

/// A delivery that was kept.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The delivery id.
    pub delivery: String,
    /// How many events were recognised.
    pub events: u64,
    /// How often it was posted, at least.
    pub attempts: u64,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Stack {
    /// A record by its account, kind and id.
    pub async fn record(&self, account: &str, kind: &str, id: &str) -> Option<Record> {
        let table = self.output("RecordsTable");
        let partition = format!("{account}#{kind}");
        let item = self.item(table, &partition, Some(id)).await?;
        let data = read_record(&item, &self.oversize).await;
        let data = data.unwrap_or_else(|error| panic!("{account}#{kind}/{id}: {error}"));
        let forms = ["data", "compact", "dataref"];
        Some(Record {
            data,
            deleted: matches!(item.get("deleted"), Some(AttributeValue::Bool(true))),
            event_id: text(&item, "event_id"),
            occurrences: match item.get("event_ids") {
                Some(AttributeValue::Ss(ids)) => ids.clone(),
                _ => Vec::new(),
            },
            form: forms.into_iter().find(|form| item.contains_key(*form)),
        })
    }

    /// The receipt of a delivery.
    pub async fn receipt(&self, account: &str, delivery: &str) -> Option<Receipt> {
        let all = self.receipts(account).await;
        all.into_iter().find(|receipt| receipt.delivery == delivery)
    }

    /// All deliveries of an account that were kept today or in the minutes before midnight, in the order of their ids.
    pub async fn receipts(&self, account: &str) -> Vec<Receipt> {
        let now = when::now();
        let days = [now, when::back(now, LONGEST_TEST_SECONDS)].map(Timestamp::day);
        let days = BTreeSet::from(days);
        let mut receipts = Vec::new();
        for day in days {
            let partition = format!("{account}#{day}");
            for item in self.query(self.output("ReceiptsTable"), &partition).await {
                let body = read_body(&item, &self.oversize).await;
                receipts.push(Receipt {
                    delivery: text(&item, "sk").expect("a sort key"),
                    events: number(&item, "events"),
                    attempts: number(&item, "attempts"),
                    body: body.unwrap_or_else(|error| panic!("a receipt of {account}: {error}")),
                });
            }
        }
        receipts.sort_by(|one, other| one.delivery.cmp(&other.delivery));
        receipts
    }

    /// The body that a quarantine message's pointer leads to.
    pub async fn receipt_at(&self, pk: &str, sk: &str) -> Option<Vec<u8>> {
        let table = self.output("ReceiptsTable");
        let item = self.item(table, pk, Some(sk)).await?;
        let body = read_body(&item, &self.oversize).await;
        Some(body.unwrap_or_else(|error| panic!("{pk} {sk}: {error}")))
    }

    /// The deliveries that retry markers of an account stand for.
    pub async fn markers(&self, account: &str) -> Vec<String> {
        let partition = format!("#retry#{account}");
        self.texts_of_receipts(&partition, "delivery").await
    }

    /// The causes of an account's failed deliveries, in the order of time.
    pub async fn failures(&self, account: &str) -> Vec<String> {
        let partition = format!("#strike#{account}");
        self.texts_of_receipts(&partition, "cause").await
    }

    async fn texts_of_receipts(&self, partition: &str, name: &str) -> Vec<String> {
        let items = self.query(self.output("ReceiptsTable"), partition).await;
        items.iter().filter_map(|item| text(item, name)).collect()
    }

    /// An item of the table of accounts.
    pub async fn account_item(&self, pk: &str) -> Option<Item> {
        self.item(self.output("AccountsTable"), pk, None).await
    }

    /// An item of a table with one key or two.
    pub async fn item(&self, table: &str, pk: &str, sk: Option<&str>) -> Option<Item> {
        let key = [Some(("pk", pk)), sk.map(|sk| ("sk", sk))];
        let key = key.into_iter().flatten();
        let key = key.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
        let call = self.dynamo.get_item().set_key(Some(key.collect()));
        let answer = call.table_name(table).consistent_read(true).send().await;
        answer.expect("an answer of the table").item
    }

    /// All items of a partition.
    pub async fn query(&self, table: &str, pk: &str) -> Vec<Item> {
        let answer = self
            .dynamo
            .query()
            .table_name(table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .send()
            .await;
        answer
            .expect("an answer of the table")
            .items
            .unwrap_or_default()
    }
}

/// A text attribute.
#[must_use]
pub fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn number(item: &Item, name: &str) -> u64 {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}
