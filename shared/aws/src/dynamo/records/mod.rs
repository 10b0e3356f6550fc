//! The records table: the current state of every record, one item each.
//!
//! | attribute | holds |
//! |---|---|
//! | `pk`, `sk` | `{account}#{kind}`, the record's id |
//! | `data`, `compact` or `dataref` | the record: as a map, as compressed text, or where it is kept |
//! | `event_id`, `event_type`, `received_at` | the event whose data it is, and when that was first received |
//! | `sequence` | the place of that event, where its kind is ordered by the source's own time ([`Sequence`]) |
//! | `content_hash` | what that event said, as hex digits; read as bytes too, as `deleted_hash` is |
//! | `c0` to `c7` | its last contents and the events that brought them, the newest first ([`Said`]): 136 bytes |
//! | `deleted` | whether it is deleted |
//! | `deleted_by`, `deleted_hash` | the first delete that arrived |
//! | `deleted_sequence` | the place of the last delete, where deletes have one |
//! | `event_ids` | for records that collect them, the events that made it, as many as an item has room for |
//!
//! An update is one conditional `UpdateItem`, a delete an unconditional one, so any order and repetition ends
//! in the same item. Of a kind that is ordered by the source's own time both are conditional: `sequence` and
//! `deleted_sequence` only grow, and `deleted` says which of them is the later. Both answer with the item as it was
//! before, which includes its data: DynamoDB cannot return a part of what a write replaces. It costs no capacity, only
//! the way back.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>

use std::str::FromStr;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::envelope::DataRef;
use domain::fold::{Change, Known, KnownEvent, MOST_REMEMBERED, Memory, Said};
use domain::identity::{ContentHash, EventId};
use domain::ports::{ClaimCheck, PortError, Records, Update, Written};
use domain::provenance::Sequence;
use domain::record::RecordKey;
use thiserror::Error;
use tracing::warn;

use super::changes::Changes;
use super::{Dictionary, Item, MALFORMED_ITEM, PK, SK, is_permanent, text, text_of};
use crate::failure::port_error;

mod compact;
pub mod erase;
#[cfg(feature = "fuzzing")]
pub mod forms;
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
/// What release 0.1.0 kept of the content before the last one.
const PREVIOUS_HASH: &str = "previous_hash";
/// The contents that are remembered, the newest first.
const CONTENTS: [&str; MOST_REMEMBERED] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
const DELETED: &str = "deleted";
const DELETED_BY: &str = "deleted_by";
const DELETED_HASH: &str = "deleted_hash";
const SEQUENCE: &str = "sequence";
const DELETED_SEQUENCE: &str = "deleted_sequence";
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
    dictionary: Dictionary,
}

type UpdateError = SdkError<UpdateItemError, HttpResponse>;

