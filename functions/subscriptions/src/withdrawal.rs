//! Withdrawal: our webhooks are removed at the source, then their tokens are retired, then the secrets are
//! scheduled for deletion.
//!
//! A source that is out of order lets the call end unfinished; the same call goes on. One that refuses the
//! credentials (the integration was removed there) does not: the tokens are retired all the same, the webhook
//! is answered with 401 from then on, and the account says so.

use domain::account::TokenHash;
use domain::subscription::{
    Accounts, ApiError, Deliveries, Desired, LastError, Registration, RegistrationState, Removed,
    Secrets,
};
use sources::facts;
use tokio::time::Instant;

use crate::account_lock::{AccountLock, MOST_TOKENS};
use crate::answer::Failure;
use crate::apply::{by_hand, stopped};
use crate::history::{Act, Note};
use crate::reconciler::Reconciler;
use crate::within;

impl<A: Accounts, S: Secrets, D: Deliveries> Reconciler<'_, A, S, D> {
    /// Withdraws everything of ours. The deadline is for the source; what follows is our own.
    pub(crate) async fn withdraw(
        &self,
        lock: &mut AccountLock<'_, A>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if lock.account.desired == (Desired::Disconnected { done: true }) {
            return Ok(());
        }
        let source = lock.account.source;
        let left = match self.life_cycle(source).is_manual() {
            true => by_person(lock),
            false => within(deadline, source, self.clear(lock)).await?,
        };
        self.retire(lock, left).await
    }

    /// Removes our webhooks at the source; says what had to be left there.
    async fn clear(&self, lock: &mut AccountLock<'_, A>) -> Result<Option<String>, Failure> {
        let title = facts(lock.account.source).title;
        let Some(mut session) = self.session(&lock.account, lock.now).await? else {
            // Either nothing was ever registered, or a call before this one came as far as the secrets.
            let is_left = !lock.account.registrations.is_empty();
            return Ok(is_left.then(|| left(title, "the credentials are gone")));
        };
        let seen = match self.observe(&lock.account, &mut session).await {
            Err(Failure::Api(_, ApiError::CredentialsRefused)) => {
                let why = format!("{title} refuses the credentials");
                return Ok(Some(left(title, &why)));
            }
            seen => seen?.ours,
        };
        let mut left = None;
        for seen in seen {
            let id = &seen.webhook.id;
            match session.remove(id).await {
                Ok(Removed::Now | Removed::Before) => {
                    lock.acted(Act::Removed, format!("removed webhook {id}"));
                }
                Ok(Removed::Stopped) => left = Some(stopped(id, title)),
                Err(Failure::Api(_, ApiError::NoSuchCall(_))) => left = Some(by_hand(id, title)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(left)
    }

    /// Forgets webhooks that are gone, if all tokens are more than are saved at once: nothing is left of them to be reported.
    async fn forget_expired(&self, lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
        if lock.account.registrations.len() <= MOST_TOKENS {
            return Ok(());
        }
        let is_expired = |own: &&Registration| match own.state {
            RegistrationState::Expired { .. } => true,
            RegistrationState::Pending
            | RegistrationState::Live
            | RegistrationState::Replacing
            | RegistrationState::Draining { .. } => false,
        };
        let expired = lock.account.registrations.iter().filter(is_expired);
        let expired: Vec<TokenHash> = expired.map(|own| own.token).collect();
        for chunk in expired.chunks(MOST_TOKENS) {
            for token in chunk {
                lock.account.forget(token);
            }
            lock.save(chunk).await?;
        }
        Ok(())
    }

    /// Takes no more deliveries, and lets the secrets go.
    async fn retire(
        &self,
        lock: &mut AccountLock<'_, A>,
        left: Option<String>,
    ) -> Result<(), Failure> {
        self.forget_expired(lock).await?;
        let registrations = lock.account.registrations.iter();
        let mut tokens: Vec<TokenHash> = registrations
            .map(|registration| registration.token)
            .collect();
        // What had to be left is reported with the last save. Until then the registrations say that there is
        // something, because without credentials nobody can look.
        if left.is_none() {
            // Those that are not forgotten yet are still there for a call that goes on.
            while !lock.account.registrations.is_empty() {
                let count = lock.account.registrations.len().min(MOST_TOKENS);
                let gone = lock.account.registrations.drain(..count);
                let gone: Vec<TokenHash> = gone.map(|registration| registration.token).collect();
                lock.save(&gone).await?;
            }
            tokens.clear();
        }
        self.secrets.retire(&lock.account.name).await?;
        let registrations = std::mem::take(&mut lock.account.registrations);
        lock.account.desired = Desired::Disconnected { done: true };
        lock.account.quiet_until = None;
        lock.account.last_error = left.map(|message| LastError {
            at: lock.now,
            message,
        });
        lock.note(Note::Disconnected, "disconnected");
        let saved = lock.save(&tokens).await;
        if saved.is_err() {
            // The error that is entered next must not stand in an account that counts as done.
            lock.account.desired = Desired::Disconnected { done: false };
            lock.account.registrations = registrations;
        }
        saved
    }
}

/// What a person has to remove of a manual account: a URL was given out, so it may be registered.
fn by_person<A>(lock: &AccountLock<'_, A>) -> Option<String> {
    let title = facts(lock.account.source).title;
    let is_given_out = !lock.account.registrations.is_empty();
    is_given_out.then(|| {
        format!(
            "remove the webhook at {title} by hand: its URL is retired, and its deliveries are refused from now on"
        )
    })
}

fn left(title: &str, why: &str) -> String {
    format!(
        "{why}, so the webhook could not be removed at {title}; its deliveries are refused from now on, and it \
         can be removed there by hand"
    )
}
