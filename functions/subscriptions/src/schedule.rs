//! The schedule: every account is sent to the check queue, and checked from there one by one.
//!
//! So the work is spread over invocations, and what is wrong with one account stops no other. An account whose
//! source asked to be left alone is left for the next run; one that is disconnected has nothing to check, unless teams are
//! yet to be sent what happened to it.
//!
//! Between these runs others look which accounts have become silent, and send only those: where a day passes from
//! check to check, a dead webhook is found within minutes all the same. Such a run reads the accounts, and a receipt
//! of those that seem silent.
//!
//! | what a check came to | its message |
//! |---|---|
//! | all is well, or repaired | is done |
//! | the source refuses, is down or slow | is done: the account says so, and the next run tries again |
//! | the old webhook of a rotation has to stay, because it alone delivers | is done: the account says so |
//! | another call holds the account | is done: that call does the same |
//! | there is no such account any more | is done |
//! | one of our own stores does not answer, a panic, an unreadable message | comes again, and in the end raises an alarm |

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::account::AccountName;
use domain::ports::{Message, PortError, QueueUrl, Queues};
use domain::subscription::{
    Account, Accounts, AllAccounts, Deliveries, Desired, Secrets, check_order,
};
use domain::timestamp::Timestamp;
use futures::FutureExt as _;
use futures::future::join_all;
use runtime::enqueue::enqueue;
use runtime::metrics::{self, Metric};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::health::Health;

/// How long sending to the check queue may take in all.
const SENDING: Duration = Duration::from_secs(15);

/// A message of the check queue. A member that a newer release adds is passed over: whatever it asks for, a check of
/// the whole account does no harm, and one that never comes would.
#[derive(Debug, Deserialize)]
struct CheckOrder {
    account: String,
}

/// Sends accounts to be checked.
pub struct Schedule<'p, A, D, Q> {
    accounts: &'p A,
    health: &'p Health<'p, D>,
    queues: &'p Q,
    queue: QueueUrl,
}

impl<'p, A: Accounts, D: Deliveries, Q: Queues> Schedule<'p, A, D, Q> {
    /// Sends the accounts of this table to this queue.
    pub fn new(accounts: &'p A, health: &'p Health<'p, D>, queues: &'p Q, queue: QueueUrl) -> Self {
        Self {
            accounts,
            health,
            queues,
            queue,
        }
    }

    /// Sends every account that there is something to check of, and says how many these are.
    ///
    /// # Errors
    /// The accounts cannot be read, or the queue did not take all of them. The others are on their way.
    pub async fn run(&self, now: Timestamp) -> Result<usize, Failure> {
        let accounts = self.list().await?;
        let due: Vec<&Account> = accounts
            .iter()
            .filter(|account| is_due(account, now))
            .collect();
        self.send(&due).await
    }

    /// Sends every account that has become silent since its last check, and says how many these are.
    ///
    /// # Errors
    /// The accounts cannot be read, or the queue did not take all of them. The others are on their way.
    pub async fn watch(&self, now: Timestamp) -> Result<usize, Failure> {
        let accounts = self.list().await?;
        let mut silent = Vec::new();
        for account in accounts.iter().filter(|account| is_due(account, now)) {
            match self.health.has_become_silent(account, now).await {
                Ok(true) => silent.push(account),
                Ok(false) => {}
                Err(error) => {
                    // One check too many does no harm.
                    warn!(account = %account.name, %error, "whether deliveries stay away cannot be determined");
                    metrics::count(Metric::HealthUnread, 1);
                    silent.push(account);
                }
            }
        }
        self.send(&silent).await
    }

    /// The accounts that can be read. The others are counted, for the alarm: nobody checks them.
    async fn list(&self) -> Result<Vec<Account>, Failure> {
        let AllAccounts {
            accounts,
            unreadable,
        } = self.accounts.list().await?;
        for name in &unreadable {
            error!(account = %name, "the account cannot be read; its GET says what to do");
        }
        metrics::count(Metric::AccountsUnreadable, unreadable.len());
        Ok(accounts)
    }