impl<O: ClaimCheck> DynamoRecords<O> {
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
            dictionary: Dictionary::None,
        }
    }

    /// Packs compressed text with this dictionary. Release 0.1.0 does not read what is packed with one.
    #[must_use]
    pub fn with_dictionary(self, dictionary: Dictionary) -> Self {
        Self { dictionary, ..self }
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
                let packed = compact::pack(update.data, self.dictionary)
                    .map_err(|_| PortError::transient(UPDATING, "compression"))?;
                let fits = packed.len() <= CONTENT_LIMIT;
                Ok(fits.then(|| (COMPACT, AttributeValue::B(Blob::new(packed)))))
            }
            Form::Stored => {
                let object = key.object(&update.latest.id);
                let place = self.oversize.put(&object, update.data.as_bytes()).await?;
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
        if update.latest.sequence.is_none() {
            return self.change(key, changes(update, form, content)).await;
        }
        let living = dated_changes(update, form, content.clone(), Delete::Earlier);
        match self.change(key, living).await? {
            // The data are newer, so it is the delete: it is later, or final. It stays so, whatever comes in between.
            Ok(Written::Kept(known)) if is_before(&known, update.first()) => {
                let deleted = dated_changes(update, form, content, Delete::Any);
                self.change(key, deleted).await
            }
            done => Ok(done),
        }
    }

    /// Makes changes on their condition, and says what the item was before.
    async fn change(
        &self,
        key: &RecordKey,
        changes: Changes,
    ) -> Result<Result<Written, PortError>, UpdateError> {
        let call = self
            .call(key)
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match Box::pin(changes.into_call(call).send()).await {
            Ok(answer) => {
                let before = answer.attributes().map_or(Ok(Known::default()), known);
                return Ok(before.map(Written::New));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let malformed = || PortError::transient(UPDATING, MALFORMED_ITEM);
                let before = failed.item().ok_or_else(malformed).and_then(known);
                Ok(before.map(Written::Kept))
            }
            _ => Err(error),
        }
    }

    /// Deletes a record by a delete that has a place, unless a later one did.
    async fn delete_dated(
        &self,
        key: &RecordKey,
        delete: &Change,
        sequence: Sequence,
    ) -> Result<Known, PortError> {
        let failed = |error| port_error(DELETING, &error, may_pass);
        let last = deleting(delete, sequence, Delete::Earlier);
        let known = *self.change(key, last).await.map_err(failed)??.known();
        let is_late = known.deleted.is_some() && known.deleted_sequence >= Some(sequence);
        let is_final = known.deleted.is_some() && known.deleted_sequence.is_none();
        // Where neither a delete nor the data are later, it was written.
        if is_late || is_final || is_before(&known, delete) {
            return Ok(known);
        }
        let superseded = deleting(delete, sequence, Delete::Any);
        let written = self.change(key, superseded).await.map_err(failed)??;
        Ok(*written.known())
    }

    /// Writes the update in the first form that the table takes. `Err` is for now; where the table refuses every form, what
    /// it said of the last one is inside.
    async fn in_some_form(
        &self,
        key: &RecordKey,
        update: &Update<'_>,
    ) -> Result<Result<Written, PortError>, PortError> {
        let mut refused = PortError::transient(UPDATING, "no_form");
        for form in self.format.forms() {
            let Some(content) = self.content(*form, key, update).await? else {
                continue;
            };
            let error = match self.write(key, update, content).await {
                Ok(written) => {
                    let written = written?;
                    return match (written, update.occurrences) {
                        (Written::New(_), _) | (_, []) => Ok(Ok(written)),
                        (Written::Kept(_), events) => {
                            let added = self.collect(key, events).await?;
                            Ok(added.map(|()| written))
                        }
                    };
                }
                Err(error) => port_error(UPDATING, &error, is_permanent),
            };
            if error.is_transient() {
                return Err(error);
            }
            // This form was refused; the next one may not be.
            refused = PortError::transient(UPDATING, error.code);
        }
        Ok(Err(refused))
    }

    /// Adds the events of an update that came late: they too made the record. `Err` and what is inside are those of
    /// [`Self::in_some_form`].
    async fn collect(
        &self,
        key: &RecordKey,
        events: &[EventId],
    ) -> Result<Result<(), PortError>, PortError> {
        let changes = Changes::default().add(EVENT_IDS, ids(events));
        let answer = Box::pin(changes.into_call(self.call(key)).send()).await;
        match answer.map_err(|error| port_error(COLLECTING, &error, is_permanent)) {
            Ok(_) => Ok(Ok(())),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(Err(PortError::transient(COLLECTING, error.code))),
        }
    }
}

/// The table of codes for records: whatever a record says fits one of the forms, so a refusal of the last one
/// is about the table or the key's schema, which an operator has to correct.
fn may_pass(_: &str) -> bool {
    false
}

/// Whether a record's data are those of an earlier event, or there are none.
fn is_before(known: &Known, change: &Change) -> bool {
    known.latest.is_none_or(|latest| latest.is_before(change))
}

/// On which of what a write compares its place with it depends whether the record is deleted afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delete {
    /// An update asks for a record that is not deleted, or by an earlier delete: it is not deleted afterwards. A
    /// delete asks for data that are earlier: the record is deleted afterwards.
    Earlier,
    /// Whatever it is, it stays.
    Any,
}

/// The data are none, or of an earlier event than the one whose place is `:place`. Data of a release that knew no
/// place have that of their first sight.
const DATA_EARLIER: &str = "(attribute_not_exists(#event_id) OR #sequence < :place OR \
     (attribute_not_exists(#sequence) AND (#received_at < :place_at OR \
     (#received_at = :place_at AND #event_id < :place_id))))";

/// No delete is later than this one, and none is final.
const DELETE_EARLIER: &str =
    "attribute_not_exists(#deleted_by) OR #deleted_sequence < :deleted_sequence";

/// The values of [`DATA_EARLIER`].
fn with_place(changes: Changes, change: &Change) -> Changes {
    let place = change.order();
    changes
        .with("place", text(place.to_string()))
        .with("place_at", text(place.at().to_string()))
        .with("place_id", text(change.id.to_string()))
}

