//! Converging: the source is asked what it has, and brought in line with the account step by step.
//!
//! Each step leaves a state from which the next call goes on: a token's entry is stored before the source hears
//! of the token, a key before the token's entry says `live`, and a webhook is gone before its token is retired.
//!
//! Whatever it finds, a call asks Orderspace at most [`MOST_REQUESTS`] times, and once more for each webhook of
//! ours that it takes away; where all is as it shall be, once.
//!
//! | asked | at most |
//! |---|---|
//! | `POST /oauth/token`, and again what a worn-out token was refused | 2 |
//! | `GET /v1/webhooks` | 1 |
//! | `POST /v1/webhooks`, `PUT /v1/webhooks/{id}`: one for the webhook in use, one for that which it takes over from | 2 |
//! | `DELETE /v1/webhooks/{id}` | 1 for each that is one too many |

use domain::account::{TokenHash, UrlToken, WebhookId};
use domain::signature::SigningKeys;
use domain::subscription::{
    Account, Accounts, Deliveries, Evidence, RegisteredWebhook, Registration, Rotation, Secrets,
    Seen, Standing, Step, plan,
};

use crate::Subscriptions;
use crate::answer::Failure;
use crate::held::{Act, Finding, Held};
use crate::session::Session;

/// The most requests to Orderspace that one call makes, besides one for each webhook of ours that it takes away.
pub const MOST_REQUESTS: usize = 5;

const HOUR_SECONDS: u64 = 3600;

