//! Checking: what the source has is compared with what the account wants, and corrected at once.
//!
//! A change of the selection is a check with another desired state. A check of an account that is being
//! disconnected goes on with that, and one that is disconnected needs none. A webhook of somebody else is never
//! touched.

use domain::account::AccountName;
use domain::subscription::{Accounts, Deliveries, Desired, Principal, Secrets};
use domain::timestamp::Timestamp;
use tokio::time::Instant;

use crate::account_lock::AccountLock;
use crate::answer::{Failure, Outcome};
use crate::request::Change;
use crate::{Subscriptions, within};

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn change(
        &self,
        name: &AccountName,
        change: &Change,
        by: Option<&Principal>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut lock = AccountLock::acquire(self.ports(by), name, now).await?;
        match self.select(&mut lock, change).await {
            Ok(()) if self.is_manual(&lock) => self.check_manually(lock).await,
            Ok(()) => self.reconcile(lock, deadline).await,
            Err(failure) => lock.release(failure).await,
        }
    }

    pub(crate) async fn check(
        &self,
        name: &AccountName,
        by: Option<&Principal>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut lock = AccountLock::acquire(self.ports(by), name, now).await?;
        match lock.account.desired {
            Desired::Connected => {
                self.health.watch_failures(&lock.account, now).await;
                self.watch_silence(&mut lock).await;
                if self.is_manual(&lock) {
                    return self.check_manually(lock).await;
                }
                self.reconcile(lock, deadline).await
            }
            Desired::Disconnected { .. } => self.withdraw(lock, deadline).await,
        }
    }

    /// Brings the source in line with an account that shall be connected, with the credentials that are kept.
    pub(crate) async fn reconcile(
        &self,
        mut lock: AccountLock<'_, A>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let source = lock.account.source;
        let work = self.reconciler.reconcile(&mut lock);
        let converged = within(deadline, source, work).await;
        lock.conclude(converged).await
    }

    /// Takes in what came since the last check.
    async fn watch_silence(&self, lock: &mut AccountLock<'_, A>) {
        let arrivals = self.health.arrivals(&lock.account, lock.now).await;
        if let Some(silence) = arrivals.and_then(|arrivals| lock.observe(&arrivals)) {
            self.health.report_silence(&lock.account, silence);
        }
    }

    /// Keeps what is changed: the selection, what becomes of unproved requests, or the signing secrets.
    async fn select(&self, lock: &mut AccountLock<'_, A>, change: &Change) -> Result<(), Failure> {
        if lock.account.desired != Desired::Connected {
            return Err(Failure::NotConnected);
        }
        let source = lock.account.source;
        let events = change.selection(source)?;
        let policy = change.policy(source, self.rules)?;
        let secrets = change.signing_secrets(source, self.rules)?;
        if let Some(secrets) = secrets {
            self.reconciler.keep_signing_secrets(lock, &secrets).await?;
        }
        lock.choose_policy(policy);
        match events {
            Some(events) => lock.select(events).await,
            None => lock.save_changes().await,
        }
    }
}
