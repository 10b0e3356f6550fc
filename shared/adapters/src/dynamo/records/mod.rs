//! The records table: the current state of every record, one item each.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk`, `sk` | `{account}#{kind}`, the record's id |
//! | `data`, `compact` or `dataref` | the record: as a map, as compressed text, or where it is kept |
//! | `event_id`, `event_type`, `received_at` | the event whose data it is, and when that was first received |
//! | `content_hash`, `previous_hash` | what that event said, and the one before it |
//! | `deleted`, `deleted_by`, `deleted_hash` | whether a delete was seen; the first one that arrived |
//! | `event_ids` | for records that collect them, all events that made it |
//!
//! An update is one conditional `UpdateItem`, a delete an unconditional one, so any order and repetition ends
//! in the same item. Both answer with the item as it was before, which includes its data: DynamoDB cannot
//! return a part of what a write replaces. It costs no capacity, only the way back.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>

use std::str::FromStr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::fold::{Change, Known, KnownEvent};
use domain::identity::EventId;
use domain::ports::{Oversize, PortError, Records, Update, Written};
use domain::record::{RecordKey, Recurrence};
use thiserror::Error;

use super::changes::Changes;
use super::{Item, MALFORMED_ITEM, PK, SK, stored_at, text, text_of};
use crate::failure::port_error;

mod compact;
#[cfg(test)]
mod json;
mod native;

const UPDATING: &str = "updating a record";
const COLLECTING: &str = "adding to a record's events";
const DELETING: &str = "deleting a record";
const READING: &str = "reading a record";

const DATA: &str = "data";
const COMPACT: &str = "compact";
const DATAREF: &str = "dataref";
const EVENT_ID: &str = "event_id";
const EVENT_TYPE: &str = "event_type";
const RECEIVED_AT: &str = "received_at";
const CONTENT_HASH: &str = "content_hash";
const PREVIOUS_HASH: &str = "previous_hash";
const DELETED: &str = "deleted";
const DELETED_BY: &str = "deleted_by";
const DELETED_HASH: &str = "deleted_hash";
const EVENT_IDS: &str = "event_ids";

/// What an item may have, in bytes, less what its other attributes come to: a key of up to 2 KB, ids, hashes,
/// and room for some collected events.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const CONTENT_LIMIT: usize = 400 * 1024 - 16 * 1024;

/// How records are kept. Both read back as the same JSON, and a table may hold both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordFormat {
    /// As a map with exact decimals, where a map can hold the record.
    #[default]
    Native,
    /// As compressed text: half the price of a write, and nothing that an expression can look into.
    Compact,
}

/// A word that names no [`RecordFormat`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a record format is `native` or `compact`")]
pub struct RecordFormatError;

impl FromStr for RecordFormat {
    type Err = RecordFormatError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "native" => Ok(Self::Native),
            "compact" => Ok(Self::Compact),
            _ => Err(RecordFormatError),
        }
    }
}

/// The forms that a record can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Native,
    Compact,
    Stored,
}

impl RecordFormat {
    /// The forms to try, one after the other: each holds what the one before cannot.
    fn forms(self) -> &'static [Form] {
        match self {
            Self::Native => &[Form::Native, Form::Compact, Form::Stored],
            Self::Compact => &[Form::Compact, Form::Stored],
        }
    }
}

/// The records table, and the store for records that no item holds.
#[derive(Debug, Clone)]
pub struct DynamoRecords<O> {
    client: Client,
    table: String,
    oversize: O,
    format: RecordFormat,
}

type UpdateError = SdkError<UpdateItemError, HttpResponse>;

