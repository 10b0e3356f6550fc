//! Rotating: another webhook takes over from the one in use, with a token and a key of its own, and nothing is lost
//! on the way.
//!
//! | step | what the next run does if it is the last one |
//! |---|---|
//! | the account says that its webhook is to be replaced | goes on with the next step |
//! | the new token is stored, then the second webhook registered with it | takes over the webhook, if it is there; else registers another |
//! | the new key is kept beside the old one, and the account says that the new webhook is in use | keeps the key; or finds it kept |
//! | both deliver, and both are accepted; checks wait for a delivery of the new one ([`Evidence`]) | waits on |
//! | the old webhook is removed at the source | finds it gone, and goes on |
//! | its token and key are good for retries until their grace is over | retires the token, then drops the key |
//!
//! The desired state is kept first and the rest is a check, so whatever cuts it short, the schedule completes it. The same
//! call again goes on with the rotation that is under way; the next one begins when this one is over.
//!
//! | the account | the answer |
//! |---|---|
//! | is connected | 200: both webhooks are there, or 202 where the source wants a pause: the checks go on |
//! | is rotating already | the same |
//! | has no confirmed webhook yet | 409: there is nothing to replace |
//! | is disconnected, or on its way there | 409 |
//! | is manual | 409: another URL is made by a call of its own |
//! | is being changed by another call | 409, and when to ask again |
//!
//! [`Evidence`]: domain::subscription::Evidence

use domain::account::AccountName;
use domain::subscription::{Accounts, Deliveries, Desired, Principal, RegistrationState, Secrets};
use domain::timestamp::Timestamp;
use tokio::time::Instant;

use crate::Subscriptions;
use crate::account_lock::AccountLock;
use crate::answer::{Failure, Outcome};
use crate::history::Act;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    pub(crate) async fn rotate(
        &self,
        name: &AccountName,
        by: Option<&Principal>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut lock = AccountLock::acquire(self.ports(by), name, now).await?;
        if self.is_manual(&lock) {
            let source = lock.account.source;
            return lock.release(Failure::Manual(source)).await;
        }
        match begin(&mut lock).await {
            Ok(()) => self.reconcile(lock, deadline).await,
            Err(failure) => lock.release(failure).await,
        }
    }
}

/// Keeps that the webhook in use is to be replaced, unless a rotation is under way.
async fn begin<A: Accounts>(lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
    if lock.account.desired != Desired::Connected {
        return Err(Failure::NotConnected);
    }
    if lock.account.rotation().is_some() {
        return Ok(());
    }
    let live = lock.account.registrations.iter();
    let live = live.filter(|own| own.state == RegistrationState::Live);
    let old: Vec<String> = live
        .filter_map(|own| Some(own.webhook.as_ref()?.to_string()))
        .collect();
    if old.is_empty() || !lock.account.rotate() {
        return Err(Failure::NothingToRotate);
    }
    let old = old.join(", from webhook ");
    let what = format!("another webhook is to take over from webhook {old}");
    lock.acted(Act::RotationBegun, what);
    lock.save(&[]).await
}