/// The changes of a delete that has a place.
fn deleting(delete: &Change, sequence: Sequence, data: Delete) -> Changes {
    let changes = Changes::default()
        .set(DELETED_SEQUENCE, text(sequence.to_string()))
        .set_once(DELETED_BY, text(delete.id.to_string()))
        .set_once(DELETED_HASH, text(delete.hash.to_string()));
    match data {
        Delete::Earlier => with_place(changes, delete)
            .set(DELETED, AttributeValue::Bool(true))
            .naming(EVENT_ID)
            .naming(SEQUENCE)
            .naming(RECEIVED_AT)
            .only_if(&format!("({DELETE_EARLIER}) AND {DATA_EARLIER}")),
        Delete::Any => changes.only_if(DELETE_EARLIER),
    }
}

/// The changes of an update whose events have places.
fn dated_changes(
    update: &Update<'_>,
    form: &'static str,
    content: AttributeValue,
    delete: Delete,
) -> Changes {
    let place = text(update.latest.order().to_string());
    let changes = data_changes(update, form, content, |changes| match delete {
        Delete::Earlier => changes
            .set(SEQUENCE, place)
            .set(DELETED, AttributeValue::Bool(false)),
        Delete::Any => changes.set(SEQUENCE, place),
    });
    let changes = with_place(changes, update.first());
    match delete {
        Delete::Earlier => changes
            .naming(DELETED_BY)
            .naming(DELETED_SEQUENCE)
            .only_if(&format!(
                "{DATA_EARLIER} AND (attribute_not_exists(#deleted_by) OR #deleted_sequence < :sequence)"
            )),
        Delete::Any => changes.only_if(DATA_EARLIER),
    }
}

/// The changes of an update whose events are ordered by first sight.
fn changes(update: &Update<'_>, form: &'static str, content: AttributeValue) -> Changes {
    let living = |changes: Changes| changes.set_once(DELETED, AttributeValue::Bool(false));
    data_changes(update, form, content, living)
        .with("first_id", text(update.first().id.to_string()))
        .only_if("attribute_not_exists(#event_id) OR #event_id < :first_id")
}

/// The changes of every update, and the `own` ones of some.
fn data_changes(
    update: &Update<'_>,
    form: &'static str,
    content: AttributeValue,
    own: impl FnOnce(Changes) -> Changes,
) -> Changes {
    let change = &update.latest;
    let first_seen = change.id.delivery().first_seen();
    let changes = Changes::default()
        .set(form, content)
        .set(EVENT_ID, text(change.id.to_string()))
        .set(EVENT_TYPE, text(update.event_type))
        .set(RECEIVED_AT, text(first_seen.to_string()))
        .set(CONTENT_HASH, text(change.hash.to_string()));
    let changes = own(changes).remove(PREVIOUS_HASH);
    let changes = remembering(changes, update);
    let others = [DATA, COMPACT, DATAREF]
        .into_iter()
        .filter(|other| *other != form);
    let changes = others.fold(changes, Changes::remove);
    // An empty set is none that DynamoDB knows.
    match update.occurrences {
        [] => changes,
        events => changes.add(EVENT_IDS, ids(events)),
    }
}

/// Puts what the group said before what the item remembers. An expression reads an item as it was before the write, so
/// each content moves on by as many places as there are new ones.
fn remembering(mut changes: Changes, update: &Update<'_>) -> Changes {
    let mut new = update.newest_first();
    let count = update.before.len() + 1;
    for (place, name) in CONTENTS.into_iter().enumerate() {
        changes = match (
            new.next(),
            place.checked_sub(count).and_then(|old| CONTENTS.get(old)),
        ) {
            (Some(change), _) => {
                let said = Blob::new(Said::by(change).to_bytes());
                changes.set(name, AttributeValue::B(said))
            }
            (None, Some(old)) => changes.set_to_other(name, old, NOTHING),
            (None, None) => changes,
        };
    }
    match count < CONTENTS.len() {
        true => changes.with(NOTHING, AttributeValue::Null(true)),
        false => changes,
    }
}

/// The name of the value that says that nothing is remembered.
const NOTHING: &str = "nothing";

