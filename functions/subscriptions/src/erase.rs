//! Erasing: an account, or one record of it, is to be forgotten. The call keeps that, and another function does it
//! ([`domain::erasure`] says what goes and what stays).
//!
//! | the account | the answer to the whole account's erasure | to one record's |
//! |---|---|---|
//! | is connected, or not yet disconnected | 409: it would go on receiving. `DELETE` disconnects it first | 202 |
//! | is disconnected | 202 | 202 |
//! | is unknown | 404 | 404 |
//! | was erased before | 202: what arrived late is erased too | 404 |
//! | is being erased, the same | 202, with the erasure that is under way | 202, likewise |
//!
//! While the whole account is being erased it cannot be connected again: what is new would be deleted with the rest.

use domain::account::AccountName;
use domain::erasure::{Begun, Erasure, ErasureId};
use domain::record::Subject;
use domain::subscription::{Accounts, Deliveries, Desired, Principal, Secrets};
use domain::timestamp::Timestamp;

use crate::Subscriptions;
use crate::account_lock::AccountLock;
use crate::answer::{Failure, Outcome};
use crate::history::Note;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn erase(
        &self,
        name: &AccountName,
        subject: Option<Subject>,
        by: Option<&Principal>,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let id = ErasureId::of(subject.as_ref());
        let last = self.accounts.erasure(name, &id).await?;
        if let Some(running) = last.as_ref().filter(|last| last.is_running()) {
            return Ok(Outcome::Erasure(Box::new(running.clone())));
        }
        let new = Erasure::begin(name.clone(), subject, by.cloned(), now, self.retention);
        let mut lock = match AccountLock::acquire(self.ports(by), name, now).await {
            Ok(lock) => lock,
            // Nobody can be changing it.
            Err(Failure::UnknownAccount(_)) if id.is_whole() && last.is_some() => {
                return self.begin_erasure(new).await;
            }
            Err(failure) => return Err(failure),
        };
        let is_disconnected = lock.account.desired == (Desired::Disconnected { done: true });
        if id.is_whole() && !is_disconnected {
            let name = name.clone();
            return lock.release(Failure::StillConnected(name)).await;
        }
        lock.note(Note::Chosen, described(&new));
        let begun = match lock.save_changes().await {
            Ok(()) => self.begin_erasure(new).await,
            Err(failure) => Err(failure),
        };
        match begun {
            Ok(outcome) => {
                lock.end().await;
                Ok(outcome)
            }
            Err(failure) => lock.release(failure).await,
        }
    }

    async fn begin_erasure(&self, new: Erasure) -> Result<Outcome, Failure> {
        let begun = match self.accounts.begin_erasure(&new).await? {
            Begun::Now => Box::new(new),
            Begun::Running(running) => running,
        };
        Ok(Outcome::Erasure(begun))
    }

    /// How far an erasure is.
    pub(crate) async fn show_erasure(
        &self,
        name: &AccountName,
        id: &ErasureId,
    ) -> Result<Outcome, Failure> {
        let found = self.accounts.erasure(name, id).await?;
        let found = found.ok_or_else(|| Failure::NoErasure(name.clone()))?;
        Ok(Outcome::Erasure(Box::new(found)))
    }

    /// Refuses to connect an account that is being erased. Whoever holds its lease knows that none begins.
    pub(crate) async fn refuse_while_erased(&self, name: &AccountName) -> Result<(), Failure> {
        let erasure = self.accounts.erasure(name, &ErasureId::of(None)).await?;
        match erasure.is_some_and(|erasure| erasure.is_running()) {
            true => Err(Failure::BeingErased(name.clone())),
            false => Ok(()),
        }
    }
}

/// What the history says. The record's id stays out of it: the entry outlives the record.
fn described(new: &Erasure) -> String {
    let kind = new
        .subject
        .as_ref()
        .and_then(|subject| subject.as_str().split_once('/'));
    match kind {
        None => "everything that is kept of the account is to be erased".to_owned(),
        Some((kind, _)) => format!(
            "a record of kind {kind} is to be erased: erasure {}",
            new.id
        ),
    }
}
