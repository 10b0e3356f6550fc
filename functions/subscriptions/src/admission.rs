//! Admission: the credentials that a connect offers are looked at before anything else, because only accepted ones
//! may replace what works.
//!
//! | kept before | offered | what happens |
//! |---|---|---|
//! | none | any | kept, unless the source refuses them (then no account comes into being) |
//! | the same | | the access token in use is used on |
//! | others of the same client | a new secret | kept once the source accepted it |
//! | those of another client | | kept if they see the account's webhook, so belong to the same site; otherwise a conflict |

use domain::subscription::{Account, Accounts, ApiError, Credentials, Deliveries, Secrets};
use domain::timestamp::Timestamp;

use crate::answer::Failure;
use crate::reconciler::Reconciler;
use crate::session::Session;

/// Credentials that may become the account's, or are.
pub(crate) struct Admitted<'p, S> {
    pub(crate) session: Session<'p, S>,
    /// Why the source could not be asked about them yet.
    pub(crate) pending: Option<Failure>,
}

impl<'p, A: Accounts, S: Secrets, D: Deliveries> Reconciler<'p, A, S, D> {
    /// Looks at credentials that are offered for an account. Nothing of the account changes here.
    pub(crate) async fn admit(
        &self,
        account: &Account,
        offered: &Credentials,
        now: Timestamp,
    ) -> Result<Admitted<'p, S>, Failure> {
        let (secrets, api) = (self.secrets, self.api(account.source)?);
        let is_quiet = account.is_quiet(now);
        let too_many_requests = Failure::Api(
            account.source,
            ApiError::TooManyRequests {
                pause: account.quiet_seconds(now),
            },
        );
        let kept = self.kept_oauth(account).await?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.credentials.same(offered)) {
            let session = Session::kept(secrets, api, account, kept.clone(), now);
            let pending = is_quiet.then_some(too_many_requests);
            return Ok(Admitted { session, pending });
        }
        if is_quiet {
            return Err(too_many_requests);
        }

        let mut session = Session::offered(secrets, api, account, offered.clone(), now);
        let asked = session.token().await.err();
        let Some(kept) = kept else {
            // Nothing is lost by keeping them, and a later call can go on with them.
            return match asked {
                Some(refused @ Failure::Api(_, ApiError::CredentialsRefused)) => Err(refused),
                pending => Ok(Admitted { session, pending }),
            };
        };
        if let Some(failure) = asked {
            return Err(failure);
        }
        let fields = (self.life_cycle)(account.source).credentials;
        let is_same_client = kept.credentials.is_of_same_client(offered, fields);
        if !is_same_client
            && !account.registrations.is_empty()
            && self.observe(account, &mut session).await?.ours.is_empty()
        {
            return Err(Failure::OtherSite(account.source));
        }
        Ok(Admitted {
            session,
            pending: None,
        })
    }
}