impl<O: Oversize> DynamoRecords<O> {
    /// Keeps records in this table, in this format where it can hold them.
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        oversize: O,
        format: RecordFormat,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            oversize,
            format,
        }
    }

    fn call(&self, key: &RecordKey) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key(PK, text(key.partition()))
            .key(SK, text(key.id.as_str()))
    }

    /// The record in a form, as attribute and value; `None` where the form cannot hold it.
    async fn content(
        &self,
        form: Form,
        key: &RecordKey,
        update: &Update<'_>,
    ) -> Result<Option<(&'static str, AttributeValue)>, PortError> {
        match form {
            Form::Native => {
                let data = native::to_attribute(update.data, CONTENT_LIMIT).ok();
                Ok(data.map(|data| (DATA, data)))
            }
            Form::Compact => {
                let packed = compact::pack(update.data)
                    .map_err(|_| PortError::passing(UPDATING, "compression"))?;
                let fits = packed.len() <= CONTENT_LIMIT;
                Ok(fits.then(|| (COMPACT, AttributeValue::B(Blob::new(packed)))))
            }
            Form::Stored => {
                let (account, kind) = (&key.account, &key.kind);
                let key = format!("records/{account}/{kind}/{}", update.latest.change.id);
                let place = self.oversize.put(&key, update.data.as_bytes()).await?;
                Ok(Some((DATAREF, text(place.as_str()))))
            }
        }
    }

    async fn write(
        &self,
        key: &RecordKey,
        update: &Update<'_>,
        (form, content): (&'static str, AttributeValue),
    ) -> Result<Result<Written, PortError>, UpdateError> {
        let call = self
            .call(key)
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match changes(update, form, content).into_call(call).send().await {
            Ok(answer) => {
                let before = answer.attributes().map_or(Ok(Known::default()), known);
                return Ok(before.map(Written::New));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let malformed = || PortError::passing(UPDATING, MALFORMED_ITEM);
                let before = failed.item().ok_or_else(malformed).and_then(known);
                Ok(before.map(Written::Kept))
            }
            _ => Err(error),
        }
    }

    /// Adds the events of an update that came late: they too made the record.
    async fn collect(&self, key: &RecordKey, events: &[EventId]) -> Result<(), PortError> {
        let changes = Changes::default().add(EVENT_IDS, ids(events));
        let answer = changes.into_call(self.call(key)).send().await;
        answer
            .map(drop)
            .map_err(|error| port_error(COLLECTING, &error, may_pass))
    }
}

/// The table of codes for records: whatever a record says fits one of the forms, so a refusal of the last one
/// is about the table or the key's schema, which an operator has to mend.
fn may_pass(_: &str) -> bool {
    false
}

/// Whether the form was refused, so that another may be taken.
fn is_refusal(error: &UpdateError) -> bool {
    error.code().is_some_and(super::is_lasting)
}

fn changes(update: &Update<'_>, form: &'static str, content: AttributeValue) -> Changes {
    let change = &update.latest.change;
    let previous = match update.latest.previous {
        Some(previous) => (":previous_hash", text(previous.to_string())),
        None => (
            "if_not_exists(#content_hash, :previous_hash)",
            AttributeValue::Null(true),
        ),
    };
    let first_seen = change.id.delivery().first_seen();
    let changes = Changes::default()
        .set(form, content)
        .set(EVENT_ID, text(change.id.to_string()))
        .set(EVENT_TYPE, text(update.event_type))
        .set(RECEIVED_AT, text(first_seen.to_string()))
        .set(CONTENT_HASH, text(change.hash.to_string()))
        .set_to(PREVIOUS_HASH, previous.0, previous.1)
        .set_once(DELETED, AttributeValue::Bool(false))
        .only_if("attribute_not_exists(#event_id) OR #event_id < :event_id");
    let others = [DATA, COMPACT, DATAREF]
        .into_iter()
        .filter(|other| *other != form);
    let changes = others.fold(changes, Changes::remove);
    match collected(update) {
        Some(events) => changes.add(EVENT_IDS, ids(events)),
        None => changes,
    }
}

/// The events that the record collects; an empty set is none that DynamoDB knows.
fn collected<'a>(update: &Update<'a>) -> Option<&'a [EventId]> {
    match update.recurrence {
        Recurrence::State => None,
        Recurrence::Occurrences => Some(update.occurrences).filter(|events| !events.is_empty()),
    }
}

