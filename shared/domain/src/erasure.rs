//! Erasure: what is kept of an account, or of one of its records, is deleted before it expires by itself.
//!
//! | kept | is personal | erasing the account | erasing one record |
//! |---|---|---|---|
//! | items of the records table, in every form | yes | all | the one |
//! | objects under `records/` | yes | all versions | all versions of the record's |
//! | objects under `events/` and `unified/` | yes | all versions | those of the events that the record's item names |
//! | account, its history, URL tokens | who called; no customer's | deleted last | stays; the history says who asked |
//! | receipts, retry markers, failed deliveries | receipts are | stay until they expire: [`Remains`] | the same |
//! | messages in queues: lanes, dead letters, quarantine, undelivered | yes | stay 14 days at most | the same |
//! | secrets | no customer's | deleted by the disconnect before | stay |
//! | what teams were sent | theirs | not ours to delete | the same |
//!
//! Receipts are evidence of what arrived, and one holds records of many customers: they are not rewritten, and the answer
//! says when the last of them expires. A record that arrives again is stored anew: its source still sends it.
//!
//! An erasure is a job: its [`Position`] is kept after every bounded piece of work, each piece can be repeated, and
//! whoever keeps a position that another has left behind keeps nothing. So it goes on wherever it was cut off, and two that
//! run at once do no harm.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::account::AccountName;
use crate::event::EventType;
use crate::identity::EventId;
use crate::ports::PortError;
use crate::record::{RecordId, RecordKey, Subject};
use crate::subscription::Principal;
use crate::timestamp::Timestamp;

/// The id of an account's erasure.
const WHOLE: &str = "account";

/// Seconds of a day.
const DAY: u64 = 86_400;

/// For how long a table can be restored to what it was, in days.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html>
const RESTORABLE_DAYS: u64 = 35;

/// Which erasure of an account it is: `account`, or 32 hexadecimal digits made from a record's subject. The same is always
/// the same, and what was erased cannot be read from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErasureId(String);

/// A text that is no [`ErasureId`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the id of an erasure is `account` or has 32 hexadecimal digits")]
pub struct ErasureIdError;

impl ErasureId {
    /// The id of the whole account's erasure, or of a record's.
    #[must_use]
    pub fn of(subject: Option<&Subject>) -> Self {
        Self(subject.map_or_else(
            || WHOLE.to_owned(),
            |subject| {
                hex::encode(
                    Sha256::digest(subject.as_str())
                        .iter()
                        .take(16)
                        .copied()
                        .collect::<Vec<u8>>(),
                )
            },
        ))
    }

    /// Whether it is the whole account's.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0 == WHOLE
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ErasureId {
    type Err = ErasureIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text == WHOLE || (text.len() == 32 && text.bytes().all(is_digit));
        fits.then(|| Self(text.to_owned())).ok_or(ErasureIdError)
    }
}

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The record that a subject names; none where no record can have it.
#[must_use]
pub fn record_of(account: &AccountName, subject: &Subject) -> Option<RecordKey> {
    let (kind, id) = subject.as_str().split_once('/')?;
    // A kind is what an event's type begins with.
    kind.parse::<EventType>().ok()?;
    Some(RecordKey {
        account: account.clone(),
        kind: kind.to_owned(),
        id: RecordId::new(id).ok()?,
    })
}

/// What an erasure is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Records that fit into no item.
    RecordObjects,
    /// Events that were too large for a message.
    EventObjects,
    /// Their unified forms.
    UnifiedObjects,
    /// Items of the records table.
    Records,
    /// URL tokens of the account.
    Tokens,
    /// The account.
    Account,
}

impl Stage {
    /// Every stage, in the order in which they are worked off.
    pub const ALL: [Self; 6] = [
        Self::RecordObjects,
        Self::EventObjects,
        Self::UnifiedObjects,
        Self::Records,
        Self::Tokens,
        Self::Account,
    ];

