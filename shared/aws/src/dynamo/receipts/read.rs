//! Reading receipts: when deliveries came, which were refused, and the bytes of one.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::{AccountName, WebhookId};
use domain::delivery::KeptDelivery;
use domain::envelope::DataRef;
use domain::identity::DeliveryId;
use domain::ports::{ClaimCheck, PortError};
use domain::subscription::{Arrival, Deliveries, FailedDelivery};
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{ATTEMPTS, BODY, CAUSE, DATAREF, HEADERS, PART, PROOF, REGISTRATION, WEBHOOK};
use crate::dynamo::compression::unpack;
use crate::dynamo::{Item, MALFORMED_ITEM, PK, SK, is_permanent, keys, number_of, text, text_of};
use crate::failure::port_error;

const READING: &str = "reading a receipt";
const READING_RECEIPTS: &str = "reading an account's receipts";
const READING_FAILED: &str = "reading an account's failed deliveries";

/// The receipts table, as far as it says when deliveries came.
#[derive(Debug, Clone)]
pub struct DynamoDeliveries {
    client: Client,
    table: String,
}

impl DynamoDeliveries {
    /// Reads receipts of this table.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }
}

impl Deliveries for DynamoDeliveries {
    async fn since(
        &self,
        account: &AccountName,
        day: &str,
        after: Option<DeliveryId>,
        most: usize,
    ) -> Result<Vec<DeliveryId>, PortError> {
        // Every id sorts behind this.
        let after = after.map_or_else(|| "0".to_owned(), |after| after.to_string());
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", keys::receipts(account, day))
            .expression_attribute_values(":after", text(after))
            .projection_expression(SK);
        let items = first(READING_RECEIPTS, query, most).await?;
        let ids = items.iter().filter_map(|item| text_of(item, SK));
        Ok(ids.filter_map(|id| id.parse().ok()).collect())
    }

    async fn arrivals(
        &self,
        account: &AccountName,
        day: &str,
        most: usize,
    ) -> Result<Vec<Arrival>, PortError> {
        let partition = keys::receipts(account, day);
        let items = self.newest(READING_RECEIPTS, partition, most).await?;
        Ok(items.iter().filter_map(arrival).collect())
    }

    async fn arrival(
        &self,
        account: &AccountName,
        delivery: DeliveryId,
    ) -> Result<Option<Arrival>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, keys::receipts(account, &delivery.first_seen().day()))
            .key(SK, text(delivery.to_string()))
            .projection_expression(RECEIPT)
            .send()
            .await
            .map_err(|error| port_error(READING_RECEIPTS, &error, is_permanent))?;
        Ok(answer.item().and_then(arrival))
    }

    async fn failed(
        &self,
        account: &AccountName,
        most: usize,
    ) -> Result<Vec<FailedDelivery>, PortError> {
        let partition = keys::failed_deliveries(account);
        let items = self.newest(READING_FAILED, partition, most).await?;
        Ok(items.iter().filter_map(failed_delivery).collect())
    }
}

/// What is read of a receipt and of a failed delivery: never a body.
const RECEIPT: &str = "sk, registration, webhook, proof, attempts, cause";

impl DynamoDeliveries {
    /// The items of a partition with the greatest sort keys.
    async fn newest(
        &self,
        what: &'static str,
        partition: AttributeValue,
        most: usize,
    ) -> Result<Vec<Item>, PortError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", partition)
            .projection_expression(RECEIPT)
            .scan_index_forward(false);
        first(what, query, most).await
    }
}

/// The first items that a query finds.
async fn first(
    what: &'static str,
    query: QueryFluentBuilder,
    most: usize,
) -> Result<Vec<Item>, PortError> {
    let limit = i32::try_from(most).unwrap_or(i32::MAX);
    let mut pages = query.limit(limit).into_paginator().send();
    let mut found = Vec::new();
    // A page ends at a megabyte of receipts, also where their bodies are not asked for.
    while found.len() < most {
        let Some(page) = pages.next().await else {
            break;
        };
        let page = page.map_err(|error| port_error(what, &error, is_permanent))?;
        found.extend(page.items.unwrap_or_default());
    }
    found.truncate(most);
    Ok(found)
}

/// A receipt; one that cannot be read tells nothing.
fn arrival(item: &Item) -> Option<Arrival> {
    Some(Arrival {
        delivery: text_of(item, SK)?.parse().ok()?,
        registration: text_of(item, REGISTRATION).and_then(|token| token.parse().ok()),
        webhook: text_of(item, WEBHOOK).map(WebhookId::new),
        assurance: text_of(item, PROOF).and_then(|proof| proof.parse().ok()),
        attempts: usize::try_from(number_of(item, ATTEMPTS)?).ok()?,
    })
}

