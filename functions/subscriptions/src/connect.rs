//! Connecting: the desired state is kept, then the source is brought in line with it.

use domain::account::AccountName;
use domain::subscription::{Account, Accounts, Deliveries, Principal, Secrets};
use domain::timestamp::Timestamp;
use tokio::time::Instant;

use crate::account_lock::AccountLock;
use crate::admission::Admitted;
use crate::answer::{Failure, Outcome};
use crate::request::Connect;
use crate::{Subscriptions, within};

impl<'p, A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'p, A, S, D> {
    pub(crate) async fn connect(
        &self,
        name: &AccountName,
        wanted: &Connect,
        by: Option<&Principal>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let new = Account::new(name.clone(), wanted.source, wanted.events.clone(), now);
        let mut lock = AccountLock::acquire_or_reserve(self.ports(by), new, now).await?;
        if let Err(failure) = self.refuse_while_erased(name).await {
            return lock.release(failure).await;
        }
        if self.reconciler.life_cycle(wanted.source).is_manual() {
            return self.connect_manually(lock, wanted).await;
        }
        match self.accept(&mut lock, wanted, deadline).await {
            Ok(admitted) => {
                let work = self.reconciler.reconcile_with(&mut lock, admitted);
                let converged = within(deadline, wanted.source, work).await;
                lock.conclude(converged).await
            }
            Err(failure) => lock.release(failure).await,
        }
    }

    /// Keeps the desired state, if its credentials are good for the account.
    async fn accept(
        &self,
        lock: &mut AccountLock<'_, A>,
        wanted: &Connect,
        deadline: Instant,
    ) -> Result<Admitted<'p, S>, Failure> {
        if lock.account.source != wanted.source {
            return Err(Failure::OtherSource);
        }
        let (account, credentials) = (&lock.account, &wanted.credentials);
        let admitted = self.reconciler.admit(account, credentials, lock.now);
        let admitted = within(deadline, wanted.source, admitted).await?;
        lock.choose_policy(wanted.policy);
        lock.select(wanted.events.clone()).await?;
        Ok(admitted)
    }
}