/// What an item remembers. Where the newest content is not that of its event, release 0.1.0 wrote last: it remembers less.
fn memory(item: &Item, latest: Option<&KnownEvent>) -> Result<Memory, PortError> {
    // They decide nothing but a mark: one that cannot be read is forgotten, and keeps no event from its teams.
    let stored = CONTENTS.iter().filter_map(|name| match item.get(*name) {
        Some(AttributeValue::B(said)) => Said::stored(said.as_ref()),
        _ => None,
    });
    let memory = Memory::stored(stored);
    let Some(latest) = latest else {
        return Ok(memory);
    };
    let latest = Change {
        id: latest.id,
        sequence: latest.sequence,
        delete: false,
        hash: latest.hash,
    };
    if memory.ends_with(&latest) {
        return Ok(memory);
    }
    let previous: Option<ContentHash> = parsed(item, PREVIOUS_HASH)?;
    let previous = previous.map(|previous| Said::by_somebody(&previous));
    let before = Memory::stored(previous.into_iter().chain(memory.iter().copied()));
    Ok(before.after(&[latest]))
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
    let malformed = || PortError::transient(READING, MALFORMED_ITEM);
    let latest = match text_of(item, EVENT_ID) {
        Some(id) => Some(KnownEvent {
            id: id.parse().map_err(|_| malformed())?,
            sequence: parsed(item, SEQUENCE)?,
            hash: hash_of(item, CONTENT_HASH)?.ok_or_else(malformed)?,
        }),
        None => None,
    };
    Ok(Known {
        memory: memory(item, latest.as_ref())?,
        latest,
        deleted: match text_of(item, DELETED_BY) {
            Some(id) => Some((
                id.parse().map_err(|_| malformed())?,
                hash_of(item, DELETED_HASH)?.ok_or_else(malformed)?,
            )),
            None => None,
        },
        deleted_sequence: parsed(item, DELETED_SEQUENCE)?,
    })
}

/// A hash: as text, or as the bytes that a later release writes to keep items small.
fn hash_of(item: &Item, name: &str) -> Result<Option<ContentHash>, PortError> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => ContentHash::from_bytes(bytes.as_ref())
            .map(Some)
            .ok_or_else(|| PortError::transient(READING, MALFORMED_ITEM)),
        _ => parsed(item, name),
    }
}

fn parsed<T: FromStr>(item: &Item, name: &str) -> Result<Option<T>, PortError> {
    let value = text_of(item, name).map(str::parse).transpose();
    value.map_err(|_| PortError::transient(READING, MALFORMED_ITEM))
}

impl<O: ClaimCheck> Records for DynamoRecords<O> {
    async fn update(&self, key: &RecordKey, update: &Update<'_>) -> Result<Written, PortError> {
        match self.in_some_form(key, update).await? {
            // An item has room for some nine thousand ids. The one that is too many must not keep its event from the teams.
            Err(refused) if !update.occurrences.is_empty() => {
                warn!(%key, code = refused.code, "the record collects no more events");
                let uncollected = Update {
                    occurrences: &[],
                    ..*update
                };
                self.in_some_form(key, &uncollected).await?
            }
            done => done,
        }
    }