/// What the source has at our addresses.
#[derive(Default)]
pub(crate) struct Observed {
    /// Webhooks with tokens of the account, newest first.
    pub(crate) ours: Vec<Seen>,
    /// Webhooks with tokens that belong to nobody.
    strangers: Vec<Seen>,
}

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    /// Brings the source in line with an account that shall be connected.
    pub(crate) async fn converge(
        &self,
        held: &mut Held<'_, A>,
        session: &mut Session<'_, S>,
    ) -> Result<(), Failure> {
        let observed = self.observe(&held.account, session).await?;
        let Observed {
            ours: mut seen,
            strangers,
        } = observed;
        let tokens: Vec<TokenHash> = strangers.iter().map(|seen| seen.token).collect();
        let strays = held.meet_strangers(&tokens);
        seen.extend(
            strangers
                .into_iter()
                .filter(|stranger| strays.contains(&stranger.token)),
        );
        let mut keys = self.secrets.keys(&held.account.name).await?;
        let evidence = self.health.evidence(&held.account, held.now).await;
        let mut corrected = Vec::new();
        let hooks = &self.settings.hooks;
        for step in plan(&held.account, hooks, &seen, evidence, held.now) {
            match step {
                Step::Register => {
                    if let Some(webhook) = missing(&held.account, &seen) {
                        let what = format!("webhook {webhook} is missing at Orderspace");
                        held.found(Finding::Missing, what);
                    }
                    let (token, webhook) = self.register(held, session).await?;
                    self.confirm(held, &mut keys, token, &webhook).await?;
                }
                Step::Correct(seen) => {
                    let id = &seen.webhook.id;
                    let what = format!(
                        "webhook {id} has other events or another address than it shall have"
                    );
                    held.found(Finding::Differs, what);
                    corrected.push(self.correct(held, session, seen).await?);
                }
                Step::Confirm(seen) => {
                    let webhook = latest(&corrected, seen);
                    self.confirm(held, &mut keys, seen.token, webhook).await?;
                }
                Step::Hold(seen) => {
                    self.hold(held, &mut keys, seen.token, latest(&corrected, seen))
                        .await?;
                }
                Step::Remove(seen) => {
                    let id = &seen.webhook.id;
                    held.found(
                        Finding::Stray,
                        format!("webhook {id} of ours is one too many"),
                    );
                    session.remove(id).await?;
                    held.acted(
                        Act::Removed,
                        format!("removed webhook {id} of ours, which was one too many"),
                    );
                }
                Step::Relieve(seen) => {
                    let id = &seen.webhook.id;
                    session.remove(id).await?;
                    held.acted(Act::Relieved, relieved(&held.account, id, evidence));
                }
                Step::Replace(tokens) => self.replace(held, &tokens).await?,
                Step::Retire(tokens) => {
                    for token in &tokens {
                        held.account.forget(token);
                    }
                    held.save(&tokens).await?;
                }
            }
        }
        self.complain(held, evidence)
    }

    /// Says so where an old webhook has to stay longer than it should, because nothing else works.
    fn complain(&self, held: &Held<'_, A>, evidence: Evidence) -> Result<(), Failure> {
        let Some(Rotation::Overlap { old, until, .. }) = held.account.rotation() else {
            return Ok(());
        };
        let new = held.account.live().and_then(|live| live.webhook.clone());
        match (new, old.webhook.clone(), evidence) {
            (Some(new), Some(old), Evidence::OldAlone) if until <= held.now => {
                runtime::metrics::count(
                    "SubscriptionFindings",
                    1,
                    &[("Finding", "silent_successor")],
                );
                Err(Failure::SilentSuccessor { new, old })
            }
            _ => Ok(()),
        }
    }

    /// The webhooks of ours that the source has. All others are somebody else's and are forgotten here.
    pub(crate) async fn observe(
        &self,
        account: &Account,
        session: &mut Session<'_, S>,
    ) -> Result<Observed, Failure> {
        let mut observed = Observed::default();
        for webhook in session.list().await? {
            let Some(token) = webhook.endpoint.token().map(|token| token.hash()) else {
                continue;
            };
            // One that we registered is ours also at an address that this installation had before.
            let known = account.registration_of(&webhook.id);
            let is_known = known.is_some_and(|registration| registration.token == token);
            if !is_known && !self.settings.hooks.holds(account.source, &webhook.endpoint) {
                continue;
            }
            let list = match account.registration(&token) {
                Some(_) => &mut observed.ours,
                None => match self.accounts.token(&token).await? {
                    Some(entry) if entry.account == account.name => &mut observed.ours,
                    // Another account's at the same site.
                    Some(_) => continue,
                    None => &mut observed.strangers,
                },
            };
            list.push(Seen { webhook, token });
        }
        Ok(observed)
    }

    async fn register(
        &self,
        held: &mut Held<'_, A>,
        session: &mut Session<'_, S>,
    ) -> Result<(TokenHash, RegisteredWebhook), Failure> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Failure::Randomness)?;
        let token = UrlToken::from_random(&random);
        held.account.register(Registration {
            token: token.hash(),
            webhook: None,
            standing: Standing::Pending,
        });
        held.save(&[token.hash()]).await?;
        let endpoint = self.settings.hooks.endpoint(held.account.source, &token);
        let webhook = session.create(&endpoint, &held.account.events).await?;
        Ok((token.hash(), webhook))
    }

    async fn correct(
        &self,
        held: &mut Held<'_, A>,
        session: &mut Session<'_, S>,
        seen: &Seen,
    ) -> Result<RegisteredWebhook, Failure> {
        let source = held.account.source;
        let token = seen.webhook.endpoint.token();
        let endpoint = token.map_or_else(
            || seen.webhook.endpoint.clone(),
            |token| self.settings.hooks.endpoint(source, &token),
        );
        let id = &seen.webhook.id;
        let corrected = session.update(id, &endpoint, &held.account.events).await?;
        let count = held.account.events.names().len();
        held.acted(
            Act::Corrected,
            format!("webhook {id} is subscribed to {count} event types now"),
        );
        Ok(corrected)
    }

    /// Makes a webhook the account's: first its key is kept, then its token says so.
    async fn confirm(
        &self,
        held: &mut Held<'_, A>,
        keys: &mut SigningKeys,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<(), Failure> {
        self.hold(held, keys, token, webhook).await?;
        let registration = Registration {
            token,
            webhook: Some(webhook.id.clone()),
            standing: Standing::Live,
        };
        if held.account.registration(&token) == Some(&registration) {
            return Ok(());
        }
        let until = held
            .now
            .plus_seconds(self.settings.rotation_hours.saturating_mul(HOUR_SECONDS));
        let mut tokens = held.account.hand_over(registration, held.now, until);
        let count = held.account.events.names().len();
        held.acted(
            Act::Registered,
            format!("connected: webhook {} for {count} event types", webhook.id),
        );
        for old in &tokens {
            let old = held.account.registration(old);
            if let Some(old) = old.and_then(|old| old.webhook.clone()) {
                let what = format!(
                    "webhook {} takes over from webhook {old}, which stays until {} has brought a delivery, or \
                     until {until}",
                    webhook.id, webhook.id
                );
                held.acted(Act::HandedOver, what);
            }
        }
        tokens.push(token);
        held.save(&tokens).await
    }

    /// Keeps a webhook's key, beside those of the account's other webhooks and no more.
    async fn hold(
        &self,
        held: &mut Held<'_, A>,
        keys: &mut SigningKeys,
        token: TokenHash,
        webhook: &RegisteredWebhook,
    ) -> Result<(), Failure> {
        let others = held
            .account
            .registrations
            .iter()
            .filter(|registration| registration.token != token)
            .filter_map(|registration| registration.webhook.as_ref());
        let others: Vec<&WebhookId> = others.collect();
        let wanted: SigningKeys = keys
            .iter()
            .filter(|(id, _)| **id != webhook.id && others.contains(id))
            .chain([(&webhook.id, &webhook.key)])
            .map(|(id, key)| (id.clone(), key.clone()))
            .collect();
        let is_other_key = keys
            .iter()
            .any(|(id, key)| *id == webhook.id && key.expose() != webhook.key.expose());
        if is_other_key {
            let what = format!("webhook {} is signed with another key", webhook.id);
            held.found(Finding::OtherKey, what);
        }
        if !same(&wanted, keys) {
            self.secrets.put_keys(&held.account.name, &wanted).await?;
            *keys = wanted;
        }
        if is_other_key {
            held.acted(
                Act::KeyTaken,
                format!("the new key of webhook {} is held", webhook.id),
            );
        }
        Ok(())
    }

    async fn replace(&self, held: &mut Held<'_, A>, tokens: &[TokenHash]) -> Result<(), Failure> {
        let grace = self.settings.grace_hours.saturating_mul(HOUR_SECONDS);
        let until = held.now.plus_seconds(grace);
        for token in tokens {
            let Some(registration) = held.account.registration(token) else {
                continue;
            };
            let mut registration = registration.clone();
            registration.standing = Standing::Grace { until };
            if let Some(webhook) = &registration.webhook {
                let what = format!(
                    "webhook {webhook} is gone at the source; retries of its deliveries are taken until {until}"
                );
                held.note(what);
            }
            held.account.register(registration);
        }
        held.save(tokens).await
    }
}

/// The webhook that was in use and is not there any more.
fn missing(account: &Account, seen: &[Seen]) -> Option<WebhookId> {
    let webhook = account.live()?.webhook.clone()?;
    let is_seen = seen.iter().any(|seen| seen.webhook.id == webhook);
    (!is_seen).then_some(webhook)
}

/// The webhook as it was answered last. That a change keeps the key is shown in an example only, so the newer
/// answer counts.
fn latest<'s>(corrected: &'s [RegisteredWebhook], seen: &'s Seen) -> &'s RegisteredWebhook {
    let mut corrected = corrected.iter();
    corrected
        .find(|webhook| webhook.id == seen.webhook.id)
        .unwrap_or(&seen.webhook)
}

/// Why a webhook could go.
fn relieved(account: &Account, old: &WebhookId, evidence: Evidence) -> String {
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

fn same(one: &SigningKeys, other: &SigningKeys) -> bool {
    let is_in = |keys: &SigningKeys, id: &WebhookId, key: &str| {
        keys.iter()
            .any(|(other, held)| other == id && held.expose() == key)
    };
    one.iter().count() == other.iter().count()
        && one.iter().all(|(id, key)| is_in(other, id, key.expose()))
}
