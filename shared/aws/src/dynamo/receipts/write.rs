//! Writing receipts: deliveries as they came, retry markers and failed deliveries.
//!
//! `expires_at` lets DynamoDB remove items some days after their time; nothing is decided by it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::account::AccountName;
use domain::ports::{
    CheckClaims, ClaimCheck, DeliveryFailure, Marker, MarkerKey, Markers, PortError, Receipt,
    Receipts,
};
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderValue};

use super::{ATTEMPTS, BODY, CAUSE, DATAREF, FORM, HEADERS, PART, PROOF, REGISTRATION, WEBHOOK};
use crate::dynamo::changes::Changes;
use crate::dynamo::compression::pack;
use crate::dynamo::{
    Dictionary, EXPIRES_AT, Item, MALFORMED_ITEM, PK, SK, is_permanent, keys, number, number_of,
    text, text_of,
};
use crate::failure::port_error;

const KEEPING: &str = "keeping a receipt";
const READING_MARKER: &str = "reading a retry marker";
const LEASING: &str = "leasing a retry marker";
const MARKING: &str = "leaving a retry marker";
const UNMARKING: &str = "taking a retry marker away";
const CLAIMING: &str = "claiming an account's check";
const RECORDING_FAILURE: &str = "recording a failed delivery";

const DELIVERY: &str = "delivery";
const EXPIRES: &str = "expires";
const LEASED_UNTIL: &str = "leased_until";
const HOLDER: &str = "holder";

/// The most bytes that an item's other attributes take.
const OTHER_ATTRIBUTES: usize = 1024;

/// The receipts table, and the store for bodies that an item should not carry.
#[derive(Debug, Clone)]
pub struct DynamoReceipts<O> {
    client: Client,
    table: String,
    oversize: O,
    inline_limit: usize,
    ttl_seconds: u64,
    dictionary: Dictionary,
}

impl<O: ClaimCheck> DynamoReceipts<O> {
    /// Keeps deliveries and failed deliveries for `ttl_seconds`. A body that is larger than `inline_limit` bytes when
    /// compressed goes to `oversize`.
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        oversize: O,
        inline_limit: usize,
        ttl_seconds: u64,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            oversize,
            inline_limit,
            ttl_seconds,
            dictionary: Dictionary::None,
        }
    }

    /// Packs bodies with this dictionary. Release 0.1.0 does not read what is packed with one.
    #[must_use]
    pub fn with_dictionary(self, dictionary: Dictionary) -> Self {
        Self { dictionary, ..self }
    }

    /// The body as the receipt has it: compressed, or elsewhere, where an operator can read it as it is.
    async fn content(&self, receipt: &Receipt<'_>) -> Result<Changes, PortError> {
        let packed = pack(receipt.body, self.dictionary)
            .map_err(|_| PortError::transient(KEEPING, "compression"))?;
        let headers = receipt.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if packed.len() + headers + OTHER_ATTRIBUTES <= self.inline_limit {
            let body = AttributeValue::B(Blob::new(packed));
            return Ok(Changes::default().set(BODY, body).remove(DATAREF));
        }
        let key = format!("receipts/{}/{}", receipt.account, receipt.delivery);
        let place = self.oversize.put(&key, receipt.body).await?;
        Ok(Changes::default()
            .set(DATAREF, text(place.as_str()))
            .remove(BODY))
    }
}

impl<O: ClaimCheck> Receipts for DynamoReceipts<O> {
    /// A retry's receipt is that of the first attempt, whose time, registration and proof stay. `attempts` counts at
    /// least once: a call whose answer was lost is made again.
    async fn keep(&self, receipt: &Receipt<'_>) -> Result<(), PortError> {
        let events = u64::try_from(receipt.events).unwrap_or(u64::MAX);
        let expires = receipt.delivery.first_seen().plus_seconds(self.ttl_seconds);
        let changes = self
            .content(receipt)
            .await?
            .set_once("received", text(receipt.received.to_string()))
            .set_once(REGISTRATION, text(receipt.registration.to_string()))
            .set_once(PROOF, text(receipt.assurance.as_str()))
            .set("hash", text(receipt.hash.to_string()))
            .set("events", number(events))
            .set(EXPIRES_AT, number(expires.seconds()))
            .add(ATTEMPTS, number(1));
        let changes = match receipt.webhook {
            Some(webhook) => changes.set_once(WEBHOOK, text(webhook.as_str())),
            None => changes,
        };
        let changes = match receipt.form {
            Some(form) => changes.set_once(FORM, text(form.0)),
            None => changes,
        };
        // What the body is split by is that of the body's attempt.
        let changes = match receipt.part {
            "" => changes,
            part => changes.set(PART, text(part)),
        };
        let changes = match receipt.headers.is_empty() {
            true => changes,
            false => changes.set(HEADERS, headers_attribute(receipt.headers)),
        };
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, text(receipt.partition()))
            .key(SK, text(receipt.delivery.to_string()));
        let answer = Box::pin(changes.into_call(call).send()).await;
        answer
            .map(drop)
            .map_err(|error| port_error(KEEPING, &error, is_permanent))
    }

    async fn record_failure(&self, failure: &DeliveryFailure<'_>) -> Result<(), PortError> {
        let expires = failure.at.plus_seconds(self.ttl_seconds);
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(PK, keys::failed_deliveries(failure.account))
            .item(SK, text(failure_key(failure)))
            .item(CAUSE, text(failure.cause))
            .item(EXPIRES_AT, number(expires.seconds()));
        let answer = Box::pin(call.send()).await;
        answer
            .map(drop)
            .map_err(|error| port_error(RECORDING_FAILURE, &error, is_permanent))
    }
}

