//! Erasures in the accounts table: `erasure#{account}#{id}`. Erasing the same account or record again reuses its item.
//!
//! | attribute | holds |
//! |---|---|
//! | `state` | `running` or `done` |
//! | `begun`, `ended` | milliseconds since 1970 |
//! | `by` | who asked |
//! | `subject` | the record's, while it runs |
//! | `stage`, `after` | where it goes on |
//! | `steps` | how many pieces of work are done; a position is saved only if the number is still the one that was read (optimistic locking) |
//! | `records`, `objects` | what was deleted |
//! | `receipts_until`, `events_until`, `backups_until` | until when what it leaves expires, in milliseconds since 1970 |
//!
//! Releases that know no erasures pass these items over.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::account::{AccountName, TokenStatus};
use domain::erasure::{
    Begun, Cursor, Erased, Erasure, ErasureId, ErasureJobs, Erasures, Page, Position, Progress,
    Remains, Removal, RunningErasures, Stage,
};
use domain::ports::PortError;
use domain::record::Subject;
use domain::subscription::Principal;
use domain::timestamp::Timestamp;
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};

use super::accounts::DynamoAccounts;
use super::{Item, PK, is_permanent, keys, number, number_of, text, text_of};
use crate::failure::port_error;

const READING: &str = "reading an erasure";
const BEGINNING: &str = "beginning an erasure";
const LISTING: &str = "listing the erasures";
const ADVANCING: &str = "keeping how far an erasure is";
const ERASING_TOKENS: &str = "erasing URL tokens";
const ERASING_ACCOUNT: &str = "erasing an account";

const RUNNING: &str = "running";
const DONE: &str = "done";

/// How many items are deleted at the same time.
const AT_ONCE: usize = 16;