fn ids(events: &[EventId]) -> AttributeValue {
    let mut ids: Vec<_> = events.iter().map(ToString::to_string).collect();
    ids.sort();
    // A set that names one member twice is refused.
    ids.dedup();
    AttributeValue::Ss(ids)
}

/// What an item knows of its record, data aside.
fn known(item: &Item) -> Result<Known, PortError> {
    let malformed = || PortError::passing(READING, MALFORMED_ITEM);
    Ok(Known {
        latest: match text_of(item, EVENT_ID) {
            Some(id) => Some(KnownEvent {
                id: id.parse().map_err(|_| malformed())?,
                hash: hash(item, CONTENT_HASH)?.ok_or_else(malformed)?,
                previous: hash(item, PREVIOUS_HASH)?,
            }),
            None => None,
        },
        deleted: match text_of(item, DELETED_BY) {
            Some(id) => Some((
                id.parse().map_err(|_| malformed())?,
                hash(item, DELETED_HASH)?.ok_or_else(malformed)?,
            )),
            None => None,
        },
    })
}

fn hash<T: FromStr>(item: &Item, name: &str) -> Result<Option<T>, PortError> {
    let hash = text_of(item, name).map(str::parse).transpose();
    hash.map_err(|_| PortError::passing(READING, MALFORMED_ITEM))
}

impl<O: Oversize> Records for DynamoRecords<O> {
    async fn update(&self, key: &RecordKey, update: &Update<'_>) -> Result<Written, PortError> {
        let mut refused = PortError::passing(UPDATING, "no_form");
        for form in self.format.forms() {
            let Some(content) = self.content(*form, key, update).await? else {
                continue;
            };
            match self.write(key, update, content).await {
                Ok(written) => {
                    let written = written?;
                    if let (Written::Kept(_), Some(events)) = (written, collected(update)) {
                        self.collect(key, events).await?;
                    }
                    return Ok(written);
                }
                Err(error) => {
                    refused = port_error(UPDATING, &error, may_pass);
                    if !is_refusal(&error) {
                        return Err(refused);
                    }
                }
            }
        }
        Err(refused)
    }

    async fn delete(&self, key: &RecordKey, delete: &Change) -> Result<Known, PortError> {
        let changes = Changes::default()
            .set(DELETED, AttributeValue::Bool(true))
            .set_once(DELETED_BY, text(delete.id.to_string()))
            .set_once(DELETED_HASH, text(delete.hash.to_string()));
        let call = self.call(key).return_values(ReturnValue::AllOld);
        let answer = changes
            .into_call(call)
            .send()
            .await
            .map_err(|error| port_error(DELETING, &error, may_pass))?;
        answer.attributes().map_or(Ok(Known::default()), known)
    }
}

/// The record's JSON text, whatever its form; `None` where only a delete was seen.
///
/// The compact and stored forms are as the source sent them, byte for byte. The native form is equal in value:
/// its members are in order of their names, its numbers as DynamoDB writes them.
///
/// # Errors
/// The item is no record, or the store did not answer.
pub async fn read_record(
    item: &Item,
    oversize: &impl Oversize,
) -> Result<Option<String>, PortError> {
    let malformed = || PortError::passing(READING, MALFORMED_ITEM);
    match (item.get(DATA), item.get(COMPACT), text_of(item, DATAREF)) {
        (Some(data), None, None) => native::to_json(data).map(Some).map_err(|_| malformed()),
        (None, Some(AttributeValue::B(packed)), None) => compact::unpack(packed.as_ref())
            .map(Some)
            .ok_or_else(malformed),
        (None, None, Some(place)) => {
            let bytes = oversize
                .get(&stored_at(place).ok_or_else(malformed)?)
                .await?;
            String::from_utf8(bytes).map(Some).map_err(|_| malformed())
        }
        (None, None, None) if !item.contains_key(DATAREF) => Ok(None),
        _ => Err(malformed()),
    }
}