    /// The stage in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordObjects => "record_objects",
            Self::EventObjects => "event_objects",
            Self::UnifiedObjects => "unified_objects",
            Self::Records => "records",
            Self::Tokens => "tokens",
            Self::Account => "account",
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// What comes next, if anything: the account itself stays where one record is erased.
    #[must_use]
    fn next(self, of: &ErasureId) -> Option<Self> {
        let mut later = Self::ALL.into_iter().filter(|stage| *stage > self);
        let next = later.next()?;
        (of.is_whole() || next <= Self::Records).then_some(next)
    }
}

/// How far a list was read: what the store that lists gave, and nobody else reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub Vec<String>);

/// One page of a list, of which everything that was to go is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// How much was deleted.
    pub erased: u64,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
}

/// Where an erasure goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// What it is at.
    pub stage: Stage,
    /// How far it read the list of this stage.
    pub after: Option<Cursor>,
}

/// How far an erasure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It goes on from here.
    Running(Position),
    /// It was done at this time.
    Done(Timestamp),
}

/// What was deleted so far. A run that is cut off deletes again what it did not count, so it may have been more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Records.
    pub records: u64,
    /// Objects, each version by itself.
    pub objects: u64,
}

/// Until when the last of what an erasure leaves expires by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remains {
    /// Deliveries as they came.
    pub receipts: Timestamp,
    /// Large events of which the record's item does not tell any more; none where they never expire. Of an account, all are
    /// erased.
    pub events: Option<Timestamp>,
    /// What the tables can be restored to.
    pub backups: Timestamp,
}

/// For how long the stack keeps what an erasure leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days that a receipt is kept.
    pub receipt_days: u64,
    /// Days that a large event is kept; zero is for ever.
    pub event_days: u64,
}

impl Retention {
    /// Until when what is there at `now` remains.
    #[must_use]
    pub fn remains(self, now: Timestamp) -> Remains {
        let after = |days: u64| now.plus_seconds(days.saturating_mul(DAY));
        Remains {
            receipts: after(self.receipt_days),
            events: (self.event_days > 0).then(|| after(self.event_days)),
            backups: after(RESTORABLE_DAYS),
        }
    }
}

/// A job that erases an account or one of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose.
    pub account: AccountName,
    /// Which.
    pub id: ErasureId,
    /// The record's subject, while it runs: afterwards nothing of ours names the record.
    pub subject: Option<Subject>,
    /// Who asked for it.
    pub by: Option<Principal>,
    /// When it was asked for.
    pub begun: Timestamp,
    /// How many pieces of work are done.
    pub steps: u64,
    /// How far it is.
    pub progress: Progress,
    /// What was deleted.
    pub erased: Erased,
    /// What it leaves.
    pub remains: Remains,
}

impl Erasure {
    /// The erasure of an account, or of the record with this subject.
    #[must_use]
    pub fn begin(
        account: AccountName,
        subject: Option<Subject>,
        by: Option<Principal>,
        now: Timestamp,
        retention: Retention,
    ) -> Self {
        Self {
            account,
            id: ErasureId::of(subject.as_ref()),
            subject,
            by,
            begun: now,
            steps: 0,
            progress: Progress::Running(Position {
                stage: Stage::RecordObjects,
                after: None,
            }),
            erased: Erased::default(),
            remains: retention.remains(now),
        }
    }

    /// Whether it is not done yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.progress, Progress::Running(_))
    }

    /// The erasure after a page of its stage.
    #[must_use]
    pub fn after(&self, stage: Stage, page: Page, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.steps = next.steps.saturating_add(1);
        let count = match stage {
            Stage::RecordObjects | Stage::EventObjects | Stage::UnifiedObjects => {
                Some(&mut next.erased.objects)
            }
            Stage::Records => Some(&mut next.erased.records),
            Stage::Tokens | Stage::Account => None,
        };
        if let Some(count) = count {
            *count = count.saturating_add(page.erased);
        }
        let position = match page.next {
            Some(after) => Some(Position {
                stage,
                after: Some(after),
            }),
            None => stage
                .next(&self.id)
                .map(|stage| Position { stage, after: None }),
        };
        next.progress = match position {
            Some(position) => Progress::Running(position),
            None => {
                next.subject = None;
                Progress::Done(now)
            }
        };
        next
    }

    /// The erasure from its first stage again: the record was written while it was being erased.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            steps: self.steps.saturating_add(1),
            progress: Progress::Running(Position {
                stage: Stage::RecordObjects,
                after: None,
            }),
            ..self.clone()
        }
    }
}

