//! Manual accounts: no call of the source registers a webhook, so a person does, with a URL and a signing secret that go
//! through that person's hands.
//!
//! | call | does |
//! |---|---|
//! | `PUT`, `PATCH` | keeps the desired state and the signing secrets: one, or two while one replaces the other |
//! | `POST …/endpoint` | makes a URL, and shows it once. One that is in use stays so until the new one has brought a delivery; one that waits for its first is replaced, and good until its grace is over |
//! | a check | takes the URL for registered once a delivery has come by it: then the grace of the one in use before begins. Ends graces that are over |
//! | `DELETE` | retires the URLs, and says what is to be removed at the source |
//!
//! The signing secrets are kept as the account's credentials, and copied to where keys of registrations are: the
//! account may have them before it has a URL.

use domain::account::{AccountName, KeysVersion, TokenHash, UrlToken};
use domain::signature::RegistrationKeys;
use domain::subscription::{
    Accounts, Credentials, Deliveries, Desired, Endpoint, OauthSecret, Principal, Registration,
    RegistrationState, Secrets,
};
use domain::timestamp::Timestamp;
use sources::facts;

use crate::Subscriptions;
use crate::account_lock::AccountLock;
use crate::answer::{Failure, Outcome};
use crate::history::{Act, Note};
use crate::reconciler::Reconciler;
use crate::request::{Connect, signing_keys};

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    /// Whether a person registers the account's webhooks.
    pub(crate) fn is_manual(&self, lock: &AccountLock<'_, A>) -> bool {
        self.reconciler.life_cycle(lock.account.source).is_manual()
    }

    /// Keeps the desired state of a manual account. There is nobody to ask about it.
    pub(crate) async fn connect_manually(
        &self,
        mut lock: AccountLock<'_, A>,
        wanted: &Connect,
    ) -> Result<Outcome, Failure> {
        let kept = async {
            if lock.account.source != wanted.source {
                return Err(Failure::OtherSource);
            }
            let secrets = &wanted.credentials;
            self.reconciler
                .keep_signing_secrets(&mut lock, secrets)
                .await?;
            lock.choose_policy(wanted.policy);
            lock.select(wanted.events.clone()).await
        };
        match kept.await {
            Ok(()) => self.check_manually(lock).await,
            Err(failure) => lock.release(failure).await,
        }
    }

    /// Makes a URL for the account, and shows it this once.
    pub(crate) async fn make_endpoint(
        &self,
        name: &AccountName,
        by: Option<&Principal>,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let mut lock = AccountLock::acquire(self.ports(by), name, now).await?;
        let made = async {
            if lock.account.desired == Desired::Connected && self.is_manual(&lock) {
                // A URL whose first delivery no check has seen yet is in use: another must not take its place at once.
                self.confirm(&mut lock).await?;
            }
            self.reconciler.make_endpoint(&mut lock).await
        };
        let endpoint = match made.await {
            Ok(endpoint) => endpoint,
            Err(failure) => return lock.release(failure).await,
        };
        Ok(match lock.conclude(Ok(())).await? {
            Outcome::Done(account) => Outcome::Endpoint(account, endpoint),
            // The URL is good, and nobody will know it: the same call makes another.
            other => other,
        })
    }

    /// Checks what there is to check without the source.
    pub(crate) async fn check_manually(
        &self,
        mut lock: AccountLock<'_, A>,
    ) -> Result<Outcome, Failure> {
        let checked = async {
            self.reconciler.restore_entries(&mut lock).await?;
            self.reconciler.restore_signing_secrets(&mut lock).await?;
            self.confirm(&mut lock).await?;
            self.expire(&mut lock).await
        };
        let checked = checked.await;
        lock.conclude(checked).await
    }

    /// Takes a URL for registered once a delivery that was proved has come by it.
    async fn confirm(&self, lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
        let mut pending = lock.account.registrations.iter();
        let pending = pending.find(|own| own.state == RegistrationState::Pending);
        let Some(pending) = pending.cloned() else {
            return Ok(());
        };
        let now = lock.now;
        if !self
            .health
            .has_delivered(&lock.account.name, &pending, now)
            .await
        {
            return Ok(());
        }
        let until = now.plus_seconds(self.reconciler.grace_seconds);
        let mut tokens = expire_where(lock, until, |state| state == RegistrationState::Live);
        let is_taking_over = !tokens.is_empty();
        tokens.push(pending.token);
        lock.account.register(Registration {
            state: RegistrationState::Live,
            ..pending
        });
        lock.acted(
            Act::Registered,
            "connected: the URL has brought its first delivery",
        );
        if is_taking_over {
            let title = facts(lock.account.source).title;
            let what = format!(
                "the URL that was in use before is taken until {until}; remove it at {title} by hand by then"
            );
            lock.acted(Act::HandedOver, what);
        }
        lock.save(&tokens).await
    }

    /// Takes no more deliveries by URLs whose grace is over.
    async fn expire(&self, lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
        let now = lock.now;
        // Of an account whose item was lost nobody knows when the grace of a URL began.
        let until = now.plus_seconds(self.reconciler.grace_seconds);
        let begun = |state| matches!(state, RegistrationState::Draining { .. });
        let mut tokens = expire_where(lock, until, begun);
        let is_over = |own: &&Registration| match own.state {
            RegistrationState::Expired { until } => until <= now,
            RegistrationState::Pending
            | RegistrationState::Live
            | RegistrationState::Replacing
            | RegistrationState::Draining { .. } => false,
        };
        let over = lock.account.registrations.iter().filter(is_over);
        let over: Vec<TokenHash> = over.map(|own| own.token).collect();
        for token in &over {
            lock.account.forget(token);
        }
        tokens.extend(over);
        match tokens.is_empty() {
            true => Ok(()),
            false => lock.save(&tokens).await,
        }
    }
}