impl<O: ClaimCheck> Markers for DynamoReceipts<O> {
    async fn find(&self, key: MarkerKey<'_>) -> Result<Option<Marker>, PortError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, keys::markers(key.account))
            .key(SK, keys::marker(key))
            .consistent_read(true);
        let answer = Box::pin(call.send())
            .await
            .map_err(|error| port_error(READING_MARKER, &error, is_permanent))?;
        let malformed = || PortError::transient(READING_MARKER, MALFORMED_ITEM);
        let marker = answer.item().map(|item| marker(item).ok_or_else(malformed));
        marker.transpose()
    }

    /// A random holder tells a lease of this call from another's with the same end: when the first answer is
    /// lost, the SDK asks again and finds the marker leased by itself.
    async fn lease(
        &self,
        key: MarkerKey<'_>,
        seen: &Marker,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        let holder = random_holder()?;
        let changes = Changes::default()
            .set(LEASED_UNTIL, number(until.millis()))
            .set(HOLDER, text(&holder))
            .naming(DELIVERY)
            .with(DELIVERY, text(seen.delivery.to_string()))
            .with("seen", number(seen.leased_until.millis()))
            .only_if("#delivery = :delivery AND #leased_until = :seen");
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, keys::markers(key.account))
            .key(SK, keys::marker(key))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = Box::pin(changes.into_call(call).send()).await else {
            return Ok(true);
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let item = failed.item();
                Ok(item.is_some_and(|item| text_of(item, HOLDER) == Some(&holder)))
            }
            _ => Err(port_error(LEASING, &error, is_permanent)),
        }
    }

    async fn mark(
        &self,
        key: MarkerKey<'_>,
        marker: &Marker,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), PortError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(PK, keys::markers(key.account))
            .item(SK, keys::marker(key))
            .item(DELIVERY, text(marker.delivery.to_string()))
            .item(EXPIRES, number(marker.expires.millis()))
            .item(LEASED_UNTIL, number(marker.leased_until.millis()))
            .item(ATTEMPTS, number(marker.attempts.into()))
            .item(EXPIRES_AT, number(marker.expires.seconds()))
            .condition_expression(
                "attribute_not_exists(#leased_until) OR #leased_until = :until OR #expires <= :now",
            )
            .expression_attribute_names("#leased_until", LEASED_UNTIL)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":until", number(until.millis()))
            .expression_attribute_values(":now", number(now.millis()));
        let answer = Box::pin(call.send()).await;
        match answer {
            Ok(_) => Ok(()),
            // Another attempt's, and the next one takes its identity.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(MARKING, &error, is_permanent)),
        }
    }

    async fn unmark(&self, key: MarkerKey<'_>, until: Timestamp) -> Result<(), PortError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(PK, keys::markers(key.account))
            .key(SK, keys::marker(key))
            .condition_expression("#leased_until = :until")
            .expression_attribute_names("#leased_until", LEASED_UNTIL)
            .expression_attribute_values(":until", number(until.millis()));
        let answer = Box::pin(call.send()).await;
        match answer {
            Ok(_) => Ok(()),
            // It is gone, or somebody else's by now.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(port_error(UNMARKING, &error, is_permanent)),
        }
    }
}

impl<O: ClaimCheck> CheckClaims for DynamoReceipts<O> {
    async fn claim_check(
        &self,
        account: &AccountName,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(PK, keys::check_claims())
            .item(SK, text(account.as_str()))
            .item(EXPIRES, number(until.millis()))
            .item(EXPIRES_AT, number(until.seconds()))
            .condition_expression("attribute_not_exists(#expires) OR #expires <= :now")
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":now", number(now.millis()));
        let answer = Box::pin(call.send()).await;
        match answer {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(port_error(CLAIMING, &error, is_permanent)),
        }
    }
}

/// Headers by their names, each with its values in their order: text where a value is text, else its bytes.
fn headers_attribute(headers: &HeaderMap) -> AttributeValue {
    let value = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
        Ok(readable) => text(readable),
        Err(_) => AttributeValue::B(Blob::new(value.as_bytes())),
    };
    let values = |name| headers.get_all(name).iter().map(value).collect();
    let named = headers
        .keys()
        .map(|name| (name.as_str().to_owned(), AttributeValue::L(values(name))));
    AttributeValue::M(named.collect())
}

