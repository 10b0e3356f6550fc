//! Disconnecting: the desired state is kept, then everything of ours is withdrawn.

use domain::account::AccountName;
use domain::subscription::{Accounts, Deliveries, Desired, Principal, Secrets};
use domain::timestamp::Timestamp;
use tokio::time::Instant;

use crate::Subscriptions;
use crate::account_lock::AccountLock;
use crate::answer::{Failure, Outcome};

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn disconnect(
        &self,
        name: &AccountName,
        by: Option<&Principal>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut lock = AccountLock::acquire_to_remove(self.ports(by), name, now).await?;
        if lock.account.desired == Desired::Connected {
            lock.account.desired = Desired::Disconnected { done: false };
            if let Err(failure) = lock.save(&[]).await {
                return lock.release(failure).await;
            }
        }
        self.withdraw(lock, deadline).await
    }

    /// Goes on with a disconnect, or shows that it is done.
    pub(crate) async fn withdraw(
        &self,
        mut lock: AccountLock<'_, A>,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let withdrawn = self.reconciler.withdraw(&mut lock, deadline).await;
        lock.conclude(withdrawn).await
    }
}
