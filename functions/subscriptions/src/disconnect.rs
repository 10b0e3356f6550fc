//! Disconnecting: our webhooks are removed at the source, then their tokens are retired, then the secrets are
//! scheduled for deletion.
//!
//! A source that is out of order lets the call end unfinished; the same call goes on. One that refuses the
//! credentials (the integration was removed there) does not: the tokens are retired all the same, the webhook
//! is answered with 401 from then on, and the account says so.

use domain::account::{AccountName, TokenHash};
use domain::subscription::{
    Accounts, ApiError, Deliveries, IfUnknown, Lease, Secrets, Trouble, Wish,
};
use domain::timestamp::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::held::{self, Act, Held};
use crate::session::Session;

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
                let outcome = self.disconnect_held(&lease, held, deadline).await;
                held::release(self.accounts, &lease).await;
                outcome
            }
        }
    }

    pub(crate) async fn disconnect_held(
        &self,
        lease: &Lease,
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
        let cleared = self.clear(&lease.account, &mut held);
        let ended = match timeout_at(deadline, cleared).await {
            Ok(Ok(left)) => self.end(&lease.account, &mut held, left).await,
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

    /// Removes our webhooks at the source; says what had to be left there.
    async fn clear(
        &self,
        name: &AccountName,
        held: &mut Held<'_, A>,
    ) -> Result<Option<String>, Failure> {
        let Some(secret) = self.secrets.oauth(name).await? else {
            // Either nothing was ever registered, or a call before this one came as far as the secrets.
            let is_left = !held.account.registrations.is_empty();
            return Ok(is_left.then(|| left("the credentials are gone")));
        };
        if held.account.is_quiet(held.now) {
            return Err(ApiError::TooManyRequests.into());
        }
        let api = self.api(held.account.source)?;
        let mut session = Session::kept(self.secrets, api, name, secret, held.now);
        let seen = match self.observe(&held.account, &mut session).await {
            Err(Failure::Api(ApiError::CredentialsRefused)) => {
                return Ok(Some(left("Orderspace refuses the credentials")));
            }
            seen => seen?.ours,
        };
        for seen in seen {
            let id = &seen.webhook.id;
            session.remove(id).await?;
            held.acted(Act::Removed, format!("removed webhook {id}"));
        }
        Ok(None)
    }

    /// Takes no more deliveries, and lets the secrets go.
    async fn end(
        &self,
        name: &AccountName,
        held: &mut Held<'_, A>,
        left: Option<String>,
    ) -> Result<(), Failure> {
        let registrations = held.account.registrations.iter();
        let mut tokens: Vec<TokenHash> = registrations
            .map(|registration| registration.token)
            .collect();
        // What had to be left is told with the last save. Until then the registrations say that there is
        // something, because without credentials nobody can look.
        if left.is_none() && !tokens.is_empty() {
            held.account.registrations.clear();
            held.save(&tokens).await?;
            tokens.clear();
        }
        self.secrets.retire(name).await?;
        let registrations = std::mem::take(&mut held.account.registrations);
        held.account.wish = Wish::Disconnected { done: true };
        held.account.quiet_until = None;
        held.account.trouble = left.map(|message| Trouble {
            at: held.now,
            message,
        });
        held.note("disconnected");
        let saved = held.save(&tokens).await;
        if saved.is_err() {
            // The trouble that is entered next must not stand in an account that counts as done.
            held.account.wish = Wish::Disconnected { done: false };
            held.account.registrations = registrations;
        }
        saved
    }
}

fn left(why: &str) -> String {
    format!(
        "{why}, so the webhook could not be removed at Orderspace; its deliveries are refused from now on, and it \
         can be removed there by hand"
    )
}