/// What asking for an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is kept, and will be worked off.
    Now,
    /// The same is running already.
    Running(Box<Erasure>),
}

/// Where erasures are kept: for whoever asks for them.
pub trait Erasures: Sync {
    /// The last erasure with this id.
    ///
    /// # Errors
    /// The table did not answer, or holds what cannot be read.
    fn erasure(
        &self,
        account: &AccountName,
        id: &ErasureId,
    ) -> impl Future<Output = Result<Option<Erasure>, PortError>> + Send;

    /// Keeps a new erasure, unless one with its id is running.
    ///
    /// # Errors
    /// The table did not answer; it may be kept.
    fn begin_erasure(
        &self,
        erasure: &Erasure,
    ) -> impl Future<Output = Result<Begun, PortError>> + Send;
}

/// Erasures that are running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningErasures {
    /// Those that can be read.
    pub erasures: Vec<Erasure>,
    /// How many cannot.
    pub unreadable: usize,
}

/// What erasing an account's own item came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Gone,
    /// A call is changing the account: later.
    Held,
    /// It was connected again, and stays.
    Connected,
}

/// Where erasures and accounts are kept: for whoever works them off.
pub trait ErasureJobs: Sync {
    /// All that are running.
    ///
    /// # Errors
    /// The table did not answer.
    fn running(&self) -> impl Future<Output = Result<RunningErasures, PortError>> + Send;

