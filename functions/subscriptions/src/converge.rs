//! Converging: the source is asked what it has, and brought in line with the account step by step.
//!
//! Each step leaves a state from which the next call goes on: a token's entry is stored before the source hears
//! of the token, a key before the token's entry says `live`, and a webhook is gone before its token is retired.

use domain::account::{TokenHash, TokenStatus, UrlToken, WebhookId};
use domain::signature::SigningKeys;
use domain::subscription::{
    Account, Accounts, Deliveries, RegisteredWebhook, Registration, Secrets, Seen, Standing, Step,
    Webhooks, plan,
};

use crate::Subscriptions;
use crate::answer::Failure;
use crate::held::{Act, Finding, Held};
use crate::session::Session;

/// How long retries of deliveries of a webhook that is gone are taken, in seconds: 72 hours.
const GRACE_SECONDS: u64 = 72 * 3600;

/// What the source has at our addresses.
#[derive(Default)]
pub(crate) struct Observed {
    /// Webhooks with tokens of the account, newest first.
    pub(crate) ours: Vec<Seen>,
    /// Webhooks with tokens that belong to nobody.
    strangers: Vec<Seen>,
}

impl<A: Accounts, S: Secrets, W: Webhooks, D: Deliveries> Subscriptions<'_, A, S, W, D> {
    /// Brings the source in line with an account that shall be connected.
    pub(crate) async fn converge(
        &self,
        held: &mut Held<'_, A>,
        session: &mut Session<'_, S, W>,
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
        let keys = self.secrets.keys(&held.account.name).await?;
        let mut corrected = None;
        for step in plan(&held.account, &self.settings.hooks, &seen, held.now) {
            match step {
                Step::Register => {
                    if let Some(webhook) = held.account.live().and_then(|live| live.webhook.clone())
                    {
                        let what = format!("webhook {webhook} is missing at Orderspace");
                        held.found(Finding::Missing, what);
                    }
                    let (token, webhook) = self.register(held, session).await?;
                    self.confirm(held, &keys, token, &webhook).await?;
                }
                Step::Correct(seen) => {
                    let id = &seen.webhook.id;
                    let what = format!(
                        "webhook {id} has other events or another address than it shall have"
                    );
                    held.found(Finding::Differs, what);
                    corrected = Some(self.correct(held, session, seen).await?);
                }
                Step::Confirm(seen) => {
                    // That a change keeps the key is shown in an example only, so the newer answer counts.
                    let webhook = corrected.as_ref().unwrap_or(&seen.webhook);
                    self.confirm(held, &keys, seen.token, webhook).await?;
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
                Step::Replace(tokens) => self.replace(held, &tokens).await?,
                Step::Retire(tokens) => {
                    for token in &tokens {
                        held.account.forget(token);
                    }
                    held.save(&tokens).await?;
                }
            }
        }
        Ok(())
    }

    /// The webhooks of ours that the source has. All others are somebody else's and are forgotten here.
    pub(crate) async fn observe(
        &self,
        account: &Account,
        session: &mut Session<'_, S, W>,
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
            let status = match account.registration(&token) {
                Some(registration) => Some(registration.standing.status()),
                None => match self.accounts.token(&token).await? {
                    Some(entry) if entry.account == account.name => Some(entry.status),
                    // Another account's at the same site.
                    Some(_) => continue,
                    None => None,
                },
            };
            let list = match status {
                Some(_) => &mut observed.ours,
                None => &mut observed.strangers,
            };
            list.push(Seen {
                webhook,
                token,
                status: status.unwrap_or(TokenStatus::Retired),
            });
        }
        Ok(observed)
    }

    async fn register(
        &self,
        held: &mut Held<'_, A>,
        session: &mut Session<'_, S, W>,
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
        session: &mut Session<'_, S, W>,
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
        keys: &SigningKeys,
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
        }
        if is_other_key {
            held.acted(
                Act::KeyTaken,
                format!("the new key of webhook {} is held", webhook.id),
            );
        }
        let registration = Registration {
            token,
            webhook: Some(webhook.id.clone()),
            standing: Standing::Live,
        };
        if held.account.registration(&token) != Some(&registration) {
            held.account.register(registration);
            let count = held.account.events.names().len();
            held.acted(
                Act::Registered,
                format!("connected: webhook {} for {count} event types", webhook.id),
            );
            held.save(&[token]).await?;
        }
        Ok(())
    }

    async fn replace(&self, held: &mut Held<'_, A>, tokens: &[TokenHash]) -> Result<(), Failure> {
        let until = held.now.plus_seconds(GRACE_SECONDS);
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

fn same(one: &SigningKeys, other: &SigningKeys) -> bool {
    let is_in = |keys: &SigningKeys, id: &WebhookId, key: &str| {
        keys.iter()
            .any(|(other, held)| other == id && held.expose() == key)
    };
    one.iter().count() == other.iter().count()
        && one.iter().all(|(id, key)| is_in(other, id, key.expose()))
}
