//! Connecting: the desired state is kept, then the source is brought in line with it.

use domain::account::AccountName;
use domain::subscription::{Account, Accounts, Deliveries, IfUnknown, Lease, Secrets, Wish};
use domain::timestamp::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::held::{self, Held};
use crate::request::Connect;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn connect(
        &self,
        name: &AccountName,
        wish: &Connect,
        now: Timestamp,
        deadline: Instant,
    ) -> Outcome {
        match held::take(self.accounts, name, now, IfUnknown::Reserve).await {
            Err(failure) => failure.into(),
            Ok((lease, account)) => {
                let outcome = self
                    .connect_held(&lease, account, wish, now, deadline)
                    .await;
                held::release(self.accounts, &lease).await;
                outcome
            }
        }
    }

    async fn connect_held(
        &self,
        lease: &Lease,
        account: Option<Account>,
        wish: &Connect,
        now: Timestamp,
        deadline: Instant,
    ) -> Outcome {
        let is_new = account.is_none();
        let account = account.unwrap_or_else(|| {
            let name = lease.account.clone();
            Account::new(name, wish.source, wish.events.clone(), now)
        });
        if account.source != wish.source {
            return Failure::OtherSource.into();
        }
        let admitted = self.reconciler.admit(&account, &wish.credentials, now);
        let admitted = match timeout_at(deadline, admitted).await {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(failure)) => return failure.into(),
            Err(_) => return Failure::OutOfTime.into(),
        };

        let mut held = Held::new(self.accounts, lease, account, now);
        let is_kept =
            held.account.wish == Wish::Connected && held.account.events == wish.events && !is_new;
        if !is_kept {
            held.account.connect_for(wish.events.clone(), now);
            if let Err(failure) = held.save(&[]).await {
                return failure.into();
            }
        }
        let fulfilled = self.reconciler.reconcile_with(&mut held, admitted);
        let fulfilled = match timeout_at(deadline, fulfilled).await {
            Ok(fulfilled) => fulfilled,
            Err(_) => Err(Failure::OutOfTime),
        };
        let settled = match fulfilled {
            Ok(()) => held.settle().await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(()) => Outcome::Done(Box::new(held.account)),
            Err(failure) => {
                held.regret(&failure).await;
                Outcome::Unfinished(Box::new(held.account), failure)
            }
        }
    }
}
