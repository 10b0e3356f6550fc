//! Disconnecting: the desired state is kept, then everything of ours is withdrawn.

use domain::account::AccountName;
use domain::subscription::{Accounts, Deliveries, IfUnknown, Secrets, Wish};
use domain::timestamp::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::held::{self, Held};

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn disconnect(
        &self,
        name: &AccountName,
        now: Timestamp,
        deadline: Instant,
    ) -> Outcome {
        match held::take(self.accounts, name, now, IfUnknown::Refuse).await {
            Err(failure) => failure.into(),
            Ok((_, None)) => Failure::UnknownAccount(name.clone()).into(),
            Ok((lease, Some(account))) => {
                let held = Held::new(self.accounts, &lease, account, now);
                let outcome = self.disconnect_held(held, deadline).await;
                held::release(self.accounts, &lease).await;
                outcome
            }
        }
    }

    pub(crate) async fn disconnect_held(
        &self,
        mut held: Held<'_, A>,
        deadline: Instant,
    ) -> Outcome {
        match held.account.wish {
            Wish::Disconnected { done: true } => return Outcome::Done(Box::new(held.account)),
            Wish::Disconnected { done: false } => {}
            Wish::Connected => {
                held.account.wish = Wish::Disconnected { done: false };
                if let Err(failure) = held.save(&[]).await {
                    return failure.into();
                }
            }
        }
        let cleared = self.reconciler.clear(&mut held);
        let ended = match timeout_at(deadline, cleared).await {
            Ok(Ok(left)) => self.reconciler.retire(&mut held, left).await,
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::OutOfTime),
        };
        match ended {
            Ok(()) => Outcome::Done(Box::new(held.account)),
            Err(failure) => {
                held.regret(&failure).await;
                Outcome::Unfinished(Box::new(held.account), failure)
            }
        }
    }
}