/// Does all of this, some of it at the same time; ends with the first error.
pub(super) async fn at_the_same_time(
    work: impl Iterator<Item = impl Future<Output = Result<(), PortError>> + Send> + Send,
) -> Result<(), PortError> {
    let work: Vec<_> = work.collect();
    iter(work)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// A cursor for the key at which a list ended, with these attributes.
pub(super) fn cursor(key: Option<&Item>, names: &[&str]) -> Option<Cursor> {
    let key = key?;
    let parts = names
        .iter()
        .map(|name| text_of(key, name).map(str::to_owned));
    parts.collect::<Option<Vec<_>>>().map(Cursor)
}

/// The key after which a list goes on.
pub(super) fn start(after: Option<&Cursor>, names: &[&str]) -> Option<Item> {
    let after = after?;
    let parts = names.iter().zip(&after.0);
    Some(
        parts
            .map(|(name, part)| ((*name).to_owned(), text(part.as_str())))
            .collect(),
    )
}

fn item(erasure: &Erasure) -> Item {
    let time = |at: Timestamp| number(at.millis());
    let mut item = Item::from(
        [
            (PK, keys::erasure(&erasure.account, &erasure.id)),
            ("account", text(erasure.account.as_str())),
            ("begun", time(erasure.begun)),
            ("steps", number(erasure.steps)),
            ("records", number(erasure.erased.records)),
            ("objects", number(erasure.erased.objects)),
            ("receipts_until", time(erasure.remains.receipts)),
            ("backups_until", time(erasure.remains.backups)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut set = |name: &str, value: Option<AttributeValue>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("by", erasure.by.as_ref().map(|by| text(by.as_str())));
    set(
        "subject",
        erasure
            .subject
            .as_ref()
            .map(|subject| text(subject.as_str())),
    );
    set("events_until", erasure.remains.events.map(time));
    match &erasure.progress {
        Progress::Running(Position { stage, after }) => {
            set("state", Some(text(RUNNING)));
            set("stage", Some(text(stage.as_str())));
            let parts = |after: &Cursor| after.0.iter().map(text).collect();
            set(
                "after",
                after.as_ref().map(|after| AttributeValue::L(parts(after))),
            );
        }
        Progress::Done(at) => {
            set("state", Some(text(DONE)));
            set("ended", Some(time(*at)));
        }
    }
    item
}

/// An erasure; none where the item does not say it.
fn erasure(item: &Item) -> Option<Erasure> {
    let time = |name| number_of(item, name).map(Timestamp::from_millis);
    let (account, id) = keys::erasure_named(text_of(item, PK)?)?;
    let subject = match text_of(item, "subject") {
        Some(subject) => Some(Subject::parse(subject).ok()?),
        None => None,
    };
    let after = match item.get("after") {
        Some(AttributeValue::L(parts)) => {
            let parts = parts.iter().map(|part| part.as_s().ok().cloned());
            Some(Cursor(parts.collect::<Option<_>>()?))
        }
        Some(_) => return None,
        None => None,
    };
    let progress = match text_of(item, "state")? {
        RUNNING => {
            // Without its subject, nobody knows what to erase.
            let is_known = subject.as_ref().map(|subject| ErasureId::of(Some(subject)));
            if is_known.unwrap_or_else(|| ErasureId::of(None)) != id {
                return None;
            }
            let stage = Stage::named(text_of(item, "stage")?)?;
            Progress::Running(Position { stage, after })
        }
        DONE => Progress::Done(time("ended")?),
        _ => return None,
    };
    Some(Erasure {
        account,
        id,
        subject,
        by: text_of(item, "by").and_then(Principal::new),
        begun: time("begun")?,
        steps: number_of(item, "steps")?,
        progress,
        erased: Erased {
            records: number_of(item, "records")?,
            objects: number_of(item, "objects")?,
        },
        remains: Remains {
            receipts: time("receipts_until")?,
            events: time("events_until"),
            backups: time("backups_until")?,
        },
    })
}

impl Erasures for DynamoAccounts {
    async fn erasure(
        &self,
        account: &AccountName,
        id: &ErasureId,
    ) -> Result<Option<Erasure>, PortError> {
        let found = self.get(READING, keys::erasure(account, id)).await?;
        let read = |item: &Item| erasure(item).ok_or_else(|| PortError::unreadable(READING));
        found.as_ref().map(read).transpose()
    }

    async fn begin_erasure(&self, new: &Erasure) -> Result<Begun, PortError> {
        let begun = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(new)))
            // One that cannot be read may be running all the same.
            .condition_expression("attribute_not_exists(pk) OR #state = :done")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":done", text(DONE))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match begun {
            Ok(_) => return Ok(Begun::Now),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => failed
                .item()
                .and_then(erasure)
                .map(|running| Begun::Running(Box::new(running)))
                .ok_or_else(|| PortError::unreadable(BEGINNING)),
            _ => Err(port_error(BEGINNING, &error, is_permanent)),
        }
    }
}

impl ErasureJobs for DynamoAccounts {
    async fn running(&self) -> Result<RunningErasures, PortError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("begins_with(pk, :erasure) AND #state <> :done")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":erasure", keys::any_erasure())
            .expression_attribute_values(":done", text(DONE))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut running = RunningErasures::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(LISTING, &error, is_permanent))?;
            for item in page.items() {
                match erasure(item) {
                    Some(erasure) => running.erasures.push(erasure),
                    None => running.unreadable += 1,
                }
            }
        }
        Ok(running)
    }

    async fn advance(&self, seen: &Erasure, next: &Erasure) -> Result<bool, PortError> {
        let kept = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(next)))
            // The same may have been done and begun anew in between.
            .condition_expression("#state = :running AND begun = :begun AND steps = :steps")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":running", text(RUNNING))
            .expression_attribute_values(":begun", number(seen.begun.millis()))
            .expression_attribute_values(":steps", number(seen.steps))
            .send()
            .await;
        match kept {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(port_error(ADVANCING, &error, is_permanent)),
            },
        }
    }

    async fn erase_tokens(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(
                "begins_with(pk, :token) AND #account = :account AND #status = :retired",
            )
            .expression_attribute_names("#account", "account")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":account", text(account.as_str()))
            .expression_attribute_values(":token", keys::any_token())
            .expression_attribute_values(":retired", text(TokenStatus::Retired.as_str()))
            .projection_expression("pk")
            .set_exclusive_start_key(start(after, &[PK]))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(ERASING_TOKENS, &error, is_permanent))?;
        let deletes = page.items().iter().map(|key| async {
            let call = self.client.delete_item().table_name(&self.table);
            let deleted = call.set_key(Some(key.clone())).send().await;
            deleted
                .map(drop)
                .map_err(|error| port_error(ERASING_TOKENS, &error, is_permanent))
        });
        at_the_same_time(deletes).await?;
        Ok(Page {
            erased: u64::try_from(page.items().len()).unwrap_or(u64::MAX),
            next: cursor(page.last_evaluated_key(), &[PK]),
        })
    }

    async fn erase_account(
        &self,
        account: &AccountName,
        now: Timestamp,
    ) -> Result<Removal, PortError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(PK, keys::account(account))
            .condition_expression(
                // Without a desired state it is a name that a call reserved before it died.
                "attribute_not_exists(pk) OR \
                 ((attribute_not_exists(wish) OR wish = :disconnected) AND \
                 (attribute_not_exists(lease_owner) OR lease_until <= :now))",
            )
            .expression_attribute_values(":disconnected", text("disconnected"))
            .expression_attribute_values(":now", number(now.millis()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match deleted {
            Ok(_) => return Ok(Removal::Gone),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                let desired = failed.item().and_then(|item| text_of(item, "wish"));
                Ok(match desired {
                    None | Some("disconnected") => Removal::Held,
                    Some(_) => Removal::Connected,
                })
            }
            _ => Err(port_error(ERASING_ACCOUNT, &error, is_permanent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::erasure::Retention;
    use rstest::rstest;

    fn new(subject: Option<&str>) -> Erasure {
        let subject = subject.map(|subject| Subject::parse(subject).unwrap());
        let by = Principal::new("arn:aws:iam::123456789012:user/ops");
        let now = Timestamp::from_millis(1_795_176_000_000);
        let retention = Retention {
            receipt_days: 30,
            event_days: 0,
        };
        Erasure::begin("acme".parse().unwrap(), subject, by, now, retention)
    }

    #[test]
    fn an_erasure_reads_back_as_it_was_kept() {
        for subject in [None, Some("order/or_1")] {
            let mut kept = new(subject);
            for _ in 0..10 {
                assert_eq!(erasure(&item(&kept)).as_ref(), Some(&kept));
                let Progress::Running(position) = kept.progress.clone() else {
                    break;
                };
                let next = position.after.is_none();
                let next = next.then(|| Cursor(vec!["a".to_owned(), "b".to_owned()]));
                let page = Page { erased: 3, next };
                kept = kept.after(position.stage, page, kept.begun);
            }
        }
    }

    #[test]
    fn a_record_is_named_only_while_it_is_erased() {
        let mut job = new(Some("order/or_1"));
        while let Progress::Running(position) = job.progress.clone() {
            assert!(format!("{:?}", item(&job)).contains("or_1"));
            job = job.after(position.stage, Page::default(), job.begun);
        }
        assert!(!format!("{:?}", item(&job)).contains("or_1"));
    }

    #[rstest]
    #[case::another_state("state", Some(text("paused")))]
    #[case::no_state("state", None)]
    #[case::another_stage("stage", Some(text("receipts")))]
    #[case::a_cursor_of_another_type("after", Some(text("a")))]
    #[case::without_its_subject("subject", None)]
    #[case::another_subject("subject", Some(text("order/or_2")))]
    #[case::no_steps("steps", None)]
    #[case::a_key_of_an_account(PK, Some(text("account#acme")))]
    fn what_says_something_else_is_not_taken_for_an_erasure(
        #[case] name: &str,
        #[case] value: Option<AttributeValue>,
    ) {
        let mut item = item(&new(Some("order/or_1")));
        item.remove(name);
        item.extend(value.map(|value| (name.to_owned(), value)));
        assert_eq!(erasure(&item), None);
    }
}
