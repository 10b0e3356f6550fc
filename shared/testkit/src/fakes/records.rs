//! Records as the records table keeps them.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountName;
use domain::erasure::{Cursor, ErasableRecords, Page, Trace};
use domain::fold::{Change, Known, Said};
use domain::identity::EventId;
use domain::ports::{PortError, Records, Update, Written};
use domain::record::RecordKey;

use super::{Fake, Kept, page};

/// A record as the table has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredRecord {
    /// What is known of its events.
    pub known: Known,
    /// The type of the event whose data it has.
    pub event_type: Option<String>,
    /// The data, byte for byte; none before the first event that is not a delete.
    pub data: Option<String>,
    /// The events that made it, where equal ones may both be real.
    pub occurrences: BTreeSet<EventId>,
}

impl StoredRecord {
    /// Whether it is deleted: for ever, or until an update is later.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.known.is_deleted()
    }
}

/// Records that can be read. The scope of a call is the record's key as text.
pub type FakeRecords = Fake<State>;

/// Records by key.
#[derive(Debug, Default)]
pub struct State(BTreeMap<RecordKey, StoredRecord>);

impl Kept for State {
    const CALLS: &'static [&'static str] = &[
        "records.update",
        "records.delete",
        "records.erase_records",
        "records.trace",
        "records.erase_record",
    ];
}

impl FakeRecords {
    /// A record.
    #[must_use]
    pub fn record(&self, key: &RecordKey) -> Option<StoredRecord> {
        self.state().0.get(key).cloned()
    }

    /// Every record.
    #[must_use]
    pub fn records(&self) -> BTreeMap<RecordKey, StoredRecord> {
        self.state().0.clone()
    }
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
fn fits(key: &RecordKey) -> bool {
    (1..=2048).contains(&key.partition().len()) && (1..=1024).contains(&key.id.as_str().len())
}

impl Records for FakeRecords {
    async fn update(&self, key: &RecordKey, update: &Update<'_>) -> Result<Written, PortError> {
        let begun = self.script.begin("update", &key.to_string()).await?;
        if !fits(key) {
            return Err(begun.permanent("ValidationException"));
        }
        let mut records = self.state();
        let record = records.0.entry(key.clone()).or_default();
        begun.done(record.update(update))
    }

    async fn delete(&self, key: &RecordKey, delete: &Change) -> Result<Known, PortError> {
        let begun = self.script.begin("delete", &key.to_string()).await?;
        if !fits(key) {
            return Err(begun.permanent("ValidationException"));
        }
        let mut records = self.state();
        let record = records.0.entry(key.clone()).or_default();
        let known = record.known;
        // A delete without a place is final.
        if known.deleted.is_none() || known.deleted_sequence.is_some() {
            let deleted = &mut record.known.deleted;
            deleted.get_or_insert((delete.id, delete.hash));
            record.known.deleted_sequence = known.deleted_sequence.max(delete.sequence);
        }
        begun.done(known)
    }
}

impl StoredRecord {
    fn update(&mut self, update: &Update<'_>) -> Written {
        let known = self.known;
        // An event that comes late still happened.
        self.occurrences.extend(update.occurrences);
        let first = update.first();
        if known.latest.is_some_and(|stored| !stored.is_before(first)) {
            return Written::Kept(known);
        }
        let said = [update.before, &[update.latest]].concat();
        self.known.memory = known.memory.after(&said);
        self.known.latest = Some(update.latest.into());
        self.event_type = Some(update.event_type.to_owned());
        self.data = Some(update.data.to_owned());
        Written::New(known)
    }
}

impl ErasableRecords for FakeRecords {
    async fn erase_records(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let begun = self.script.begin("erase_records", account.as_str()).await?;
        let State(records) = &mut *self.state();
        let (keys, next) = page(records.keys().map(ToString::to_string).collect(), after);
        let erased = records.extract_if(.., |key, _| {
            key.account == *account && keys.contains(&key.to_string())
        });
        let erased = erased.count() as u64;
        begun.done(Page { erased, next })
    }

    async fn trace(&self, key: &RecordKey) -> Result<Option<Trace>, PortError> {
        let begun = self.script.begin("trace", &key.to_string()).await?;
        let record = self.record(key);
        begun.done(record.map(|record| {
            let latest = record.known.latest.map(|latest| latest.id);
            let deleted = record.known.deleted.map(|(id, _)| id);
            let ids = record.occurrences.into_iter().chain(latest).chain(deleted);
            let remembered = record.known.memory;
            let remembered = remembered.iter().map(Said::event);
            Trace {
                latest,
                events: ids.map(EventId::fingerprint).chain(remembered).collect(),
            }
        }))
    }

    async fn erase_record(
        &self,
        key: &RecordKey,
        latest: Option<EventId>,
    ) -> Result<bool, PortError> {
        let begun = self.script.begin("erase_record", &key.to_string()).await?;
        let State(records) = &mut *self.state();
        let known = records.get(key).map(|record| record.known.latest);
        let is_same = known.is_none_or(|known| known.map(|known| known.id) == latest);
        if is_same {
            records.remove(key);
        }
        begun.done(is_same)
    }
}