    async fn delete(&self, key: &RecordKey, delete: &Change) -> Result<Known, PortError> {
        if let Some(sequence) = delete.sequence {
            return self.delete_dated(key, delete, sequence).await;
        }
        let changes = Changes::default()
            .set(DELETED, AttributeValue::Bool(true))
            .set_once(DELETED_BY, text(delete.id.to_string()))
            .set_once(DELETED_HASH, text(delete.hash.to_string()));
        let call = self.call(key).return_values(ReturnValue::AllOld);
        let answer = Box::pin(changes.into_call(call).send())
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
    oversize: &impl ClaimCheck,
) -> Result<Option<String>, PortError> {
    let malformed = || PortError::transient(READING, MALFORMED_ITEM);
    match (item.get(DATA), item.get(COMPACT), text_of(item, DATAREF)) {
        (Some(data), None, None) => native::to_json(data).map(Some).map_err(|_| malformed()),
        (None, Some(AttributeValue::B(packed)), None) => compact::unpack(packed.as_ref())
            .map(Some)
            .ok_or_else(malformed),
        (None, None, Some(place)) => {
            let bytes = oversize
                .get(&DataRef::parse(place).ok_or_else(malformed)?)
                .await?;
            String::from_utf8(bytes).map(Some).map_err(|_| malformed())
        }
        (None, None, None) if !item.contains_key(DATAREF) => Ok(None),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamo::offline;
    use domain::identity::{ContentHash, DeliveryId, EventIndex};
    use domain::timestamp::Timestamp;
    use rstest::rstest;

    const RECORD: &str = r#"{"b":1.50,"a":[null,"\u00e9"]}"#;

    fn event(number: u64) -> EventId {
        let at = Timestamp::from_millis(1_795_176_000_000 + number);
        DeliveryId::new(at, &[1; 10]).event(EventIndex::new(0).unwrap())
    }

    fn hash(content: &str) -> ContentHash {
        ContentHash::of("order.updated", content.as_bytes())
    }

    fn change(number: u64, content: &str) -> Change {
        Change {
            id: event(number),
            sequence: None,
            delete: false,
            hash: hash(content),
        }
    }

    fn update(before: &[Change]) -> Update<'_> {
        Update {
            latest: change(7, RECORD),
            before,
            event_type: "order.updated",
            data: RECORD,
            occurrences: &[],
        }
    }

    /// A store of one object.
    struct Kept(&'static str);

    impl ClaimCheck for Kept {
        async fn put(&self, key: &str, _: &[u8]) -> Result<DataRef, PortError> {
            Ok(DataRef::new("bucket", key))
        }

        async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
            assert_eq!(place.as_str(), "s3://bucket/records/1");
            Ok(self.0.as_bytes().to_vec())
        }
    }

    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
        let attributes = attributes.into_iter();
        attributes
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn native() -> AttributeValue {
        native::to_attribute(RECORD, CONTENT_LIMIT).unwrap()
    }

    fn packed() -> AttributeValue {
        AttributeValue::B(Blob::new(compact::pack(RECORD, Dictionary::First).unwrap()))
    }

    #[rstest]
    #[case::native(DATA, native(), r#"{"a":[null,"é"],"b":1.50}"#)]
    #[case::compact(COMPACT, packed(), RECORD)]
    #[case::stored(DATAREF, text("s3://bucket/records/1"), RECORD)]
    #[tokio::test]
    // requirement: record-forms
    async fn every_form_reads_back_as_the_same_record(
        #[case] form: &str,
        #[case] content: AttributeValue,
        #[case] expected: &str,
    ) {
        let read = read_record(&item([(form, content)]), &Kept(RECORD)).await;
        assert_eq!(read.unwrap().as_deref(), Some(expected));
        assert_eq!(json::canonical(expected), json::canonical(RECORD));
    }

    #[rstest]
    #[case::two_forms(item([(DATA, native()), (COMPACT, packed())]))]
    #[case::of_another_type(item([(COMPACT, text("{}"))]))]
    #[case::no_reference(item([(DATAREF, text("elsewhere"))]))]
    #[case::reference_of_another_type(item([(DATAREF, AttributeValue::Bool(true))]))]
    #[case::foreign(item([(DATA, AttributeValue::Ss(vec![]))]))]
    #[tokio::test]
    async fn what_is_no_record_is_told(#[case] item: Item) {
        let error = read_record(&item, &Kept(RECORD)).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.is_transient()),
            (MALFORMED_ITEM, true)
        );
    }

    #[tokio::test]
    async fn a_record_of_which_only_a_delete_was_seen_has_no_data() {
        let deleted = item([(DELETED, AttributeValue::Bool(true))]);
        assert_eq!(read_record(&deleted, &Kept(RECORD)).await, Ok(None));
    }

    fn said(change: &Change) -> AttributeValue {
        AttributeValue::B(Blob::new(Said::by(change).to_bytes()))
    }

    #[test]
    fn an_item_tells_what_is_known() {
        assert_eq!(known(&Item::new()), Ok(Known::default()));
        let (before, latest) = (change(5, "b"), change(7, "a"));
        let mut read = item([
            (EVENT_ID, text(event(7).to_string())),
            (CONTENT_HASH, text(hash("a").to_string())),
            ("c0", said(&latest)),
            ("c1", said(&before)),
            ("c2", AttributeValue::Null(true)),
            (DELETED, AttributeValue::Bool(false)),
        ]);
        let expected = Known {
            latest: Some(KnownEvent {
                id: event(7),
                sequence: None,
                hash: hash("a"),
            }),
            memory: Memory::default().after(&[before, latest]),
            ..Known::default()
        };
        assert_eq!(known(&read), Ok(expected));
        read.insert(DELETED_BY.to_owned(), text(event(9).to_string()));
        read.insert(DELETED_HASH.to_owned(), text(hash("d").to_string()));
        let deleted = Some((event(9), hash("d")));
        assert_eq!(
            known(&read),
            Ok(Known {
                deleted,
                ..expected
            })
        );
        let mut forgetful = read.clone();
        forgetful.insert("c1".to_owned(), text("?"));
        let memory = Memory::default().after(&[latest]);
        let known_less = Known {
            memory,
            deleted,
            ..expected
        };
        assert_eq!(
            known(&forgetful),
            Ok(known_less),
            "what is remembered decides nothing"
        );
        for name in [EVENT_ID, CONTENT_HASH, DELETED_BY, DELETED_HASH] {
            let mut broken = read.clone();
            broken.insert(name.to_owned(), text("?"));
            assert_eq!(known(&broken).unwrap_err().code, MALFORMED_ITEM, "{name}");
        }
        for (name, content) in [(CONTENT_HASH, "a"), (DELETED_HASH, "d")] {
            let bytes = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
            let mut as_bytes = read.clone();
            as_bytes.insert(name.to_owned(), bytes(hash(content).as_bytes()));
            assert_eq!(known(&as_bytes), known(&read), "{name}");
            for broken in [&[][..], &[7; 31], &[7; 33]] {
                as_bytes.insert(name.to_owned(), bytes(broken));
                assert_eq!(known(&as_bytes).unwrap_err().code, MALFORMED_ITEM, "{name}");
            }
        }
        read.remove(CONTENT_HASH);
        assert_eq!(known(&read).unwrap_err().code, MALFORMED_ITEM);
    }

    /// Release 0.1.0 kept the hash of the content before, and knows nothing of what is remembered now.
    #[test]
    fn what_the_release_before_wrote_last_is_remembered_as_far_as_it_says() {
        let older = item([
            (EVENT_ID, text(event(7).to_string())),
            (CONTENT_HASH, text(hash("a").to_string())),
            (PREVIOUS_HASH, text(hash("b").to_string())),
            ("c0", said(&change(3, "c"))),
        ]);
        let memory: Vec<Said> = known(&older).unwrap().memory.iter().copied().collect();
        let expected = [
            Said::by(&change(7, "a")),
            Said::by_somebody(&hash("b")),
            Said::by(&change(3, "c")),
        ];
        assert_eq!(memory, expected);
        let mut broken = older;
        broken.insert(PREVIOUS_HASH.to_owned(), text("?"));
        assert_eq!(known(&broken).unwrap_err().code, MALFORMED_ITEM);
    }

    #[test]
    fn an_update_replaces_every_form_and_moves_what_is_remembered() {
        let written = changes(&update(&[]), COMPACT, packed());
        assert_eq!(
            written.expression(),
            "SET #compact = :compact, #event_id = :event_id, #event_type = :event_type, \
             #received_at = :received_at, #content_hash = :content_hash, \
             #deleted = if_not_exists(#deleted, :deleted), #c0 = :c0, \
             #c1 = if_not_exists(#c0, :nothing), #c2 = if_not_exists(#c1, :nothing), \
             #c3 = if_not_exists(#c2, :nothing), #c4 = if_not_exists(#c3, :nothing), \
             #c5 = if_not_exists(#c4, :nothing), #c6 = if_not_exists(#c5, :nothing), \
             #c7 = if_not_exists(#c6, :nothing) REMOVE #previous_hash, #data, #dataref"
        );
        let before = [change(4, "a"), change(5, "b")];
        let within_a_group = changes(&update(&before), DATA, native());
        let expression = within_a_group.expression();
        let moved = "#c0 = :c0, #c1 = :c1, #c2 = :c2, #c3 = if_not_exists(#c0, :nothing), ";
        assert!(expression.contains(moved), "{expression}");
        assert!(
            expression.ends_with("REMOVE #previous_hash, #compact, #dataref"),
            "{expression}"
        );
        let many: Vec<Change> = (0..7).map(|number| change(number, "a")).collect();
        let full = changes(&update(&many), DATA, native()).expression();
        assert!(
            full.contains("#c7 = :c7 ") && !full.contains(":nothing"),
            "{full}"
        );
    }

    /// What is remembered costs little of the kilobyte that a write is paid by.
    #[test]
    // requirement: repeat-earlier
    fn what_is_remembered_is_at_most_150_bytes() {
        let names: usize = CONTENTS.iter().map(|name| name.len()).sum();
        assert!(names + MOST_REMEMBERED * Said::LENGTH <= 150);
    }

    /// The condition without which whoever writes last decides.
    #[test]
    fn a_later_event_is_never_written_over() {
        let client = offline();
        let before = [change(5, "b")];
        for update in [update(&[]), update(&before)] {
            let written = changes(&update, DATA, native());
            let call = written.into_call(client.update_item());
            let guard = call.get_condition_expression().clone().unwrap_or_default();
            assert_eq!(
                guard,
                "attribute_not_exists(#event_id) OR #event_id < :first_id"
            );
            let first = update.first().id.to_string();
            let values = call.get_expression_attribute_values().clone().unwrap();
            assert_eq!(values[":first_id"], text(first));
        }
    }

    fn dated(change: Change, at: u64) -> Change {
        Change {
            sequence: Some(Sequence::new(Timestamp::from_millis(at), change.id)),
            ..change
        }
    }

    /// The conditions without which the order of arrival decides.
    #[test]
    fn what_a_source_dates_is_guarded_by_its_place() {
        let client = offline();
        let before = [dated(change(9, "b"), 40)];
        let update = Update {
            latest: dated(change(7, RECORD), 50),
            ..update(&before)
        };
        let data_earlier = "(attribute_not_exists(#event_id) OR #sequence < :place OR \
             (attribute_not_exists(#sequence) AND (#received_at < :place_at OR \
             (#received_at = :place_at AND #event_id < :place_id))))";
        for (delete, condition) in [
            (
                Delete::Earlier,
                format!(
                    "{data_earlier} AND \
                     (attribute_not_exists(#deleted_by) OR #deleted_sequence < :sequence)"
                ),
            ),
            (Delete::Any, data_earlier.to_owned()),
        ] {
            let changes = dated_changes(&update, DATA, native(), delete);
            let says_it_lives = changes.expression().contains("#deleted = :deleted");
            assert_eq!(says_it_lives, delete == Delete::Earlier);
            let call = changes.into_call(client.update_item());
            assert_eq!(call.get_condition_expression(), &Some(condition));
            let values = call.get_expression_attribute_values().clone().unwrap();
            assert_eq!(values[":place"], text(before[0].order().to_string()));
            assert_eq!(values[":place_at"], text("1970-01-01T00:00:00.040Z"));
            assert_eq!(values[":place_id"], text(event(9).to_string()));
            assert_eq!(values[":sequence"], text(update.latest.order().to_string()));
        }
    }

    #[test]
    fn a_delete_that_a_source_dates_deletes_what_is_earlier() {
        let delete = dated(change(7, "d"), 50);
        let place = delete.sequence.unwrap();
        let of = |data| deleting(&delete, place, data);
        assert_eq!(
            of(Delete::Earlier).expression(),
            "SET #deleted_sequence = :deleted_sequence, \
             #deleted_by = if_not_exists(#deleted_by, :deleted_by), \
             #deleted_hash = if_not_exists(#deleted_hash, :deleted_hash), #deleted = :deleted"
        );
        let superseded = of(Delete::Any);
        assert!(!superseded.expression().contains("#deleted ="));
        let call = superseded.into_call(offline().update_item());
        assert_eq!(
            call.get_condition_expression().as_deref(),
            Some("attribute_not_exists(#deleted_by) OR #deleted_sequence < :deleted_sequence")
        );
    }

    /// DynamoDB refuses names and values that no expression uses.
    #[test]
    fn every_name_and_value_of_dated_changes_is_used() {
        let latest = dated(change(7, RECORD), 50);
        let update = Update {
            latest,
            ..update(&[])
        };
        let place = latest.sequence.unwrap();
        let all = [Delete::Earlier, Delete::Any];
        let updates = all.map(|delete| dated_changes(&update, DATA, native(), delete));
        let deletes = all.map(|data| deleting(&latest, place, data));
        for changes in updates.into_iter().chain(deletes) {
            let call = changes.into_call(offline().update_item());
            let expressions = format!(
                "{} {} ",
                call.get_update_expression().clone().unwrap(),
                call.get_condition_expression().clone().unwrap()
            );
            let names = call.get_expression_attribute_names().clone().unwrap();
            let values = call.get_expression_attribute_values().clone().unwrap();
            for word in names.keys().chain(values.keys()) {
                let is_used = [" ", ")", ","]
                    .iter()
                    .any(|end| expressions.contains(&format!("{word}{end}")));
                assert!(is_used, "{word} in {expressions}");
            }
            let mut words = expressions
                .split(|letter: char| !(letter.is_alphanumeric() || "_#:".contains(letter)));
            assert!(words.all(|word| match word.get(..1) {
                Some("#") => names.contains_key(word),
                Some(":") => values.contains_key(word),
                _ => true,
            }));
        }
    }

    #[test]
    fn places_read_back_and_malformed_ones_are_no_places() {
        let (latest, delete) = (dated(change(7, "a"), 50), dated(change(8, "d"), 40));
        let mut read = item([
            (EVENT_ID, text(latest.id.to_string())),
            (SEQUENCE, text(latest.order().to_string())),
            (CONTENT_HASH, text(latest.hash.to_string())),
            (DELETED_BY, text(delete.id.to_string())),
            (DELETED_HASH, text(delete.hash.to_string())),
            (DELETED_SEQUENCE, text(delete.order().to_string())),
        ]);
        let found = known(&read).unwrap();
        assert_eq!(found.latest, Some(latest.into()));
        assert_eq!(found.deleted_sequence, delete.sequence);
        assert!(!found.is_deleted());
        for name in [SEQUENCE, DELETED_SEQUENCE] {
            let mut broken = read.clone();
            broken.insert(name.to_owned(), text("7"));
            assert_eq!(known(&broken).unwrap_err().code, MALFORMED_ITEM, "{name}");
        }
        read.remove(DELETED_SEQUENCE);
        assert!(
            known(&read).unwrap().is_deleted(),
            "without a place it is final"
        );
    }

    #[test]
    fn only_a_record_that_collects_its_events_adds_them_and_each_once() {
        let events = [event(8), event(7), event(8)];
        let mut update = update(&[]);
        assert!(
            !changes(&update, DATA, native())
                .expression()
                .contains("ADD")
        );
        update.occurrences = &events;
        let expression = changes(&update, DATA, native()).expression();
        assert!(
            expression.ends_with(" ADD #event_ids :event_ids"),
            "{expression}"
        );
        let once = [event(7), event(8)].map(|id| id.to_string()).to_vec();
        assert_eq!(ids(&events), AttributeValue::Ss(once));
        update.occurrences = &[];
        assert!(
            !changes(&update, DATA, native())
                .expression()
                .contains("ADD")
        );
    }

    #[test]
    fn a_format_names_the_forms_to_try() {
        assert_eq!("native".parse(), Ok(RecordFormat::Native));
        assert_eq!("compact".parse(), Ok(RecordFormat::Compact));
        assert_eq!("Native".parse::<RecordFormat>(), Err(RecordFormatError));
        let forms = RecordFormat::Native.forms();
        assert_eq!(forms, [Form::Native, Form::Compact, Form::Stored]);
        assert_eq!(forms.get(1..), Some(RecordFormat::Compact.forms()));
    }

    /// The form that a record takes of this table's two or three, whether or not anything is written.
    async fn form_of(format: RecordFormat, data: &str) -> &'static str {
        let records = DynamoRecords::new(offline(), "records", Kept(RECORD), format);
        let key = RecordKey {
            account: "acme".parse().unwrap(),
            kind: "product".to_owned(),
            id: domain::record::RecordId::new("pr_1").unwrap(),
        };
        let update = Update {
            data,
            ..update(&[])
        };
        for form in format.forms() {
            if let Some((name, _)) = records.content(*form, &key, &update).await.unwrap() {
                return name;
            }
        }
        panic!("the last form holds everything");
    }

    #[rstest]
    #[case::one_byte_less(-1, DATA)]
    #[case::at_the_limit(0, DATA)]
    #[case::one_byte_more(1, COMPACT)]
    #[tokio::test]
    // requirement: size-item
    async fn a_map_holds_a_record_up_to_its_last_byte(
        #[case] more: isize,
        #[case] form: &'static str,
    ) {
        // The map's three bytes, one for each member, and the names.
        let text = CONTENT_LIMIT - "id".len() - "pr_1".len() - "text".len() - 3 - 2;
        let text = "x".repeat(text.checked_add_signed(more).unwrap());
        let data = format!(r#"{{"id":"pr_1","text":"{text}"}}"#);
        assert_eq!(form_of(RecordFormat::Native, &data).await, form);
    }

    #[tokio::test]
    // requirement: size-item
    async fn compressed_text_holds_a_record_up_to_its_last_byte() {
        // Text that does not compress, as long as its packed form fits.
        let mut seed = 1_u64;
        let mut letters = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from((seed >> 33) % 94).unwrap())
        };
        let noise: String = (0..CONTENT_LIMIT * 2)
            .map(|_| letters())
            .filter(|letter| !matches!(letter, '"' | '\\'))
            .collect();
        let data = |length: usize| format!(r#"{{"text":"{}"}}"#, &noise[..length]);
        let packed = |length| {
            compact::pack(&data(length), Dictionary::None)
                .unwrap()
                .len()
        };
        let (mut fits, mut exceeds) = (0, noise.len());
        assert!(packed(fits) <= CONTENT_LIMIT && packed(exceeds) > CONTENT_LIMIT);
        while exceeds - fits > 1 {
            let middle = fits.midpoint(exceeds);
            match packed(middle) <= CONTENT_LIMIT {
                true => fits = middle,
                false => exceeds = middle,
            }
        }
        assert!(packed(fits) + 8 > CONTENT_LIMIT, "{} bytes", packed(fits));
        for format in [RecordFormat::Native, RecordFormat::Compact] {
            assert_eq!(form_of(format, &data(fits)).await, COMPACT);
            assert_eq!(form_of(format, &data(exceeds)).await, DATAREF);
        }
    }
}
