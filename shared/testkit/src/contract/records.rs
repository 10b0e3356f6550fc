//! [`Records`]: data is guarded by the event's id, a delete by nothing, or both by their places; what was known before is
//! returned.

use std::collections::BTreeSet;
use std::future::Future;

use domain::account::AccountName;
use domain::fold::{Change, Known, KnownEvent, Memory};
use domain::identity::{ContentHash, EventId};
use domain::ports::{Records, Update, Written};
use domain::provenance::Sequence;
use domain::record::{RecordId, RecordKey};
use domain::timestamp::Timestamp;

use super::{Laxity, event_id, is_same_json};
use crate::fakes::FakeRecords;

/// A record as a reader of the table finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadRecord {
    /// The data as JSON text; none where only a delete was seen.
    pub data: Option<String>,
    /// The type of the event whose data it is.
    pub event_type: Option<String>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// The events that it collects.
    pub occurrences: BTreeSet<EventId>,
}

/// What reads the records of the suite.
pub trait RecordReader: Sync {
    /// A record.
    fn read(&self, key: &RecordKey) -> impl Future<Output = Option<ReadRecord>> + Send;
}

impl RecordReader for FakeRecords {
    async fn read(&self, key: &RecordKey) -> Option<ReadRecord> {
        let record = self.record(key)?;
        Some(ReadRecord {
            deleted: record.is_deleted(),
            data: record.data,
            event_type: record.event_type,
            occurrences: record.occurrences,
        })
    }
}

fn key(kind: &str, id: &str) -> RecordKey {
    RecordKey {
        account: "acme".parse().unwrap(),
        kind: kind.to_owned(),
        id: RecordId::new(id).unwrap(),
    }
}

/// A record is deleted or not, and has this data.
async fn assert_is(
    reader: &impl RecordReader,
    key: &RecordKey,
    is_deleted: bool,
    data: Option<&str>,
) {
    let record = reader.read(key).await.unwrap();
    assert_eq!(
        (record.deleted, record.data.as_deref()),
        (is_deleted, data),
        "{key}"
    );
}

fn change(number: u64, delete: bool, data: &str) -> Change {
    let event_type = if delete {
        "order.deleted"
    } else {
        "order.updated"
    };
    Change {
        id: event_id(number),
        sequence: None,
        delete,
        hash: ContentHash::of(event_type, data.as_bytes()),
    }
}

/// Updates by number and data.
fn updates(events: &[(u64, &str)]) -> Vec<Change> {
    let updates = events.iter();
    updates
        .map(|(number, data)| change(*number, false, data))
        .collect()
}

/// What is known once these were written, in this order.
fn known_after(changes: &[Change]) -> Known {
    Known {
        latest: changes.last().copied().map(KnownEvent::from),
        memory: Memory::default().after(changes),
        ..Known::default()
    }
}

fn known(events: &[(u64, &str)]) -> Known {
    known_after(&updates(events))
}

async fn update(records: &impl Records, key: &RecordKey, number: u64, data: &str) -> Written {
    update_group(records, key, &[(number, data)]).await
}

/// A group of updates by number and data.
async fn update_group(records: &impl Records, key: &RecordKey, group: &[(u64, &str)]) -> Written {
    write_group(records, key, &updates(group), group.last().unwrap().1).await
}

async fn write_group(
    records: &impl Records,
    key: &RecordKey,
    changes: &[Change],
    data: &str,
) -> Written {
    let (latest, before) = changes.split_last().unwrap();
    let update = Update {
        latest: *latest,
        before,
        event_type: "order.updated",
        data,
        occurrences: &[],
    };
    Box::pin(records.update(key, &update)).await.unwrap()
}

/// Holds an implementation of [`Records`] to its contract. The table has no record of `acme` yet.
///
/// # Panics
/// It breaks it.
pub async fn records(records: &impl Records, reader: &impl RecordReader) {
    // Boxed, since an SDK's calls are large and a test's stack is small.
    Box::pin(the_event_first_seen_last_wins(records, reader)).await;
    Box::pin(what_came_before_is_remembered(records)).await;
    Box::pin(a_delete_is_final_and_data_stays_readable(records, reader)).await;
    Box::pin(writes_at_once_end_in_the_same_state(records, reader)).await;
    Box::pin(what_the_source_dates_last_wins(records, reader)).await;
    Box::pin(the_last_delete_counts_where_the_source_dates_it(
        records, reader,
    ))
    .await;
    Box::pin(dated_writes_at_once_end_in_the_same_state(records, reader)).await;
    Box::pin(a_kind_that_is_timed_later_keeps_its_order(records, reader)).await;
    Box::pin(occurrences_are_collected_in_any_order(records, reader)).await;
    Box::pin(keys_do_not_run_into_each_other(records, reader)).await;
    Box::pin(every_fixture_reads_back(records, reader)).await;
}