fn failed_delivery(item: &Item) -> Option<FailedDelivery> {
    let (millis, delivery) = text_of(item, SK)?.split_once('#')?;
    Some(FailedDelivery {
        at: Timestamp::from_millis(millis.parse().ok()?),
        delivery: delivery.parse().ok()?,
        cause: text_of(item, CAUSE)?.to_owned(),
    })
}

/// The body that a receipt kept, byte for byte, wherever it is.
///
/// # Errors
/// The item is no receipt, or the store did not answer.
pub async fn read_body(item: &Item, oversize: &impl ClaimCheck) -> Result<Vec<u8>, PortError> {
    let malformed = || PortError::transient(READING, MALFORMED_ITEM);
    if let Some(AttributeValue::B(packed)) = item.get(BODY) {
        return unpack(packed.as_ref()).map_err(|_| malformed());
    }
    let place = text_of(item, DATAREF).and_then(DataRef::parse);
    oversize.get(&place.ok_or_else(malformed)?).await
}

/// The delivery that a receipt kept, so that it can be split again: its body, and the headers and the part by which it is.
///
/// # Errors
/// The item is no receipt, or the store did not answer.
pub async fn read_delivery(
    item: &Item,
    oversize: &impl ClaimCheck,
) -> Result<KeptDelivery, PortError> {
    let malformed = || PortError::transient(READING, MALFORMED_ITEM);
    let headers = match item.get(HEADERS) {
        None => Some(HeaderMap::new()),
        Some(stored) => headers(stored),
    };
    let part = match item.get(PART) {
        None => Some(String::new()),
        Some(stored) => stored.as_s().ok().cloned(),
    };
    Ok(KeptDelivery {
        headers: headers.ok_or_else(malformed)?,
        part: part.ok_or_else(malformed)?,
        body: read_body(item, oversize).await?,
    })
}

/// Headers as they were kept; `None` where the attribute is of another form.
fn headers(stored: &AttributeValue) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, values) in stored.as_m().ok()? {
        let name: HeaderName = name.parse().ok()?;
        for value in values.as_l().ok()? {
            let value = match value {
                AttributeValue::S(text) => HeaderValue::from_bytes(text.as_bytes()),
                AttributeValue::B(bytes) => HeaderValue::from_bytes(bytes.as_ref()),
                _ => return None,
            };
            headers.append(&name, value.ok()?);
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::primitives::Blob;
    use rstest::rstest;

    use crate::dynamo::Dictionary;
    use crate::dynamo::compression::pack;
    use testkit::fakes::FakeOversize;

    fn receipt(attribute: &str, value: AttributeValue) -> Item {
        let body = AttributeValue::B(Blob::new(pack(b"{}", Dictionary::First).unwrap()));
        Item::from([(BODY.to_owned(), body), (attribute.to_owned(), value)])
    }

    fn map(name: &str, value: AttributeValue) -> AttributeValue {
        AttributeValue::M(Item::from([(name.to_owned(), value)]))
    }

    #[rstest]
    #[case::no_map(HEADERS, text("x-topic"))]
    #[case::no_list(HEADERS, map("x-topic", text("a")))]
    #[case::no_name(HEADERS, map("x topic", AttributeValue::L(vec![])))]
    #[case::no_value(HEADERS, map("x-topic", AttributeValue::L(vec![text("a\nb")])))]
    #[case::no_text(HEADERS, map("x-topic", AttributeValue::L(vec![AttributeValue::Bool(true)])))]
    #[case::no_part(PART, AttributeValue::Bool(true))]
    #[tokio::test]
    async fn what_is_no_receipt_is_malformed(
        #[case] attribute: &str,
        #[case] value: AttributeValue,
    ) {
        let item = receipt(attribute, value);
        let error = read_delivery(&item, &FakeOversize::default()).await;
        assert_eq!(error.unwrap_err().code, MALFORMED_ITEM);
    }

    #[tokio::test]
    async fn a_delivery_reads_back_with_its_part() {
        let item = receipt(PART, text("orders"));
        let kept = read_delivery(&item, &FakeOversize::default()).await;
        let kept = kept.unwrap();
        assert_eq!(
            (kept.delivery().part, kept.delivery().body),
            ("orders", &b"{}"[..])
        );
        assert!(kept.headers.is_empty());
    }
}