/// Sorts by time: 13 digits last until the year 2286.
fn failure_key(failure: &DeliveryFailure<'_>) -> String {
    format!("{:013}#{}", failure.at.millis(), failure.delivery)
}

fn marker(item: &Item) -> Option<Marker> {
    Some(Marker {
        delivery: text_of(item, DELIVERY)?.parse().ok()?,
        expires: Timestamp::from_millis(number_of(item, EXPIRES)?),
        leased_until: Timestamp::from_millis(number_of(item, LEASED_UNTIL)?),
        // Only a log line has it: what is missing or odd must not cost a retry its identity.
        attempts: number_of(item, ATTEMPTS)
            .and_then(|attempts| u32::try_from(attempts).ok())
            .unwrap_or(1),
    })
}

fn random_holder() -> Result<String, PortError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| PortError::transient(LEASING, "randomness"))?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use domain::account::UrlToken;
    use domain::envelope::DataRef;
    use domain::identity::BodyHash;
    use domain::identity::DeliveryId;
    use domain::signature::Assurance;
    use rstest::rstest;

    use super::*;
    use crate::dynamo::offline;

    fn delivery(millis: u64) -> DeliveryId {
        DeliveryId::new(Timestamp::from_millis(millis), &[1; 10])
    }

    #[test]
    fn failed_deliveries_sort_by_time() {
        let account = "acme".parse().unwrap();
        let key = |millis| {
            failure_key(&DeliveryFailure {
                account: &account,
                delivery: delivery(1_795_176_000_123),
                at: Timestamp::from_millis(millis),
                cause: "budget",
            })
        };
        assert!(key(999_999_999_999) < key(1_795_176_000_123));
        assert_eq!(key(7), "0000000000007#01a1f8d3-ea7b-7101-8101-010101010101");
    }

    #[test]
    fn a_marker_that_lacks_a_member_is_malformed() {
        let mut item = Item::from([
            (DELIVERY.to_owned(), text(delivery(7).to_string())),
            (EXPIRES.to_owned(), number(1000)),
            (LEASED_UNTIL.to_owned(), number(0)),
        ]);
        let read = marker(&item).unwrap();
        assert_eq!(read.delivery, delivery(7));
        assert_eq!(read.expires, Timestamp::from_millis(1000));
        assert_eq!(read.leased_until, Timestamp::from_millis(0));
        assert_eq!(read.attempts, 1, "a marker of the release before");
        for (attempts, expected) in [(number(3), 3), (number(u64::MAX), 1), (text("3"), 1)] {
            item.insert(ATTEMPTS.to_owned(), attempts);
            assert_eq!(marker(&item).unwrap().attempts, expected);
        }
        item.insert(EXPIRES.to_owned(), text("1000"));
        assert_eq!(marker(&item), None);
    }

    #[test]
    fn two_leases_have_two_holders() {
        assert_ne!(random_holder().unwrap(), random_holder().unwrap());
    }

    /// A store that is used by its name alone.
    struct Elsewhere;

    impl ClaimCheck for Elsewhere {
        async fn put(&self, key: &str, _: &[u8]) -> Result<DataRef, PortError> {
            Ok(DataRef::new("bucket", key))
        }

        async fn get(&self, _: &DataRef) -> Result<Vec<u8>, PortError> {
            Ok(Vec::new())
        }
    }

    #[rstest]
    #[case::at_the_limit(0, "SET #body = :body REMOVE #dataref")]
    #[case::one_byte_more(1, "SET #dataref = :dataref REMOVE #body")]
    #[tokio::test]
    async fn a_receipt_has_its_body_up_to_the_last_byte(
        #[case] more: usize,
        #[case] expression: &str,
    ) {
        let body = br#"[{"event":"order.created"}]"#;
        let limit = pack(body, Dictionary::None).unwrap().len() + OTHER_ATTRIBUTES - more;
        let client = offline();
        let receipts = DynamoReceipts::new(client, "receipts", Elsewhere, limit, 1);
        let receipt = Receipt {
            account: &"acme".parse().unwrap(),
            delivery: delivery(7),
            registration: UrlToken::from_random(&[1; 32]).hash(),
            webhook: None,
            assurance: Assurance::Signature,
            form: None,
            received: Timestamp::from_millis(7),
            hash: BodyHash::of(body),
            events: 1,
            headers: &HeaderMap::new(),
            part: "",
            body,
        };
        let content = receipts.content(&receipt).await.unwrap();
        assert_eq!(content.expression(), expression);
        // Headers take their room too.
        let mut headers = HeaderMap::new();
        headers.insert("x-topic", HeaderValue::from_static("a"));
        let receipt = Receipt {
            headers: &headers,
            ..receipt
        };
        let content = receipts.content(&receipt).await.unwrap();
        assert!(content.expression().contains("SET #dataref"));
    }
}