impl<A: Accounts, S: Secrets, D: Deliveries> Reconciler<'_, A, S, D> {
    /// Keeps the signing secrets of a manual account in place of those before.
    pub(crate) async fn keep_signing_secrets(
        &self,
        lock: &mut AccountLock<'_, A>,
        secrets: &Credentials,
    ) -> Result<(), Failure> {
        let name = &lock.account.name;
        let kept = self.kept_oauth(&lock.account).await?;
        if kept.is_none_or(|kept| !kept.credentials.same(secrets)) {
            let secret = OauthSecret {
                credentials: secrets.clone(),
                access: None,
            };
            self.secrets.put_oauth(name, &secret).await?;
            lock.note(Note::Chosen, "the signing secrets are kept");
        }
        self.copy_signing_secrets(lock, secrets, &[]).await
    }

    /// Copies the signing secrets that are kept to where inbound reads keys, should they not be there.
    async fn restore_signing_secrets(&self, lock: &mut AccountLock<'_, A>) -> Result<(), Failure> {
        let kept = self.kept_oauth(&lock.account).await?;
        let kept = kept.ok_or(Failure::NoCredentials(lock.account.source))?;
        self.copy_signing_secrets(lock, &kept.credentials, &[])
            .await
    }

    async fn make_endpoint(&self, lock: &mut AccountLock<'_, A>) -> Result<Endpoint, Failure> {
        let source = lock.account.source;
        if lock.account.desired != Desired::Connected {
            return Err(Failure::NotConnected);
        }
        if !self.life_cycle(source).is_manual() {
            return Err(Failure::NotManual(source));
        }
        let kept = self.kept_oauth(&lock.account).await?;
        let kept = kept.ok_or(Failure::NoCredentials(source))?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Failure::Randomness)?;
        let token = UrlToken::from_random(&random);

        let until = lock.now.plus_seconds(self.grace_seconds);
        let unused = |state| state == RegistrationState::Pending;
        let mut tokens = expire_where(lock, until, unused);
        let title = facts(source).title;
        let before = match (lock.account.live().is_some(), tokens.is_empty()) {
            (true, _) => {
                "; the one in use stays so until this one has brought a delivery".to_owned()
            }
            (false, false) => format!("; the one before is taken until {until}"),
            (false, true) => String::new(),
        };
        let which = match before.is_empty() {
            true => "a URL",
            false => "another URL",
        };
        lock.note(
            Note::EndpointMade,
            format!("{which} was made, to be registered at {title} by hand{before}"),
        );
        tokens.push(token.hash());
        lock.account.register(Registration {
            token: token.hash(),
            webhook: None,
            keys: KeysVersion::default(),
            state: RegistrationState::Pending,
            part: String::new(),
        });
        self.copy_signing_secrets(lock, &kept.credentials, &tokens)
            .await?;
        Ok(self.hooks.endpoint(source, &token))
    }

    /// Stores the signing secrets as the keys of every URL of the account, then saves the entries of these tokens and
    /// of those whose keys are new.
    async fn copy_signing_secrets(
        &self,
        lock: &mut AccountLock<'_, A>,
        secrets: &Credentials,
        tokens: &[TokenHash],
    ) -> Result<(), Failure> {
        let stored = self.kept_keys(lock).await?;
        let secrets = signing_keys(secrets);
        let mut wanted = stored.clone();
        let mut tokens = tokens.to_vec();
        for registration in &mut lock.account.registrations {
            let token = registration.token;
            let held = stored.registrations().get(&token);
            let version = match held {
                Some(held) if held.secrets.same(&secrets) => held.version,
                held => {
                    let before = held.map_or(registration.keys, |held| held.version);
                    before.max(registration.keys).next(lock.now)
                }
            };
            let keys = RegistrationKeys {
                version,
                secrets: secrets.clone(),
            };
            wanted.put(token, None, keys);
            if registration.keys != version {
                registration.keys = version;
                tokens.push(token);
            }
        }
        let account = &lock.account;
        wanted.keep_only(|kept| account.registration(kept).is_some(), |_| false);
        if !wanted.same(&stored) {
            self.secrets.put_keys(&account.name, &wanted).await?;
        }
        match tokens.is_empty() {
            true => Ok(()),
            false => lock.save(&tokens).await,
        }
    }
}

/// Lets the grace of the URLs in these states begin; their tokens' entries have yet to be saved.
fn expire_where<A>(
    lock: &mut AccountLock<'_, A>,
    until: Timestamp,
    is_over: impl Fn(RegistrationState) -> bool,
) -> Vec<TokenHash> {
    let registrations = lock.account.registrations.iter_mut();
    let over = registrations.filter(|own| is_over(own.state)).map(|own| {
        own.state = RegistrationState::Expired { until };
        own.token
    });
    over.collect()
}
