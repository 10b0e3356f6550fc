//! Applying a plan: one step after the other.
//!
//! Each step leaves a state from which the next call goes on: a token's entry is stored before the source hears
//! of the token, a key before the token's entry says `live`, and a webhook is gone before its token is retired.

use std::borrow::Cow;
use std::collections::BTreeSet;

use domain::account::{KeysVersion, TokenHash, UrlToken, WebhookId};
use domain::signature::{LiveSecrets, MacKey, RegistrationKeys, SigningKeys};
use domain::subscription::{
    Account, Accounts, ApiError, Condition, Deliveries, Evidence, KeyOrigin, NewWebhook, OurSecret,
    Part, RegisteredWebhook, Registration, RegistrationState, Removed, Secrets, Seen, Step,
    WebhookChange, difference, plan, plan_removal,
};
use sources::facts;

use crate::account_lock::AccountLock;
use crate::answer::Failure;
use crate::history::{Act, Finding, Note};
use crate::reconciler::{Reconciler, Share};
use crate::session::Session;

/// A plan that is being applied.
pub(crate) struct Run<'r, 'p, 'h, 's, A, S, D> {
    reconciler: &'r Reconciler<'p, A, S, D>,
    lock: &'r mut AccountLock<'h, A>,
    session: &'r mut Session<'s, S>,
    /// The account's signing keys, as they are stored.
    keys: SigningKeys,
    /// The part of the account that the plan is for.
    part: Part,
    evidence: Evidence,
    /// Webhooks as the source answered them after the list.
    answered: Vec<RegisteredWebhook>,
    /// The webhooks that the source was asked to correct.
    corrected: BTreeSet<WebhookId>,
}

impl<'r, 'p, 'h, 's, A: Accounts, S: Secrets, D: Deliveries> Run<'r, 'p, 'h, 's, A, S, D> {
    pub(crate) fn new(
        reconciler: &'r Reconciler<'p, A, S, D>,
        lock: &'r mut AccountLock<'h, A>,
        session: &'r mut Session<'s, S>,
        keys: SigningKeys,
        part: Part,
    ) -> Self {
        Self {
            reconciler,
            lock,
            session,
            keys,
            part,
            evidence: Evidence::Unknown,
            answered: Vec::new(),
            corrected: BTreeSet::new(),
        }
    }

    /// Plans for a part of the account, and applies the plan. Returns what the receipts say of a rotation of it.
    pub(crate) async fn follow(&mut self, share: &Share) -> Result<Evidence, Failure> {
        self.part = share.part.clone();
        let account = self.alone();
        let (reconciler, now) = (self.reconciler, self.lock.now);
        self.evidence = reconciler.health.evidence(&account, now).await;
        let facts = reconciler.life_cycle(account.source);
        let (seen, evidence) = (&share.seen, self.evidence);
        let steps = match share.is_selected {
            true => plan(&account, &reconciler.hooks, seen, evidence, facts, now),
            false => plan_removal(&account, seen, now),
        };
        for step in steps {
            self.apply(step, seen).await?;
        }
        Ok(self.evidence)
    }

    /// The account as if it had the part alone that the plan is for.
    fn alone(&self) -> Account {
        self.lock.account.of_part(&self.part)
    }

    /// Applies a step of a plan for what was seen.
    async fn apply(&mut self, step: Step<'_>, seen: &[Seen]) -> Result<(), Failure> {
        match step {
            Step::Register => self.register(seen).await,
            Step::Correct(seen) => self.correct(seen).await,
            Step::Enable(seen) => self.enable(seen).await,
            // Its correction failed, and it is to be replaced: adopting it would cancel the replacement.
            Step::Adopt(seen) if self.is_replaced(seen.token) => {
                self.keep_key(seen.token, &self.latest(seen)).await
            }
            Step::Adopt(seen) => self.adopt(seen.token, &self.latest(seen)).await,
            Step::StoreKey(seen) => self.keep_key(seen.token, &self.latest(seen)).await,
            Step::Remove(seen) => self.remove(&seen.webhook.id).await,
            Step::DeleteReplaced(seen) => self.delete_replaced(&seen.webhook.id).await,
            Step::RemoveUnselected(seen) => self.remove_unselected(&seen.webhook.id).await,
            Step::ExpireToken(tokens) => self.expire(&tokens).await,
            Step::Retire(tokens) => {
                for token in &tokens {
                    self.lock.account.forget(token);
                }
                self.lock.save(&tokens).await
            }
        }
    }

