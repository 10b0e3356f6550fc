//! The reconciler: the source is asked what it has, and brought in line with the account step by step.
//!
//! Whatever it finds, a call asks the source at most [`MOST_REQUESTS`] times, and once more for each webhook of
//! ours that it takes away or enables again; where all is as it shall be, once.
//!
//! | asked | at most |
//! |---|---|
//! | for an access token, and again what a worn-out token was refused | 2 |
//! | for the list of webhooks, and again after a correction | 2, or two a page |
//! | to register or change a webhook: the one in use, and the one which it takes over from | 2 |
//! | to enable a webhook | 1 for each that the source disabled and can enable |
//! | to remove a webhook | 1 for each that is one too many |
//!
//! | step | where |
//! |---|---|
//! | observe: what the source has of ours | [`Reconciler::observe`] |
//! | plan: what is left to do | [`plan`], a pure function |
//! | apply: one step after the other | [`Run`](crate::apply::Run) |

use domain::account::TokenHash;
use domain::ports::PortError;
use domain::signature::SigningKeys;
use domain::source::Source;
use domain::subscription::{
    Account, Accounts, Api, ApiError, Apis, Condition, Deliveries, Evidence, HooksUrl, KeyOrigin,
    LifeCycle, OauthSecret, RegisteredWebhook, RegistrationState, Remedy, Rotation, Secrets, Seen,
    plan,
};
use domain::timestamp::Timestamp;

use runtime::metrics::{self, Metric};
use tracing::warn;

use crate::Settings;
use crate::account_lock::AccountLock;
use crate::admission::Admitted;
use crate::answer::Failure;
use crate::apply::Run;
use crate::health::Health;
use crate::history::{Act, Finding};
use crate::session::Session;

/// The most requests to the source that one call makes, besides one for each webhook of ours that it takes away or
/// enables again.
pub const MOST_REQUESTS: usize = 6;

const HOUR_SECONDS: u64 = 3600;

/// What the source has at our addresses.
#[derive(Default)]
pub(crate) struct Observed {
    /// Webhooks with tokens of the account, newest first.
    pub(crate) ours: Vec<Seen>,
    /// Webhooks with tokens that belong to nobody.
    orphaned: Vec<Seen>,
    /// Whether the source has no list, so that ours is what we registered.
    pub(crate) is_unlisted: bool,
}

/// Brings sources in line with accounts.
pub(crate) struct Reconciler<'p, A, S, D> {
    pub(crate) accounts: &'p A,
    pub(crate) secrets: &'p S,
    apis: &'p Apis,
    health: &'p Health<'p, D>,
    pub(crate) hooks: HooksUrl,
    pub(crate) life_cycle: fn(Source) -> &'static LifeCycle,
    /// How long an old webhook waits for the first delivery of the one that takes over, in seconds.
    pub(crate) rotation_seconds: u64,
    /// How long retries of deliveries of a webhook that is gone are taken, in seconds.
    pub(crate) grace_seconds: u64,
}

impl<'p, A: Accounts, S: Secrets, D: Deliveries> Reconciler<'p, A, S, D> {
    pub(crate) fn new(
        accounts: &'p A,
        secrets: &'p S,
        apis: &'p Apis,
        health: &'p Health<'p, D>,
        settings: Settings,
    ) -> Self {
        Self {
            accounts,
            secrets,
            apis,
            health,
            hooks: settings.hooks,
            life_cycle: settings.life_cycle,
            rotation_seconds: settings.rotation_hours.saturating_mul(HOUR_SECONDS),
            grace_seconds: settings.grace_hours.saturating_mul(HOUR_SECONDS),
        }
    }