    async fn send(&self, due: &[&Account]) -> Result<usize, Failure> {
        let messages: Vec<Message<'_>> = due
            .iter()
            .map(|account| check_order(&account.name))
            .collect();
        let deadline = Instant::now() + SENDING;
        let answers = enqueue(self.queues, &self.queue, &messages, deadline).await;
        info!(due = due.len(), "schedule");
        let refused: Vec<PortError> = answers.into_iter().filter_map(Result::err).collect();
        metrics::count(Metric::ChecksUnsent, refused.len());
        match refused.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(due.len()),
        }
    }
}

fn is_due(account: &Account, now: Timestamp) -> bool {
    let is_done = account.desired == Desired::Disconnected { done: true };
    (!is_done || !account.unsent.is_empty()) && !account.is_quiet(now)
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// It comes again, for this reason.
    Again(&'static str),
}

/// Why a message comes again: the metric's word.
const UNREADABLE: &str = "unreadable";
const PANIC: &str = "panic";
const TRANSIENT: &str = "transient";

/// What stands for the lane where messages are of the check queue.
const CHECKS: &str = "checks";

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    /// Checks the accounts of a batch, all at the same time, and says which messages have to come again.
    pub async fn check_batch(&self, batch: &SqsEvent, now: Timestamp) -> SqsBatchResponse {
        let fates = batch.records.iter().map(|message| async {
            // A panic is one message's, and the others go on.
            let checked = AssertUnwindSafe(self.check_ordered(message, now));
            checked.catch_unwind().await.unwrap_or_else(|_| {
                warn!("a check ended in a panic");
                Fate::Again(PANIC)
            })
        });
        let fates = join_all(fates).await;
        let again = batch.records.iter().zip(fates);
        let mut response = SqsBatchResponse::default();
        for (message, fate) in again {
            if let Fate::Again(failure) = fate {
                metrics::count_by(Metric::Retried, 1, &[CHECKS, failure]);
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = message.message_id.clone().unwrap_or_default();
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    async fn check_ordered(&self, message: &SqsMessage, now: Timestamp) -> Fate {
        let body = message.body.as_deref().unwrap_or_default();
        let order: Result<CheckOrder, _> = serde_json::from_str(body);
        let name = order
            .ok()
            .and_then(|order| order.account.parse::<AccountName>().ok());
        let Some(name) = name else {
            warn!("a message of the check queue cannot be read");
            metrics::count(Metric::Checks, 1);
            return Fate::Again(UNREADABLE);
        };
        let span = info_span!("check", account = name.as_str());
        async {
            let deadline = Instant::now() + self.budget;
            let outcome = self.check(&name, None, now, deadline).await;
            let outcome = outcome.unwrap_or_else(Outcome::Failed);
            let (word, fate) = judge(&outcome);
            metrics::count(Metric::Checks, 1);
            match outcome.cause() {
                None => info!(outcome = word, "checked"),
                Some(cause) => warn!(outcome = word, cause, "checked"),
            }
            fate
        }
        .instrument(span)
        .await
    }
}

/// The table above.
fn judge(outcome: &Outcome) -> (&'static str, Fate) {
    match outcome {
        Outcome::Done(_)
        | Outcome::Endpoint(..)
        | Outcome::Listed(_)
        | Outcome::Shown(_)
        | Outcome::Erasure(_) => ("in_line", Fate::Done),
        Outcome::Unfinished(_, failure) | Outcome::Failed(failure) => match failure {
            Failure::Api(..)
            | Failure::OutOfTime(_)
            | Failure::NoCredentials(_)
            | Failure::NotConnected
            | Failure::NothingToRotate
            | Failure::Manual(_)
            | Failure::NotManual(_)
            | Failure::StillConnected(_)
            | Failure::BeingErased(_)
            | Failure::NoErasure(_)
            | Failure::SilentSuccessor { .. }
            | Failure::KeptOtherwise { .. }
            | Failure::OtherSite(_)
            | Failure::OtherSource
            | Failure::NoApi(_) => ("unfinished", Fate::Done),
            Failure::Busy { .. } | Failure::Overtaken => ("busy", Fate::Done),
            Failure::UnknownAccount(_) => ("unknown", Fate::Done),
            Failure::Store(_)
            | Failure::Randomness
            | Failure::Invalid { .. }
            | Failure::NoRoute => ("failed", Fate::Again(TRANSIENT)),
        },
    }
}
