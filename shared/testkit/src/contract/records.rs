//! [`Records`]: data is guarded by the event's id, a delete by nothing; what was known before is told.

use std::collections::BTreeSet;
use std::future::Future;

use domain::account::AccountName;
use domain::fold::{Change, Known, KnownEvent, Memory};
use domain::identity::{ContentHash, EventId};
use domain::ports::{Records, Update, Written};
use domain::record::{RecordId, RecordKey};

use super::{Laxity, event_id, is_same_json};
use crate::fakes::FakeRecords;

/// A record as a reader of the table finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadRecord {
    /// The data as JSON text; none where only a delete was seen.
    pub data: Option<String>,
    /// The type of the event whose data it is.
    pub event_type: Option<String>,
    /// Whether any delete was seen.
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

fn change(number: u64, delete: bool, data: &str) -> Change {
    let event_type = if delete {
        "order.deleted"
    } else {
        "order.updated"
    };
    Change {
        id: event_id(number),
        delete,
        hash: ContentHash::of(event_type, data.as_bytes()),
    }
}

fn known_event(number: u64, data: &str) -> KnownEvent {
    let change = change(number, false, data);
    KnownEvent {
        id: change.id,
        hash: change.hash,
    }
}

/// What is known once these events were written, in this order.
fn known(events: &[(u64, &str)]) -> Known {
    let changes = events
        .iter()
        .map(|(number, data)| change(*number, false, data));
    let changes: Vec<Change> = changes.collect();
    let latest = events
        .last()
        .map(|(number, data)| known_event(*number, data));
    Known {
        latest,
        memory: Memory::default().after(&changes),
        deleted: None,
    }
}

async fn update(records: &impl Records, key: &RecordKey, number: u64, data: &str) -> Written {
    update_after(records, key, &[], (number, data)).await
}

/// An update whose group had others before it.
async fn update_after(
    records: &impl Records,
    key: &RecordKey,
    before: &[(u64, &str)],
    (number, data): (u64, &str),
) -> Written {
    let before: Vec<Change> = before
        .iter()
        .map(|(number, data)| change(*number, false, data))
        .collect();
    let update = Update {
        latest: change(number, false, data),
        before: &before,
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
    let record = reader.read(&key).await.unwrap();
    assert_eq!(record.data.as_deref(), Some(r#"{"n":7}"#));
    assert_eq!(record.event_type.as_deref(), Some("order.updated"));
    assert!(!record.deleted);
}

async fn what_came_before_is_remembered(records: &impl Records) {
    let key = key("order", "or_previous");
    let a = r#"{"a":1}"#;
    update(records, &key, 1, "{}").await;
    let again = update(records, &key, 1, "{}").await;
    assert_eq!(again, Written::Kept(known(&[(1, "{}")])));
    // A group is remembered whole, in its order.
    let written = update_after(records, &key, &[(2, a), (3, "{}")], (4, a)).await;
    assert_eq!(written, Written::New(known(&[(1, "{}")])));
    let four = [(1, "{}"), (2, a), (3, "{}"), (4, a)];
    // The table's event lies within the group, or is its first: only what is newer can be written.
    for before in [[(3, "{}")], [(4, a)]] {
        let parted = update_after(records, &key, &before, (6, "{}")).await;
        assert_eq!(parted, Written::Kept(known(&four)));
    }
    let newer = update_after(records, &key, &[(5, "{}")], (6, a)).await;
    assert_eq!(newer, Written::New(known(&four)));
    // Eight contents are remembered, also where a group has more.
    let many: Vec<(u64, &str)> = (7..=15).map(|number| (number, "{}")).collect();
    update_after(records, &key, &many, (16, a)).await;
    let kept = update(records, &key, 16, a).await;
    let last: Vec<(u64, &str)> = many.iter().skip(2).copied().chain([(16, a)]).collect();
    assert_eq!(kept, Written::Kept(known(&last)));
    let Written::Kept(found) = kept else {
        panic!("event 16 came twice")
    };
    assert_eq!(found.memory.iter().count(), 8);
}

async fn a_delete_is_final_and_data_stays_readable(
    records: &impl Records,
    reader: &impl RecordReader,
) {
    let key_of = |id| key("order", id);
    let key = key_of("or_delete");
    update(records, &key, 1, r#"{"n":1}"#).await;
    let delete = change(2, true, "{}");
    let known = records.delete(&key, &delete).await.unwrap();
    assert_eq!(known.latest, Some(known_event(1, r#"{"n":1}"#)));
    assert_eq!(known.deleted, None);
    let record = reader.read(&key).await.unwrap();
    assert!(record.deleted);
    assert_eq!(record.data.as_deref(), Some(r#"{"n":1}"#));
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
    let record = reader.read(&key).await.unwrap();
    assert!(record.deleted, "nothing takes a delete back");
    assert_eq!(record.data.as_deref(), Some(r#"{"n":7}"#));

    // The delete overtook the event before it.
    let key = key_of("or_overtaken");
    let known = records.delete(&key, &delete).await.unwrap();
    assert_eq!(known, Known::default());
    let record = reader.read(&key).await.unwrap();
    assert_eq!((record.deleted, record.data), (true, None));
    let written = update(records, &key, 1, r#"{"n":1}"#).await;
    let before = Known {
        deleted,
        ..Known::default()
    };
    assert_eq!(written, Written::New(before));
    let record = reader.read(&key).await.unwrap();
    assert_eq!(
        (record.deleted, record.data.as_deref()),
        (true, Some(r#"{"n":1}"#))
    );
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
        let record = reader.read(&key).await.unwrap();
        assert_eq!(
            (record.deleted, record.data.as_deref()),
            (true, Some(r#"{"n":4}"#))
        );
    }
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
    let places = events.good.iter().filter_map(|good| good.at);
    let places: Vec<_> = places
        .take(15)
        .map(|[begin, end]| &text[begin..end])
        .collect();
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