    fn is_replaced(&self, token: TokenHash) -> bool {
        let registration = self.lock.account.registration(&token);
        registration.is_some_and(|own| own.state == RegistrationState::Replacing)
    }

    async fn register(&mut self, seen: &[Seen]) -> Result<(), Failure> {
        if let Some(webhook) = missing(&self.alone(), seen) {
            let title = facts(self.lock.account.source).title;
            let what = format!("webhook {webhook} is missing at {title}");
            self.lock.found(Finding::Missing, what);
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Failure::Randomness)?;
        let token = UrlToken::from_random(&random);
        let hash = token.hash();
        let (keys, secrets) = self.store_secrets(hash).await?;
        self.lock.account.register(Registration {
            token: hash,
            webhook: None,
            keys,
            state: RegistrationState::Pending,
            part: self.part.name.clone(),
        });
        self.lock.save(&[hash]).await?;
        let (account, part) = (&self.lock.account, &self.part);
        let hooks = &self.reconciler.hooks;
        let new = NewWebhook {
            endpoint: &hooks.endpoint_of_part(account.source, &token, &part.name),
            label: &label(account, &hash),
            events: &part.events,
            secrets: &secrets,
            part: &part.name,
        };
        let created = self.session.create(new).await;
        let is_refused = matches!(created, Err(Failure::Api(_, ApiError::Invalid(_))));
        let old = being_replaced(&self.alone(), seen);
        let webhook = match old.filter(|_| is_refused && self.session.moves()) {
            None => {
                let webhook = created?;
                self.adopt(hash, &webhook).await?;
                webhook
            }
            Some((old, id)) => {
                let change = WebhookChange {
                    endpoint: Some(new.endpoint),
                    label: new.label,
                    events: new.events,
                    secrets: new.secrets,
                    part: new.part,
                };
                let moved = match self.session.update(&id, change).await {
                    // The source's reason for refusing a second webhook says more.
                    Err(Failure::Api(_, ApiError::Invalid(_) | ApiError::NoSuchCall(_))) => {
                        created?
                    }
                    moved => moved?,
                };
                self.move_over(old, hash, &moved).await?;
                moved
            }
        };
        self.answered.push(webhook);
        Ok(())
    }

