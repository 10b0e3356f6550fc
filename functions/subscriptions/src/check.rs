//! Checking: what the source has is compared with what the account wants, and mended at once.
//!
//! A change of the selection is a check with another wish. A check of an account that is being disconnected goes
//! on with that, and one that is disconnected needs none. A webhook of somebody else is never touched.

use domain::account::AccountName;
use domain::subscription::{Accounts, Deliveries, IfUnknown, Secrets, Wish};
use domain::timestamp::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::held::{self, Held};
use crate::request::Change;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn change(
        &self,
        name: &AccountName,
        change: &Change,
        now: Timestamp,
        deadline: Instant,
    ) -> Outcome {
        self.with_account(name, now, async |mut held: Held<'_, A>| {
            if held.account.wish != Wish::Connected {
                return Failure::NotConnected.into();
            }
            let events = match change.selection(held.account.source) {
                Ok(events) => events,
                Err(failure) => return failure.into(),
            };
            if held.account.events != events {
                held.account.connect_for(events, now);
                if let Err(failure) = held.save(&[]).await {
                    return failure.into();
                }
            }
            self.mend(held, deadline).await
        })
        .await
    }

    pub(crate) async fn check(
        &self,
        name: &AccountName,
        now: Timestamp,
        deadline: Instant,
    ) -> Outcome {
        self.with_account(name, now, async |mut held: Held<'_, A>| {
            match held.account.wish {
                Wish::Connected => {
                    self.health.watch_failures(name, now).await;
                    self.watch_silence(&mut held).await;
                    self.mend(held, deadline).await
                }
                Wish::Disconnected { .. } => self.disconnect_held(held, deadline).await,
            }
        })
        .await
    }

    /// Takes in what came since the last check.
    async fn watch_silence(&self, held: &mut Held<'_, A>) {
        let arrivals = self.health.arrivals(&held.account, held.now).await;
        if let Some(silence) = arrivals.and_then(|arrivals| held.hear(&arrivals)) {
            self.health.report_silence(&held.account, silence);
        }
    }

    /// Does something with an account that exists, under its lease.
    pub(crate) async fn with_account<'s>(
        &'s self,
        name: &AccountName,
        now: Timestamp,
        work: impl AsyncFnOnce(Held<'_, A>) -> Outcome,
    ) -> Outcome {
        match held::take(self.accounts, name, now, IfUnknown::Refuse).await {
            Err(failure) => failure.into(),
            Ok((_, None)) => Failure::UnknownAccount(name.clone()).into(),
            Ok((lease, Some(account))) => {
                let held = Held::new(self.accounts, &lease, account, now);
                let outcome = work(held).await;
                held::release(self.accounts, &lease).await;
                outcome
            }
        }
    }

    /// Brings the source in line with the account, with the credentials that are kept.
    pub(crate) async fn mend(&self, mut held: Held<'_, A>, deadline: Instant) -> Outcome {
        let mended = self.reconciler.reconcile(&mut held);
        let mended = match timeout_at(deadline, mended).await {
            Ok(mended) => mended,
            Err(_) => Err(Failure::OutOfTime),
        };
        let settled = match mended {
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