    /// What a webhook's life depends on at a source.
    pub(crate) fn life_cycle(&self, source: Source) -> &'static LifeCycle {
        (self.life_cycle)(source)
    }

    pub(crate) fn api(&self, source: Source) -> Result<&'p dyn Api, Failure> {
        self.apis.of(source).ok_or(Failure::NoApi(source))
    }

    /// The authorization that is kept. One that cannot be read is as good as none: PUT replaces it.
    pub(crate) async fn kept_oauth(
        &self,
        account: &Account,
    ) -> Result<Option<OauthSecret>, PortError> {
        match self.secrets.oauth(&account.name).await {
            Err(error) if error.is_unreadable() => {
                warn!(account = %account.name, %error, "the credentials that are kept cannot be read");
                metrics::count(Metric::SecretsUnreadable, 1);
                Ok(None)
            }
            kept => kept,
        }
    }

    /// The signing keys that are kept. Those that cannot be read are none: the source's list has them.
    pub(crate) async fn kept_keys(
        &self,
        lock: &mut AccountLock<'_, A>,
    ) -> Result<SigningKeys, PortError> {
        match self.secrets.read(&lock.account.name).await {
            Err(error) if error.is_unreadable() => {
                lock.found(
                    Finding::KeysUnreadable,
                    "the signing keys that are kept cannot be read",
                );
                Ok(SigningKeys::default())
            }
            kept => kept,
        }
    }

    /// Writes the entries of URL tokens anew that are gone, or say something else than the account.
    pub(crate) async fn restore_entries(
        &self,
        lock: &mut AccountLock<'_, A>,
    ) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        for registration in &lock.account.registrations {
            let token = registration.token;
            let entry = match self.accounts.token(&token).await {
                Err(error) if error.is_unreadable() => None,
                entry => entry?,
            };
            if entry.as_ref() != Some(&lock.account.entry(&token)) {
                wrong.push(token);
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let count = wrong.len();
        let what =
            format!("the entries of {count} URL tokens were gone or wrong; they are written anew");
        lock.found(Finding::EntryLost, what);
        lock.save(&wrong).await
    }

    /// A session with the credentials that are kept, if there are any.
    pub(crate) async fn session(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<Session<'p, S>>, Failure> {
        let Some(secret) = self.kept_oauth(account).await? else {
            return Ok(None);
        };
        if let Some(seconds) = account.quiet_seconds(now) {
            let pause = Some(seconds);
            return Err(Failure::Api(
                account.source,
                ApiError::TooManyRequests { pause },
            ));
        }
        let api = self.api(account.source)?;
        Ok(Some(Session::kept(self.secrets, api, account, secret, now)))
    }

    /// Brings the source in line with an account that shall be connected, with the credentials that are kept.
    pub(crate) async fn reconcile(&self, lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
        let session = self.session(&lock.account, lock.now).await?;
        let mut session = session.ok_or(Failure::NoCredentials(lock.account.source))?;
        self.converge(lock, &mut session).await
    }

    /// The same with credentials that were admitted, which are kept first.
    pub(crate) async fn reconcile_with(
        &self,
        lock: &mut AccountLock<'_, A>,
        mut admitted: Admitted<'_, S>,
    ) -> Result<(), Failure> {
        admitted.session.keep().await?;
        match admitted.pending {
            Some(failure) => Err(failure),
            None => self.converge(lock, &mut admitted.session).await,
        }
    }

    async fn converge(
        &self,
        lock: &mut AccountLock<'_, A>,
        session: &mut Session<'_, S>,
    ) -> Result<(), Failure> {
        self.restore_entries(lock).await?;
        let observed = self.observe(&lock.account, session).await?;
        lock.set_unlisted(observed.is_unlisted);
        let seen = with_strays(lock, observed);
        let keys = self.kept_keys(lock).await?;
        self.replace_unusable(lock, &seen, &keys).await?;
        let evidence = self.health.evidence(&lock.account, lock.now).await;
        let facts = self.life_cycle(lock.account.source);
        let steps = plan(&lock.account, &self.hooks, &seen, evidence, facts, lock.now);
        let mut run = Run::new(self, lock, session, keys, evidence);
        for step in steps {
            run.apply(step, &seen).await?;
        }
        run.hold_against_the_desired_state(&seen).await?;
        complain(lock, evidence)
    }

    /// Lets another webhook take over from one that can no longer serve: our secrets for it are lost, or the source takes
    /// nothing but another in its place. While a rotation is under way, it is waited for.
    async fn replace_unusable(
        &self,
        lock: &mut AccountLock<'_, A>,
        seen: &[Seen],
        keys: &SigningKeys,
    ) -> Result<(), Failure> {
        if lock.account.rotation().is_some() {
            return Ok(());
        }
        let Some((token, id)) = lock.account.live().and_then(|live| {
            let id = live.webhook.clone()?;
            Some((live.token, id))
        }) else {
            return Ok(());
        };
        let mut seen = seen.iter().map(|seen| &seen.webhook);
        let Some(webhook) = seen.find(|webhook| webhook.id == id) else {
            return Ok(());
        };
        let origin = self.life_cycle(lock.account.source).keys;
        let is_held = keys.of(&token, Some(&id)).is_some();
        let why = match &webhook.condition {
            Condition::Disabled {
                reason,
                remedy: Remedy::Replace,
            } => {
                let reason = reason.as_deref().unwrap_or("without a reason");
                (
                    Finding::Disabled,
                    format!("webhook {id} is disabled: {reason}"),
                )
            }
            _ if origin == KeyOrigin::OursSent && !is_held => (
                Finding::KeysUnreadable,
                format!("the secrets that webhook {id} was registered with are lost"),
            ),
            _ => return Ok(()),
        };
        let (finding, what) = why;
        lock.found(finding, what);
        lock.account.rotate();
        lock.acted(
            Act::RotationBegun,
            format!("another webhook is to take over from webhook {id}"),
        );
        lock.save(&[]).await
    }

    /// The webhooks of ours that the source has. All others are somebody else's and are forgotten here.
    pub(crate) async fn observe(
        &self,
        account: &Account,
        session: &mut Session<'_, S>,
    ) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        let listed = match session.list().await {
            Err(Failure::Api(_, ApiError::NoSuchCall(_))) => {
                observed.is_unlisted = true;
                registered(account)
            }
            listed => listed?,
        };
        for webhook in listed {
            let Some(seen) = Seen::recognise(account, &self.hooks, webhook) else {
                continue;
            };
            let list = match account.registration(&seen.token) {
                Some(_) => &mut observed.ours,
                None => match self.accounts.token(&seen.token).await? {
                    Some(entry) if entry.account == account.name => &mut observed.ours,
                    // Another account's at the same site.
                    Some(_) => continue,
                    None => &mut observed.orphaned,
                },
            };
            list.push(seen);
        }
        Ok(observed)
    }
}