    /// Keeps how far an erasure is, if it is still as it was `seen`.
    ///
    /// # Errors
    /// The table did not answer; it may be kept.
    fn advance(
        &self,
        seen: &Erasure,
        next: &Erasure,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Deletes a page of the account's retired URL tokens.
    ///
    /// # Errors
    /// The table did not answer; some may be deleted.
    fn erase_tokens(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page, PortError>> + Send;

    /// Deletes the account with its history, if it is disconnected and no call holds it at `now`.
    ///
    /// # Errors
    /// The table did not answer; it may be deleted.
    fn erase_account(
        &self,
        account: &AccountName,
        now: Timestamp,
    ) -> impl Future<Output = Result<Removal, PortError>> + Send;
}

/// What a record's item says of the events that made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The event whose data it has.
    pub latest: Option<EventId>,
    /// The [fingerprints](EventId::fingerprint) of all events that it names, that one among them.
    pub events: BTreeSet<[u8; 6]>,
}

/// The records table, for erasing.
pub trait ErasableRecords: Sync {
    /// Deletes a page of an account's records, of whatever kind.
    ///
    /// # Errors
    /// The table did not answer; some may be deleted.
    fn erase_records(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page, PortError>> + Send;

    /// What a record's item says of its events; none where there is no such record.
    ///
    /// # Errors
    /// The table did not answer.
    fn trace(
        &self,
        key: &RecordKey,
    ) -> impl Future<Output = Result<Option<Trace>, PortError>> + Send;

    /// Deletes a record, if it still has the data of this event. `false` where it has others by now.
    ///
    /// # Errors
    /// The table did not answer; it may be deleted.
    fn erase_record(
        &self,
        key: &RecordKey,
        latest: Option<EventId>,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// The bucket, for erasing.
pub trait ErasableObjects: Sync {
    /// Of a page of the objects whose keys begin with this, deletes all versions of those that are chosen by the rest of
    /// their keys.
    ///
    /// # Errors
    /// The bucket did not answer, or kept some of them; others may be deleted.
    fn erase_objects(
        &self,
        prefix: &str,
        chosen: &(dyn Fn(&str) -> bool + Sync),
        after: Option<&Cursor>,
    ) -> impl Future<Output = Result<Page, PortError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const RETENTION: Retention = Retention {
        receipt_days: 30,
        event_days: 0,
    };

    fn erasure(subject: Option<&str>) -> Erasure {
        let subject = subject.map(|subject| Subject::parse(subject).unwrap());
        let now = Timestamp::from_millis(1_795_176_000_000);
        Erasure::begin("acme".parse().unwrap(), subject, None, now, RETENTION)
    }

    fn stages(mut erasure: Erasure) -> Vec<Stage> {
        let mut stages = Vec::new();
        while let Progress::Running(position) = erasure.progress.clone() {
            stages.push(position.stage);
            erasure = erasure.after(position.stage, Page::default(), erasure.begun);
        }
        assert_eq!(erasure.subject, None);
        stages
    }

    #[test]
    fn an_account_goes_last_and_stays_where_one_record_goes() {
        assert_eq!(stages(erasure(None)), Stage::ALL);
        assert_eq!(stages(erasure(Some("order/or_1"))), Stage::ALL[..4]);
    }

    #[test]
    fn a_page_that_is_not_the_last_is_followed_by_the_next_of_its_stage() {
        let next = Some(Cursor(vec!["a".to_owned()]));
        let page = Page {
            erased: 7,
            next: next.clone(),
        };
        let first = erasure(None);
        let after = first.after(Stage::RecordObjects, page, first.begun);
        let position = Position {
            stage: Stage::RecordObjects,
            after: next,
        };
        assert_eq!(after.progress, Progress::Running(position));
        assert_eq!((after.steps, after.erased.objects), (1, 7));
        let again = after.again();
        assert_eq!(again.progress, first.progress);
        assert_eq!((again.steps, again.erased.objects), (2, 7));
    }

    #[test]
    fn what_remains_is_said_by_the_days_that_things_are_kept() {
        let now = Timestamp::from_millis(1_795_176_000_000);
        let remains = RETENTION.remains(now);
        assert_eq!(remains.receipts.to_string(), "2026-12-20T12:00:00.000Z");
        assert_eq!(remains.backups.to_string(), "2026-12-25T12:00:00.000Z");
        assert_eq!(remains.events, None);
        let retention = Retention {
            event_days: 60,
            ..RETENTION
        };
        let events = retention.remains(now).events.unwrap();
        assert_eq!(events.to_string(), "2027-01-19T12:00:00.000Z");
    }

    #[test]
    fn an_id_is_the_same_for_the_same_and_does_not_name_it() {
        assert_eq!(erasure(None).id.as_str(), "account");
        let one = erasure(Some("order/or_1")).id;
        assert_eq!(one, erasure(Some("order/or_1")).id);
        assert_ne!(one, erasure(Some("order/or_2")).id);
        assert!(!one.as_str().contains("or_1"));
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
    }

    #[rstest]
    #[case::empty("")]
    #[case::another_word("accounts")]
    #[case::short("0123456789abcdef")]
    #[case::capitals("0123456789ABCDEF0123456789ABCDEF")]
    #[case::no_digits("0123456789abcdef0123456789abcdeg")]
    fn what_is_no_id_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<ErasureId>(), Err(ErasureIdError));
    }

    #[rstest]
    #[case::order("order/or_1", Some(("acme#order", "or_1")))]
    #[case::with_slashes("payment/iv_1/abc", Some(("acme#payment", "iv_1/abc")))]
    #[case::a_kind_with_a_hash("or#der/or_1", None)]
    #[case::a_kind_with_a_space("or der/or_1", None)]
    fn a_subject_names_a_record_of_the_account(
        #[case] subject: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let key = record_of(&"acme".parse().unwrap(), &Subject::parse(subject).unwrap());
        let key = key.as_ref().map(|key| (key.partition(), key.id.as_str()));
        let expected = expected.map(|(partition, id)| (partition.to_owned(), id));
        assert_eq!(key, expected);
        let long = Subject::parse(format!("order/{}", "a".repeat(1025))).unwrap();
        assert_eq!(record_of(&"acme".parse().unwrap(), &long), None);
    }
}