    /// Enters that a webhook has another URL and other secrets now. What was sent to the URL before is taken for a while.
    async fn move_over(
        &mut self,
        old: TokenHash,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<(), Failure> {
        let keys = self.store_key(token, webhook).await?;
        let lock = &mut *self.lock;
        let until = lock.now.plus_seconds(self.reconciler.grace_seconds);
        if let Some(before) = lock.account.registration(&old).cloned() {
            lock.account.register(Registration {
                webhook: None,
                state: RegistrationState::Expired { until },
                ..before
            });
        }
        lock.account.register(Registration {
            token,
            webhook: Some(webhook.id.clone()),
            keys,
            state: RegistrationState::Live,
            part: self.part.name.clone(),
        });
        let title = facts(lock.account.source).title;
        let what = format!(
            "webhook {} has another URL and other secrets, since {title} refuses a second webhook beside it; deliveries to \
             the URL before are taken until {until}",
            webhook.id
        );
        lock.acted(Act::HandedOver, what);
        lock.save(&[old, token]).await
    }

    /// Stores secrets that are known before the source hears of the registration, because a first delivery or a greeting may
    /// arrive during the registering call. If the registration fails, they are removed when secrets are next stored.
    async fn store_secrets(
        &mut self,
        token: TokenHash,
    ) -> Result<(KeysVersion, LiveSecrets), Failure> {
        let account = &self.lock.account;
        let secrets = match self.reconciler.life_cycle(account.source).keys {
            KeyOrigin::TheirsShown | KeyOrigin::TheirsGiven => {
                return Ok((KeysVersion::default(), LiveSecrets::default()));
            }
            KeyOrigin::OursSent => made(self.session.our_secrets())?,
            KeyOrigin::Credential(field) => {
                let key = self.session.credential(field).map(MacKey::new);
                key.ok_or(Failure::NoCredentials(account.source))?.into()
            }
        };
        let version = KeysVersion::default().next(self.lock.now);
        let keys = RegistrationKeys {
            version,
            secrets: secrets.clone(),
        };
        let mut wanted = self.keys.clone();
        wanted.put(token, None, keys);
        wanted.keep_only(
            |kept| *kept == token || account.registration(kept).is_some(),
            |kept| account.registration_of(kept).is_some(),
        );
        let stored = self.reconciler.secrets.put_keys(&account.name, &wanted);
        stored.await?;
        self.keys = wanted;
        Ok((version, secrets))
    }

    /// What proves a registration's deliveries, as it is stored.
    fn secrets_of(&self, token: &TokenHash, webhook: &WebhookId) -> LiveSecrets {
        let keys = self.keys.of(token, Some(webhook));
        keys.map(|keys| keys.secrets.clone()).unwrap_or_default()
    }

    async fn correct(&mut self, seen: &Seen) -> Result<(), Failure> {
        let id = &seen.webhook.id;
        let what = format!("webhook {id} has other events or another address than it shall have");
        self.lock.found(Finding::Differs, what);
        let account = &self.alone();
        let part = &self.part.name;
        let endpoint = seen.webhook.endpoint.as_ref().map(|shown| {
            let hooks = &self.reconciler.hooks;
            let token = shown.token();
            token.map_or_else(
                || shown.clone(),
                |token| hooks.endpoint_of_part(account.source, &token, part),
            )
        });
        let change = WebhookChange {
            endpoint: endpoint.as_ref(),
            label: &label(account, &seen.token),
            events: &account.events,
            secrets: &self.secrets_of(&seen.token, id),
            part,
        };
        let corrected = match self.session.update(id, change).await {
            Err(Failure::Api(_, ApiError::NoSuchCall(_))) => return self.replace(id).await,
            corrected => corrected?,
        };
        let count = account.events.names().len();
        if difference(account, &self.reconciler.hooks, &corrected).is_none() {
            let what = format!("webhook {id} is subscribed to {count} event types now");
            self.lock.acted(Act::Corrected, what);
        }
        self.corrected.insert(id.clone());
        self.answered.push(corrected);
        Ok(())
    }

    /// Lets another webhook take over from one that cannot be changed; the next check goes on with it.
    async fn replace(&mut self, id: &WebhookId) -> Result<(), Failure> {
        let is_rotating = self.alone().rotation().is_some();
        let lock = &mut *self.lock;
        if !is_rotating && lock.account.rotate_part(&self.part.name) {
            let title = facts(lock.account.source).title;
            let what = format!(
                "{title} has no call to change webhook {id}; the next check registers another in its place"
            );
            lock.acted(Act::RotationBegun, what);
            lock.save(&[]).await?;
        }
        Ok(())
    }

    async fn enable(&mut self, seen: &Seen) -> Result<(), Failure> {
        let id = &seen.webhook.id;
        if let Condition::Disabled { reason, .. } = &seen.webhook.condition {
            let reason = reason.as_deref().unwrap_or("without a reason");
            let what = format!("webhook {id} is disabled: {reason}");
            self.lock.found(Finding::Disabled, what);
        }
        let enabled = self.session.enable(id).await?;
        let what = format!("webhook {id} is enabled again");
        self.lock.acted(Act::Enabled, what);
        self.answered.push(enabled);
        Ok(())
    }

    /// Makes a webhook the account's: first its key is kept, then its token says so.
    async fn adopt(
        &mut self,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<(), Failure> {
        let keys = self.store_key(token, webhook).await?;
        let registration = Registration {
            token,
            webhook: Some(webhook.id.clone()),
            keys,
            state: RegistrationState::Live,
            part: self.part.name.clone(),
        };
        let lock = &mut *self.lock;
        if lock.account.registration(&token) == Some(&registration) {
            return Ok(());
        }
        let until = lock.now.plus_seconds(self.reconciler.rotation_seconds);
        let mut tokens = lock.account.hand_over(registration, lock.now, until);
        let count = self.part.events.names().len();
        lock.acted(
            Act::Registered,
            format!("connected: webhook {} for {count} event types", webhook.id),
        );
        for old in &tokens {
            let old = lock.account.registration(old);
            if let Some(old) = old.and_then(|old| old.webhook.clone()) {
                let what = format!(
                    "webhook {} takes over from webhook {old}, which stays until {} has brought a delivery, or \
                     until {until}",
                    webhook.id, webhook.id
                );
                lock.acted(Act::HandedOver, what);
            }
        }
        tokens.push(token);
        lock.save(&tokens).await
    }

    /// Keeps the key of a webhook that another takes over from, and lets its token's entry name the version.
    async fn keep_key(
        &mut self,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<(), Failure> {
        let keys = self.store_key(token, webhook).await?;
        let known = self.lock.account.registration(&token).cloned();
        match known.filter(|known| known.keys != keys) {
            None => Ok(()),
            Some(known) => {
                self.lock.account.register(Registration { keys, ..known });
                self.lock.save(&[token]).await
            }
        }
    }

    /// Stores a registration's key, beside those of the account's other registrations and no more. Returns its version.
    async fn store_key(
        &mut self,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<KeysVersion, Failure> {
        let stored = self.keys.of(&token, Some(&webhook.id));
        let stored = stored.map(Cow::into_owned);
        let version = stored
            .as_ref()
            .map_or_else(KeysVersion::default, |stored| stored.version);
        let origin = self.reconciler.life_cycle(self.lock.account.source).keys;
        let secrets = stored.map(|stored| stored.secrets);
        let shown = match origin {
            // The key that was in use before stays beside a new one: both may sign until the source has changed over.
            KeyOrigin::Credential(field) => {
                let key = self.session.credential(field).map(MacKey::new);
                key.map(|key| beside(&key, secrets.as_ref()))
            }
            KeyOrigin::TheirsShown | KeyOrigin::OursSent | KeyOrigin::TheirsGiven => {
                webhook.key.clone().map(LiveSecrets::from)
            }
        };
        let is_other_key = match (&secrets, &shown) {
            (Some(stored), Some(shown)) => !stored.same(shown),
            _ => false,
        };
        // A source that does not show its keys has not changed them either.
        // Keys as release 0.1.0 stored them become new ones, so that the token's entry is written anew with them.
        let is_new = is_other_key || !self.keys.registrations().contains_key(&token);
        let Some(secrets) = shown.or(secrets) else {
            let source = self.lock.account.source;
            return match origin {
                KeyOrigin::TheirsShown => Err(Failure::Api(source, no_key(&webhook.id))),
                KeyOrigin::OursSent | KeyOrigin::Credential(_) | KeyOrigin::TheirsGiven => {
                    Ok(version)
                }
            };
        };
        let version = if is_new {
            version.next(self.lock.now)
        } else {
            version
        };
        if is_other_key {
            let what = format!("webhook {} is signed with another key", webhook.id);
            self.lock.found(Finding::OtherKey, what);
        }
        self.put_key(token, &webhook.id, RegistrationKeys { version, secrets })
            .await?;
        if is_other_key {
            self.lock.acted(
                Act::KeyTaken,
                format!("the new key of webhook {} is held", webhook.id),
            );
        }
        Ok(version)
    }

    /// Stores a registration's keys, and forgets those of registrations and webhooks that the account has no more.
    async fn put_key(
        &mut self,
        token: TokenHash,
        webhook: &WebhookId,
        keys: RegistrationKeys,
    ) -> Result<(), Failure> {
        let account = &self.lock.account;
        let mut wanted = self.keys.clone();
        wanted.put(token, Some(webhook), keys);
        wanted.keep_only(
            |kept| *kept == token || account.registration(kept).is_some(),
            // Of the webhook that this one takes the token of, nothing is kept.
            |kept| {
                let other = account.registration_of(kept);
                kept == webhook || other.is_some_and(|other| other.token != token)
            },
        );
        if !wanted.same(&self.keys) {
            self.reconciler
                .secrets
                .put_keys(&account.name, &wanted)
                .await?;
            self.keys = wanted;
        }
        Ok(())
    }

    async fn remove(&mut self, id: &WebhookId) -> Result<(), Failure> {
        self.lock.found(
            Finding::Stray,
            format!("webhook {id} of ours is one too many"),
        );
        self.take_away(id).await?;
        self.lock.acted(
            Act::Removed,
            format!("removed webhook {id} of ours, which was one too many"),
        );
        Ok(())
    }

    /// Deletes the webhook that another has taken over from.
    async fn delete_replaced(&mut self, id: &WebhookId) -> Result<(), Failure> {
        self.take_away(id).await?;
        let what = replaced(&self.alone(), id, self.evidence);
        self.lock.acted(Act::ReplacedDeleted, what);
        Ok(())
    }

    /// Deletes a webhook that brings nothing which is selected any more.
    async fn remove_unselected(&mut self, id: &WebhookId) -> Result<(), Failure> {
        self.take_away(id).await?;
        let what = format!("removed webhook {id}: nothing that it brings is selected any more");
        self.lock.acted(Act::Removed, what);
        Ok(())
    }

    /// Removes a webhook, or says what a person has to do about it.
    async fn take_away(&mut self, id: &WebhookId) -> Result<(), Failure> {
        let title = facts(self.lock.account.source).title;
        let is_unlisted = self.lock.account.is_unlisted;
        match self.session.remove(id).await {
            Ok(Removed::Now | Removed::Before) => {}
            Ok(Removed::Stopped) => self.lock.note(Note::LeftBehind, stopped(id, title)),
            // Where there is a list, a later check sees when it is gone.
            Err(Failure::Api(_, ApiError::NoSuchCall(_))) if is_unlisted => {
                self.lock.note(Note::LeftBehind, by_hand(id, title));
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Takes only retries by these tokens from now on, and those for a while: their webhooks are gone.
    async fn expire(&mut self, tokens: &[TokenHash]) -> Result<(), Failure> {
        let lock = &mut *self.lock;
        let until = lock.now.plus_seconds(self.reconciler.grace_seconds);
        for token in tokens {
            let Some(registration) = lock.account.registration(token) else {
                continue;
            };
            let mut registration = registration.clone();
            registration.state = RegistrationState::Expired { until };
            // The webhook is another's that has its URL.
            let is_moved = lock
                .account
                .registrations
                .iter()
                .any(|other| other.token != *token && other.webhook == registration.webhook);
            if is_moved {
                registration.webhook = None;
            }
            if let Some(webhook) = &registration.webhook {
                let what = format!(
                    "webhook {webhook} is gone at the source; retries of its deliveries are taken until {until}"
                );
                lock.note(Note::Expired, what);
            }
            lock.account.register(registration);
        }
        lock.save(tokens).await
    }

    /// Fails if the source keeps a webhook otherwise than it was asked to. The list decides, since the answer to a correction
    /// may only echo the request. A difference that arises later is a new one, and is corrected.
    pub(crate) async fn hold_against_the_desired_state(
        &mut self,
        shares: &[Share],
    ) -> Result<(), Failure> {
        if !self.corrected.is_empty() {
            let kept = self.session.list().await?;
            self.answered.extend(kept);
        }
        let mut uncorrected = BTreeSet::new();
        let mut otherwise = None;
        let mut stop = None;
        for share in shares.iter().filter(|share| share.is_selected) {
            let account = self.lock.account.of_part(&share.part);
            let seen = share.seen.iter();
            let latest: Vec<_> = seen.map(|seen| self.latest(seen)).collect();
            for webhook in &latest {
                let Some(difference) = difference(&account, &self.reconciler.hooks, webhook) else {
                    continue;
                };
                if self.corrected.contains(&webhook.id) || account.uncorrected.contains(&difference)
                {
                    uncorrected.insert(difference);
                    otherwise.get_or_insert(webhook.id.clone());
                }
            }
            let shown = latest.iter().chain(&self.answered).collect::<Vec<_>>();
            stop = stop.or_else(|| why_it_stopped(&account, &shown));
        }
        let source = self.lock.account.source;
        self.lock.set_stopped(stop);
        self.lock.leave_uncorrected(uncorrected);
        match otherwise {
            Some(webhook) => Err(Failure::KeptOtherwise { source, webhook }),
            None => Ok(()),
        }
    }

    /// The webhook as it was answered last. That a change keeps the key is shown in an example only, so the newer
    /// answer counts.
    fn latest(&self, seen: &Seen) -> RegisteredWebhook {
        let mut answered = self.answered.iter().rev();
        let answered = answered.find(|webhook| webhook.id == seen.webhook.id);
        let latest = answered.unwrap_or(&seen.webhook).clone();
        // An answer may leave the key out that the list shows.
        let key = latest.key.clone().or_else(|| seen.webhook.key.clone());
        RegisteredWebhook { key, ..latest }
    }
}

/// Why the webhook in use is not sent to, and who can change that. What was enabled just now, or is replaced, is no more to
/// be said of.
fn why_it_stopped(account: &Account, shown: &[&RegisteredWebhook]) -> Option<String> {
    let title = facts(account.source).title;
    let id = account.live()?.webhook.as_ref()?;
    let webhook = shown.iter().rev().find(|webhook| webhook.id == *id)?;
    match &webhook.condition {
        Condition::Active => None,
        Condition::Paused => Some(format!(
            "webhook {id} is paused at {title}: whoever paused it there can let it go on"
        )),
        Condition::Disabled { reason, .. } => {
            let reason = reason.as_deref().unwrap_or("without a reason");
            Some(format!(
                "webhook {id} is disabled at {title} ({reason}) and is left so; enable it there, or rotate it"
            ))
        }
    }
}

/// The webhook that another is to take over from and that is at the source, with its token.
fn being_replaced(account: &Account, seen: &[Seen]) -> Option<(TokenHash, WebhookId)> {
    let replacing = |own: &&Registration| own.state == RegistrationState::Replacing;
    let old = account.registrations.iter().rev().find(replacing)?;
    let id = old.webhook.clone()?;
    let is_there = seen.iter().any(|seen| seen.webhook.id == id);
    is_there.then_some((old.token, id))
}

/// The label that a webhook of ours is registered with.
fn label(account: &Account, token: &TokenHash) -> String {
    format!("orderhook/{}/{}", account.name, token.label())
}

/// Secrets of these kinds, out of random bytes.
fn made(kinds: &[OurSecret]) -> Result<LiveSecrets, Failure> {
    let mut secrets = LiveSecrets::default();
    for kind in kinds {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Failure::Randomness)?;
        kind.add(&random, &mut secrets);
    }
    Ok(secrets)
}

/// A key, and beside it the one that was in use before.
fn beside(key: &MacKey, stored: Option<&LiveSecrets>) -> LiveSecrets {
    let before = stored.map(|stored| stored.macs.as_slice());
    let mut before = before.unwrap_or_default().iter();
    let before = match before.next() {
        // Nothing has changed.
        Some(newest) if newest.expose() == key.expose() => before.next(),
        newest => newest,
    };
    LiveSecrets {
        macs: [Some(key), before].into_iter().flatten().cloned().collect(),
        shared: Vec::new(),
    }
}

/// A webhook could only be stopped.
pub(crate) fn stopped(id: &WebhookId, title: &str) -> String {
    format!(
        "webhook {id} is stopped at {title}, which has no call to remove it; it can be removed there by hand"
    )
}

/// A webhook could not even be stopped.
pub(crate) fn by_hand(id: &WebhookId, title: &str) -> String {
    format!("{title} has no call to remove webhook {id}; remove it there by hand")
}

/// A webhook's key is not shown, or is empty, and none is held.
fn no_key(webhook: &WebhookId) -> ApiError {
    ApiError::BadAnswer {
        asked: "the question for our webhooks",
        found: format!("webhook {webhook} without a signing key"),
    }
}

/// The webhook that was in use and is not there any more.
fn missing(account: &Account, seen: &[Seen]) -> Option<WebhookId> {
    let webhook = account.live()?.webhook.clone()?;
    let is_seen = seen.iter().any(|seen| seen.webhook.id == webhook);
    (!is_seen).then_some(webhook)
}

/// Why a webhook could go.
fn replaced(account: &Account, old: &WebhookId, evidence: Evidence) -> String {
    let new = account.live().and_then(|live| live.webhook.as_ref());
    let new = new.map_or("the new one", WebhookId::as_str);
    let why = match evidence {
        Evidence::New => format!("webhook {new} has brought a delivery"),
        Evidence::Silence | Evidence::OldOwes | Evidence::Unknown | Evidence::OldAlone => {
            "its time is over".to_owned()
        }
    };
    format!("removed webhook {old}: {why}")
}
