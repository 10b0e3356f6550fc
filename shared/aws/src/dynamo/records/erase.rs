//! The records table, for erasing: an account's records page by page, or one of them with what its item says of its events.
//!
//! A kind that this release does not know is a partition of its own, and nobody lists those: so an account's records are
//! found by reading the keys of the whole table. That is the price of an eventually consistent read of the table, once for
//! each account that is erased.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::AccountName;
use domain::erasure::{Cursor, ErasableRecords, Page, Trace};
use domain::fold::Said;
use domain::identity::EventId;
use domain::ports::PortError;
use domain::record::RecordKey;

use super::{CONTENTS, DELETED_BY, EVENT_ID, EVENT_IDS, may_pass};
use crate::dynamo::erasures::{at_the_same_time, cursor, start};
use crate::dynamo::{Item, MALFORMED_ITEM, PK, SK, text, text_of};
use crate::failure::port_error;

const LISTING: &str = "listing records to erase";
const TRACING: &str = "reading a record to erase";
const ERASING: &str = "erasing a record";

/// The records table, for erasing.
#[derive(Debug, Clone)]
pub struct DynamoErasableRecords {
    client: Client,
    table: String,
}

impl DynamoErasableRecords {
    /// Erases from this table.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    async fn delete(&self, key: &Item) -> Result<(), PortError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .send()
            .await;
        deleted
            .map(drop)
            .map_err(|error| port_error(ERASING, &error, may_pass))
    }
}

impl ErasableRecords for DynamoErasableRecords {
    async fn erase_records(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(pk, :account)")
            // No account's name has a '#', so none begins another's partitions.
            .expression_attribute_values(":account", text(format!("{account}#")))
            .projection_expression("pk, sk")
            .set_exclusive_start_key(start(after, &[PK, SK]))
            .send()
            .await
            .map_err(|error| port_error(LISTING, &error, may_pass))?;
        let deletes = page.items().iter().map(|key| self.delete(key));
        at_the_same_time(deletes).await?;
        Ok(Page {
            erased: u64::try_from(page.items().len()).unwrap_or(u64::MAX),
            next: cursor(page.last_evaluated_key(), &[PK, SK]),
        })
    }

    async fn trace(&self, key: &RecordKey) -> Result<Option<Trace>, PortError> {
        // Its data are of no interest, and may be 400 KB.
        let mut names = CONTENTS.to_vec();
        names.extend([EVENT_ID, EVENT_IDS, DELETED_BY, PK]);
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, text(key.partition()))
            .key(SK, text(key.id.as_str()))
            .projection_expression(names.join(", "))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(TRACING, &error, may_pass))?;
        answer.item().map(trace).transpose()
    }

    async fn erase_record(
        &self,
        key: &RecordKey,
        latest: Option<EventId>,
    ) -> Result<bool, PortError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(PK, text(key.partition()))
            .key(SK, text(key.id.as_str()));
        let call = match latest {
            Some(latest) => call
                .condition_expression("attribute_not_exists(pk) OR event_id = :latest")
                .expression_attribute_values(":latest", text(latest.to_string())),
            None => call.condition_expression("attribute_not_exists(event_id)"),
        };
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(port_error(ERASING, &error, may_pass)),
            },
        }
    }
}

/// What an item says of its events. What it remembers decides nothing here either: only what it is.
fn trace(item: &Item) -> Result<Trace, PortError> {
    let malformed = || PortError::transient(TRACING, MALFORMED_ITEM);
    let named = |name| {
        let id: Option<Result<EventId, _>> = text_of(item, name).map(str::parse);
        id.transpose().map_err(|_| malformed())
    };
    let latest = named(EVENT_ID)?;
    let collected = match item.get(EVENT_IDS) {
        Some(AttributeValue::Ss(ids)) => ids.as_slice(),
        _ => &[],
    };
    let collected = collected.iter().filter_map(|id| id.parse::<EventId>().ok());
    let ids = collected.chain(latest).chain(named(DELETED_BY)?);
    let mut events: BTreeSet<[u8; 6]> = ids.map(EventId::fingerprint).collect();
    let remembered = CONTENTS.iter().filter_map(|name| match item.get(*name) {
        Some(AttributeValue::B(said)) => Said::stored(said.as_ref()),
        _ => None,
    });
    events.extend(remembered.map(|said| said.event()));
    Ok(Trace { latest, events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::primitives::Blob;
    use domain::fold::Change;
    use domain::identity::{ContentHash, DeliveryId, EventIndex};
    use domain::timestamp::Timestamp;

    fn event(number: u64) -> EventId {
        let at = Timestamp::from_millis(1_795_176_000_000 + number);
        DeliveryId::new(at, &[1; 10]).event(EventIndex::new(0).unwrap())
    }

    fn said(number: u64) -> AttributeValue {
        let said = Said::by(&Change {
            id: event(number),
            sequence: None,
            delete: false,
            hash: ContentHash::of("order.updated", b"{}"),
        });
        AttributeValue::B(Blob::new(said.to_bytes()))
    }

    #[test]
    fn an_item_names_every_event_that_it_knows_of() {
        let item = Item::from([
            (EVENT_ID.to_owned(), text(event(5).to_string())),
            (DELETED_BY.to_owned(), text(event(6).to_string())),
            (
                EVENT_IDS.to_owned(),
                AttributeValue::Ss(vec![event(1).to_string(), "?".to_owned()]),
            ),
            ("c0".to_owned(), said(5)),
            ("c1".to_owned(), said(3)),
            ("c2".to_owned(), AttributeValue::Null(true)),
            ("c3".to_owned(), text("?")),
        ]);
        let read = trace(&item).unwrap();
        let events = [1, 3, 5, 6].map(|number| event(number).fingerprint());
        assert_eq!(read.latest, Some(event(5)));
        assert_eq!(read.events, BTreeSet::from(events));
        assert_eq!(trace(&Item::new()), Ok(Trace::default()));
    }

    #[test]
    fn an_item_that_is_no_record_is_not_taken_for_one_without_events() {
        let item = Item::from([(EVENT_ID.to_owned(), text("?"))]);
        assert_eq!(trace(&item).unwrap_err().code, MALFORMED_ITEM);
    }
}