async fn the_event_first_seen_last_wins(records: &impl Records, reader: &impl RecordReader) {
    let key = key("order", "or_order");
    assert_eq!(reader.read(&key).await, None);
    let first = update(records, &key, 5, r#"{"n":5}"#).await;
    assert_eq!(first, Written::New(Known::default()));
    let stale = update(records, &key, 3, r#"{"n":3}"#).await;
    assert_eq!(stale, Written::Kept(known(&[(5, r#"{"n":5}"#)])));
    let repeated = update(records, &key, 5, r#"{"n":5}"#).await;
    assert_eq!(repeated, Written::Kept(known(&[(5, r#"{"n":5}"#)])));
    let newer = update(records, &key, 7, r#"{"n":7}"#).await;
    assert_eq!(newer, Written::New(known(&[(5, r#"{"n":5}"#)])));
    assert_is(reader, &key, false, Some(r#"{"n":7}"#)).await;
    let record = reader.read(&key).await.unwrap();
    assert_eq!(record.event_type.as_deref(), Some("order.updated"));
}

async fn what_came_before_is_remembered(records: &impl Records) {
    let key = key("order", "or_previous");
    let a = r#"{"a":1}"#;
    update(records, &key, 1, "{}").await;
    let again = update(records, &key, 1, "{}").await;
    assert_eq!(again, Written::Kept(known(&[(1, "{}")])));
    // A group is remembered whole, in its order.
    let written = update_group(records, &key, &[(2, a), (3, "{}"), (4, a)]).await;
    assert_eq!(written, Written::New(known(&[(1, "{}")])));
    let four = [(1, "{}"), (2, a), (3, "{}"), (4, a)];
    // The table's event lies within the group, or is its first: only what is newer can be written.
    for before in [(3, "{}"), (4, a)] {
        let parted = update_group(records, &key, &[before, (6, "{}")]).await;
        assert_eq!(parted, Written::Kept(known(&four)));
    }
    let newer = update_group(records, &key, &[(5, "{}"), (6, a)]).await;
    assert_eq!(newer, Written::New(known(&four)));
    // Eight contents are remembered, also where a group has more.
    let many = (7..=15).map(|number| (number, "{}"));
    let many: Vec<(u64, &str)> = many.chain([(16, a)]).collect();
    update_group(records, &key, &many).await;
    let kept = update(records, &key, 16, a).await;
    assert_eq!(kept, Written::Kept(known(&many[2..])));
    let Written::Kept(found) = kept else {
        panic!("event 16 came twice")
    };
    assert_eq!(found.memory.iter().count(), 8);
}

async fn a_delete_is_final_and_data_stays_readable(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    let [key, overtaken] = ["or_delete", "or_overtaken"].map(|id| key("order", id));
    update(records, &key, 1, r#"{"n":1}"#).await;
    let delete = change(2, true, "{}");
    let known = records.delete(&key, &delete).await.unwrap();
    assert_eq!(known.latest, Some(change(1, false, r#"{"n":1}"#).into()));
    assert_eq!(known.deleted, None);
    assert_is(reader, &key, true, Some(r#"{"n":1}"#)).await;
    let deleted = Some((delete.id, delete.hash));
    let known = records.delete(&key, &delete).await.unwrap();
    assert_eq!(known.deleted, deleted, "the same delete came before");
    let another = change(9, true, r#"{"other":1}"#);
    let known = records.delete(&key, &another).await.unwrap();
    assert_eq!(known.deleted, deleted);
    let known = records.delete(&key, &another).await.unwrap();
    assert_eq!(known.deleted, deleted, "the first delete stays the first");
    let written = update(records, &key, 7, r#"{"n":7}"#).await;
    assert!(matches!(written, Written::New(known) if known.deleted == deleted));
    // Nothing takes a delete back.
    assert_is(reader, &key, true, Some(r#"{"n":7}"#)).await;

    // The delete overtook the event before it.
    let known = records.delete(&overtaken, &delete).await.unwrap();
    assert_eq!(known, Known::default());
    assert_is(reader, &overtaken, true, None).await;
    let written = update(records, &overtaken, 1, r#"{"n":1}"#).await;
    let before = Known {
        deleted,
        ..Known::default()
    };
    assert_eq!(written, Written::New(before));
    assert_is(reader, &overtaken, true, Some(r#"{"n":1}"#)).await;
}

async fn writes_at_once_end_in_the_same_state(records: &impl Records, reader: &impl RecordReader) {
    for round in 0..3 {
        let key = key("order", &format!("or_race{round}"));
        let delete = change(2, true, "{}");
        let (.., deleted) = tokio::join!(
            Box::pin(update(records, &key, 3, r#"{"n":3}"#)),
            Box::pin(update(records, &key, 4, r#"{"n":4}"#)),
            Box::pin(update(records, &key, 1, r#"{"n":1}"#)),
            Box::pin(update(records, &key, 4, r#"{"n":4}"#)),
            Box::pin(records.delete(&key, &delete)),
        );
        deleted.unwrap();
        assert_is(reader, &key, true, Some(r#"{"n":4}"#)).await;
    }
}

/// An event that was first seen as the `number`th, and that the source dates.
fn dated(number: u64, at: u64, delete: bool, data: &str) -> Change {
    let change = change(number, delete, data);
    Change {
        sequence: Some(Sequence::new(Timestamp::from_millis(at), change.id)),
        ..change
    }
}

/// A group of updates that the source dates: number, time and data.
async fn update_dated(
    records: &impl Records,
    key: &RecordKey,
    group: &[(u64, u64, &str)],
) -> Written {
    let changes: Vec<Change> = group
        .iter()
        .map(|(number, at, data)| dated(*number, *at, false, data))
        .collect();
    write_group(records, key, &changes, group.last().unwrap().2).await
}

async fn what_the_source_dates_last_wins(records: &impl Records, reader: &impl RecordReader) {
    let key = key("order", "or_dated");
    let [old, new, newer] = [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#];
    let first = update_dated(records, &key, &[(5, 50, new)]).await;
    assert_eq!(first, Written::New(Known::default()));
    let one = [dated(5, 50, false, new)];
    // First seen later, and dated before.
    let late = update_dated(records, &key, &[(6, 40, old)]).await;
    assert_eq!(late, Written::Kept(known_after(&one)));
    let repeated = update_dated(records, &key, &[(5, 50, new)]).await;
    assert_eq!(repeated, Written::Kept(known_after(&one)));
    // Dated alike, first seen before.
    let earlier = update_dated(records, &key, &[(4, 50, old)]).await;
    assert_eq!(earlier, Written::Kept(known_after(&one)));
    // Of a group, one is late: only what is newer can be written.
    let parted = update_dated(records, &key, &[(8, 45, old), (7, 60, newer)]).await;
    assert_eq!(parted, Written::Kept(known_after(&one)));
    // First seen before, and dated later.
    let written = update_dated(records, &key, &[(3, 55, old), (2, 60, newer)]).await;
    assert_eq!(written, Written::New(known_after(&one)));
    let all = [one[0], dated(3, 55, false, old), dated(2, 60, false, newer)];
    let kept = update_dated(records, &key, &[(2, 60, newer)]).await;
    assert_eq!(kept, Written::Kept(known_after(&all)));
    assert_is(reader, &key, false, Some(newer)).await;
}

async fn the_last_delete_counts_where_the_source_dates_it(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    let key = key("order", "or_archived");
    let is_deleted = async || reader.read(&key).await.unwrap().deleted;
    let archived = dated(2, 20, true, "{}");
    // It overtakes the event before it.
    let known = records.delete(&key, &archived).await.unwrap();
    assert_eq!(known, Known::default());
    assert!(is_deleted().await);
    let deleted = Known {
        deleted: Some((archived.id, archived.hash)),
        deleted_sequence: archived.sequence,
        ..Known::default()
    };
    let written = update_dated(records, &key, &[(3, 10, r#"{"n":1}"#)]).await;
    assert_eq!(written, Written::New(deleted), "its data is kept");
    // The delete is later.
    assert_is(reader, &key, true, Some(r#"{"n":1}"#)).await;
    // It is brought back, and the delete comes again.
    let back = update_dated(records, &key, &[(4, 15, "{}"), (1, 30, r#"{"n":2}"#)]).await;
    assert!(matches!(back, Written::New(known) if known.is_deleted()));
    assert!(!is_deleted().await);
    let known = records.delete(&key, &archived).await.unwrap();
    assert_eq!(known.deleted_sequence, archived.sequence);
    assert!(!is_deleted().await);
    // A delete that lies between the one before and the data counts, and deletes nothing.
    let between = dated(5, 25, true, r#"{"other":1}"#);
    let known = records.delete(&key, &between).await.unwrap();
    assert_eq!(known.deleted_sequence, archived.sequence);
    assert!(!is_deleted().await);
    let late = dated(6, 22, true, "{}");
    let known = records.delete(&key, &late).await.unwrap();
    assert_eq!(known.deleted_sequence, between.sequence);
    // Archived once more.
    let again = dated(7, 40, true, "{}");
    let known = records.delete(&key, &again).await.unwrap();
    assert_eq!(known.deleted_sequence, between.sequence);
    assert_eq!(known.latest, Some(dated(1, 30, false, r#"{"n":2}"#).into()));
    let known = records.delete(&key, &again).await.unwrap();
    assert_eq!(known.deleted_sequence, again.sequence);
    assert_eq!(known.deleted, deleted.deleted, "the first stays the first");
    assert_is(reader, &key, true, Some(r#"{"n":2}"#)).await;
}

async fn dated_writes_at_once_end_in_the_same_state(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    for (round, delete_at) in [35, 45, 35, 45].into_iter().enumerate() {
        let key = key("order", &format!("or_dated_race{round}"));
        let delete = dated(9, delete_at, true, "{}");
        let earlier = dated(8, 15, true, r#"{"a":1}"#);
        let (.., one, other) = tokio::join!(
            Box::pin(update_dated(records, &key, &[(1, 40, r#"{"n":4}"#)])),
            Box::pin(update_dated(records, &key, &[(2, 30, r#"{"n":3}"#)])),
            Box::pin(update_dated(records, &key, &[(3, 10, r#"{"n":1}"#)])),
            Box::pin(records.delete(&key, &delete)),
            Box::pin(records.delete(&key, &earlier)),
        );
        assert!(one.is_ok() && other.is_ok());
        assert_is(reader, &key, delete_at > 40, Some(r#"{"n":4}"#)).await;
    }
}

/// A release that does not know that a kind is timed orders it by first sight, and its deletes are final.
async fn a_kind_that_is_timed_later_keeps_its_order(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    let [key, deleted] = ["or_timed_later", "or_deleted_for_ever"].map(|id| key("order", id));
    update(records, &key, 5, r#"{"n":5}"#).await;
    let before = change(5, false, r#"{"n":5}"#).order().at().millis();
    let late = update_dated(records, &key, &[(6, before - 1, r#"{"n":1}"#)]).await;
    assert!(matches!(late, Written::Kept(_)), "it is dated before");
    let alike = update_dated(records, &key, &[(4, before, r#"{"n":4}"#)]).await;
    assert!(matches!(alike, Written::Kept(_)), "its id is smaller");
    let newer = update_dated(records, &key, &[(7, before, r#"{"n":7}"#)]).await;
    assert!(matches!(newer, Written::New(_)), "its id is greater");
    assert_is(reader, &key, false, Some(r#"{"n":7}"#)).await;

    let last = change(1, true, "{}");
    for delete in [last, dated(2, before, true, "{}")] {
        records.delete(&deleted, &delete).await.unwrap();
    }
    let written = update_dated(records, &deleted, &[(3, before + 9, r#"{"n":3}"#)]).await;
    let known = Known {
        deleted: Some((last.id, last.hash)),
        ..Known::default()
    };
    assert_eq!(written, Written::New(known));
    assert_is(reader, &deleted, true, Some(r#"{"n":3}"#)).await;
}

async fn occurrences_are_collected_in_any_order(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    let key = key("payment", "iv_1/0123456789abcdef0123456789abcdef");
    let data = r#"{"invoice_id":"iv_1","amount":26.7}"#;
    // Event 1 comes last: it says nothing new of the state, and happened all the same.
    for numbers in [&[5][..], &[3, 8], &[8], &[1]] {
        let ids: Vec<_> = numbers.iter().map(|number| event_id(*number)).collect();
        let latest = *numbers.last().expect("a group has an event");
        let update = Update {
            latest: change(latest, false, data),
            before: &[],
            event_type: "payment.created",
            data,
            occurrences: &ids,
        };
        Box::pin(records.update(&key, &update)).await.unwrap();
    }
    let record = reader.read(&key).await.unwrap();
    let all: BTreeSet<_> = [1, 3, 5, 8].map(event_id).into();
    assert_eq!(record.occurrences, all);
    assert!(is_same_json(record.data.as_deref().unwrap(), data));
    let written = update(records, &key, 8, data).await;
    assert!(matches!(written, Written::Kept(known) if known.latest.unwrap().id == event_id(8)));
}

async fn keys_do_not_run_into_each_other(records: &impl Records, reader: &impl RecordReader) {
    let of = |account: &str, kind: &str, id: &str| RecordKey {
        account: account.parse::<AccountName>().unwrap(),
        ..key(kind, id)
    };
    let longest = "🥐".repeat(256);
    let keys = [
        of("acme", "order", "same"),
        of("acme", "orders", "same"),
        of("acme2", "order", "same"),
        of("acme", "order", "Same"),
        of("acme", "order", "same "),
        of("acme", "order", "a/b#c %20"),
        of("acme", "order", "\u{1}\t\u{FFFF}"),
        of("acme", "order", &longest),
    ];
    for (number, key) in keys.iter().enumerate() {
        let written = update(records, key, 1, &format!(r#"{{"n":{number}}}"#)).await;
        assert_eq!(written, Written::New(Known::default()), "{key}");
    }
    for (number, key) in keys.iter().enumerate() {
        let data = reader.read(key).await.unwrap().data.unwrap();
        assert_eq!(data, format!(r#"{{"n":{number}}}"#), "{key}");
    }
}

/// Whatever a source sent is kept, in whichever form it fits, and reads back as the same JSON.
async fn every_fixture_reads_back(records: &impl Records, reader: &impl RecordReader) {
    let mut count = 0;
    for fixture in crate::fixtures::all() {
        for (number, data) in records_of(&fixture).into_iter().enumerate() {
            let key = key("fixture", &format!("{} {number}", fixture.name));
            update(records, &key, 1, data).await;
            let read = reader.read(&key).await.unwrap().data.unwrap();
            assert!(
                is_same_json(&read, data),
                "{key}: {read:.200} for {data:.200}"
            );
            count += 1;
        }
    }
    assert!(count > 100, "only {count} records");
}

/// Some of a delivery's records, found by the manifest; of a body that is one large record, that.
fn records_of(fixture: &crate::fixtures::Fixture) -> Vec<&str> {
    use crate::fixtures::Expected;
    let Expected::Events(events) = &fixture.expected else {
        return Vec::new();
    };
    let text = std::str::from_utf8(&fixture.body).expect("a readable body is text");
    let places = events.good.iter().filter_map(|good| good.at).take(15);
    let places: Vec<_> = places.map(|[begin, end]| &text[begin..end]).collect();
    if !places.is_empty() || events.good.is_empty() || events.elements > 10 {
        return places;
    }
    let elements: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).expect("a generated body is a list");
    elements
        .into_iter()
        .map(serde_json::value::RawValue::get)
        .collect()
}

/// The refusals of DynamoDB that an implementation does not have.
pub async fn record_laxity(records: &impl Records) -> BTreeSet<Laxity> {
    let mut lax = BTreeSet::new();
    let update = Update {
        latest: change(1, false, "{}"),
        before: &[],
        event_type: "order.updated",
        data: "{}",
        occurrences: &[],
    };
    let key = key(&"k".repeat(2048), "or_1");
    if records.update(&key, &update).await.is_ok() {
        lax.insert(Laxity::LongPartitionKey);
    }
    lax
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let fake = FakeRecords::default();
        records(&fake, &fake).await;
        assert_eq!(record_laxity(&fake).await, BTreeSet::new());
    }
}
