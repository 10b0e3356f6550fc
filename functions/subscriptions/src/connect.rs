//! Connecting: the wish is kept, then the source is brought in line with it.
//!
//! Credentials are looked at before anything else, because only accepted ones may replace what works:
//!
//! | kept before | offered | what happens |
//! |---|---|---|
//! | none | any | kept, unless the source refuses them (then no account comes into being) |
//! | the same | | the access token in use is used on |
//! | others of the same client | a new secret | kept once the source accepted it |
//! | those of another client | | kept if they see the account's webhook, so belong to the same site; otherwise a conflict |

use domain::account::AccountName;
use domain::subscription::{
    Account, Accounts, ApiError, Deliveries, IfUnknown, Lease, Secrets, Wish,
};
use domain::timestamp::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::Subscriptions;
use crate::answer::{Failure, Outcome};
use crate::held::{self, Held};
use crate::request::Connect;
use crate::session::Session;

/// Credentials that may become the account's, or are.
struct Admitted<'s, S> {
    session: Session<'s, S>,
    /// Why the source could not be asked about them yet.
    pending: Option<Failure>,
}

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
        let admitted = self.admit(&lease.account, account.as_ref(), wish, now);
        let mut admitted = match timeout_at(deadline, admitted).await {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(failure)) => return failure.into(),
            Err(_) => return Failure::OutOfTime.into(),
        };

        let mut held = match self.commit(lease, account, wish, now).await {
            Ok(held) => held,
            Err(failure) => return failure.into(),
        };
        let fulfilled = self.fulfil(&mut held, &mut admitted);
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

    /// Looks at the credentials. Nothing of the account changes here.
    async fn admit<'s>(
        &'s self,
        name: &'s AccountName,
        account: Option<&Account>,
        wish: &Connect,
        now: Timestamp,
    ) -> Result<Admitted<'s, S>, Failure> {
        if account.is_some_and(|account| account.source != wish.source) {
            return Err(Failure::OtherSource);
        }
        let api = self.api(wish.source)?;
        let is_quiet = account.is_some_and(|account| account.is_quiet(now));
        let offered = &wish.credentials;
        let kept = self.secrets.oauth(name).await?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.credentials.same(offered)) {
            let session = Session::kept(self.secrets, api, name, kept.clone(), now);
            let pending = is_quiet.then_some(Failure::Api(ApiError::TooManyRequests));
            return Ok(Admitted { session, pending });
        }
        if is_quiet {
            return Err(ApiError::TooManyRequests.into());
        }

        let mut session = Session::offered(self.secrets, api, name, offered.clone(), now);
        let asked = session.token().await.err();
        let Some(kept) = kept else {
            // Nothing is lost by keeping them, and a later call can go on with them.
            return match asked {
                Some(refused @ Failure::Api(ApiError::CredentialsRefused)) => Err(refused),
                pending => Ok(Admitted { session, pending }),
            };
        };
        if let Some(failure) = asked {
            return Err(failure);
        }
        let is_same_client = kept.credentials.client_id == offered.client_id;
        if let Some(account) = account
            && !is_same_client
            && !account.registrations.is_empty()
            && self.observe(account, &mut session).await?.ours.is_empty()
        {
            return Err(Failure::OtherSite);
        }
        Ok(Admitted {
            session,
            pending: None,
        })
    }

    /// Keeps the wish.
    async fn commit<'s>(
        &'s self,
        lease: &'s Lease,
        account: Option<Account>,
        wish: &Connect,
        now: Timestamp,
    ) -> Result<Held<'s, A>, Failure> {
        let wanted =
            |account: &Account| account.wish == Wish::Connected && account.events == wish.events;
        match account {
            Some(account) if wanted(&account) => Ok(Held::new(self.accounts, lease, account, now)),
            known => {
                let mut account = known.unwrap_or_else(|| {
                    let name = lease.account.clone();
                    Account::new(name, wish.source, wish.events.clone(), now)
                });
                account.connect_for(wish.events.clone(), now);
                let mut held = Held::new(self.accounts, lease, account, now);
                held.save(&[]).await?;
                Ok(held)
            }
        }
    }

    async fn fulfil(
        &self,
        held: &mut Held<'_, A>,
        admitted: &mut Admitted<'_, S>,
    ) -> Result<(), Failure> {
        admitted.session.keep().await?;
        match admitted.pending.take() {
            Some(failure) => Err(failure),
            None => self.converge(held, &mut admitted.session).await,
        }
    }
}