/// Our webhooks as they were registered, newest first: all that is known where the source has no list.
fn registered(account: &Account) -> Vec<RegisteredWebhook> {
    let mut webhooks = Vec::new();
    for registration in account.registrations.iter().rev() {
        let is_there = match registration.state {
            RegistrationState::Live
            | RegistrationState::Replacing
            | RegistrationState::Draining { .. } => true,
            RegistrationState::Pending | RegistrationState::Expired { .. } => false,
        };
        if let Some(id) = registration.webhook.clone().filter(|_| is_there) {
            webhooks.push(RegisteredWebhook {
                id,
                endpoint: None,
                events: account.events.names().to_vec(),
                key: None,
                label: None,
                condition: Condition::Active,
            });
        }
    }
    webhooks
}

/// The webhooks of ours, and after them those that belonged to nobody for so long that they can go.
fn with_strays<A: Accounts>(lock: &mut AccountLock<'_, A>, observed: Observed) -> Vec<Seen> {
    let Observed { ours, orphaned, .. } = observed;
    let tokens: Vec<TokenHash> = orphaned.iter().map(|seen| seen.token).collect();
    let strays = lock.note_orphans(&tokens);
    let strays = orphaned
        .into_iter()
        .filter(|orphan| strays.contains(&orphan.token));
    ours.into_iter().chain(strays).collect()
}

/// Says so where an old webhook has to stay longer than it should, because nothing else works.
fn complain<A>(lock: &AccountLock<'_, A>, evidence: Evidence) -> Result<(), Failure> {
    let Some(Rotation::Overlap { old, until, .. }) = lock.account.rotation() else {
        return Ok(());
    };
    let new = lock.account.live().and_then(|live| live.webhook.clone());
    match (new, old.webhook.clone(), evidence) {
        (Some(new), Some(old), Evidence::OldAlone) if until <= lock.now => {
            metrics::count_by(Metric::SubscriptionFindings, 1, &["silent_successor"]);
            let source = lock.account.source;
            Err(Failure::SilentSuccessor { source, new, old })
        }
        _ => Ok(()),
    }
}
