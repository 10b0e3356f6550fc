//! An account of any source, connected as its operator does it, with the source's simulator on the other side.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where its world cannot be made"
)]

use std::fmt;

use domain::source::Source;
use http::Method;
use local::aws::Answer;
use local::connecting::desired;
use serde_json::Value;
use simulator::control::{Deliver, ForeignWebhook, NewSite, WebhookChange, WebhookStatus};
use simulator::{EventText, RetryPolicy, RunReport, SiteControl};

use crate::stack::Stack;
use crate::team::TeamQueue;
use crate::waiting::until;
use crate::world::{account_name, note_secret, random_text};

/// An account of a source, at a site of its own. No `Debug` of the secret.
pub struct SourceAccount {
    /// The stack that all tests share.
    pub stack: Stack,
    /// The source.
    pub source: Source,
    /// The account's name, which is the name of the site as well.
    pub account: String,
    /// The source's side.
    pub site: SiteControl,
    /// What the team gets of this account.
    pub team: TeamQueue,
    secret: String,
}

impl fmt::Debug for SourceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceAccount")
            .field("source", &self.source)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl SourceAccount {
    /// A site with these settings of the source's simulator, and an account that is not connected to it yet.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn at(source: Source, settings: Value) -> Self {
        let stack = Stack::here().await;
        let (account, secret) = (account_name(), random_text());
        note_secret(&stack, &secret);
        let new = NewSite {
            client_id: Some(account.clone()),
            client_secret: Some(secret.clone()),
            settings,
            ..NewSite::default()
        };
        let simulator = stack.simulator_of(source.as_str());
        let created = simulator.create_site(&new).await;
        created.expect("a site of its own");
        Self {
            site: simulator.site(&account),
            team: TeamQueue::of(&stack, &account),
            stack,
            source,
            account,
            secret,
        }
    }

    /// Connects the account for these events; where a person registers the source's webhooks, does as that person.
    ///
    /// # Panics
    /// It is not connected in time.
    pub async fn connect(&self, events: &[&str]) {
        let desired = desired(self.source, &self.account, &self.secret, events);
        let answer = self.done(Method::PUT, "", Some(&desired)).await;
        if is_manual(&answer) {
            let answer = self.done(Method::POST, "/endpoint", None).await;
            let endpoint = answer.body.get("endpoint").and_then(Value::as_str);
            self.register(endpoint.expect("the URL, this once")).await;
        }
        self.note_secrets().await;
    }

    /// Registers a URL on the source's dashboard, with the signing secret.
    async fn register(&self, endpoint: &str) {
        let foreign = ForeignWebhook {
            endpoint: endpoint.to_owned(),
            events: None,
        };
        let webhook = self.site.add_webhook(&foreign).await;
        let webhook = webhook.expect("the simulator takes a webhook");
        let change = WebhookChange {
            signing_key: Some(self.secret.clone()),
            ..WebhookChange::default()
        };
        let changed = self.site.change_webhook(&webhook.id, &change).await;
        changed.expect("the simulator takes a key");
    }

    /// Registers at the source what was registered before: somebody who goes on sending.
    ///
    /// # Panics
    /// The simulator does not take it.
    pub async fn restore(&self, webhook: &WebhookStatus) {
        let foreign = ForeignWebhook {
            endpoint: webhook.endpoint.clone(),
            events: Some(webhook.events.clone()),
        };
        let added = self.site.add_webhook(&foreign).await;
        let added = added.expect("the simulator takes a webhook");
        let change = WebhookChange {
            signing_key: Some(webhook.signing_key.clone()),
            details: webhook.details.clone(),
            ..WebhookChange::default()
        };
        let changed = self.site.change_webhook(&added.id, &change).await;
        changed.expect("the simulator takes a key");
    }

    /// Enables every webhook that the source disabled.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn enable(&self) {
        for webhook in self.webhooks().await {
            let change = WebhookChange {
                enabled: Some(true),
                ..WebhookChange::default()
            };
            let changed = self.site.change_webhook(&webhook.id, &change).await;
            changed.expect("the simulator enables a webhook");
        }
    }

    /// The webhooks that the source has, newest first.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn webhooks(&self) -> Vec<WebhookStatus> {
        let webhooks = self.site.webhooks().await;
        webhooks.expect("the site's webhooks")
    }

    /// Remembers the secrets of the webhooks for the test that looks for them in logs.
    async fn note_secrets(&self) {
        for webhook in self.webhooks().await {
            let token = webhook.endpoint.split('/').find(|part| part.len() == 43);
            let authentication = webhook.details.get("authentication");
            let password =
                authentication.and_then(|value| value.pointer("/basicAuth/password")?.as_str());
            let headers = webhook.details.get("headers").and_then(Value::as_object);
            let headers = headers
                .into_iter()
                .flat_map(|headers| headers.values())
                .filter_map(Value::as_str);
            let secrets = [token, password, Some(&*webhook.signing_key)];
            for secret in secrets.into_iter().flatten().chain(headers) {
                if !secret.is_empty() {
                    note_secret(&self.stack, secret);
                }
            }
        }
    }

    /// Calls the admin API about the account once; `path` follows its name.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let path = format!("/accounts/{}{path}", self.account);
        self.stack.admin(method, &path, body).await
    }

    /// The same until it is done, as an operator does who is asked to retry.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn done(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let what = format!("{method} {} {path} is done", self.source);
        until(&what, async || {
            let answer = self.call(method.clone(), path, body).await;
            match answer.status {
                200 => Ok(answer),
                status => Err(format!("{status} {}", answer.body)),
            }
        })
        .await
    }

    /// Has the source send one event to each of its webhooks, with this wait before the first retry.
    ///
    /// # Panics
    /// It is no event, or the simulator does not answer.
    pub async fn send(&self, event: &Value, first_delay_ms: u64) -> Vec<RunReport> {
        let event = EventText::parse(event.to_string()).expect("an event");
        let deliver = Deliver {
            policy: RetryPolicy {
                first_delay_ms,
                max_delay_ms: first_delay_ms.saturating_mul(16),
                max_attempts: 8,
                timeout_ms: 20_000,
                disable_after: 100,
                ..RetryPolicy::default()
            },
            ..Deliver::events(&[event])
        };
        let reports = self.site.deliver(&deliver).await;
        reports.expect("the simulator sends")
    }
}

/// Whether an answer is about an account whose webhooks a person registers.
fn is_manual(answer: &Answer) -> bool {
    answer.body.get("state").and_then(Value::as_str) == Some("waiting")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that a source does not have is refused, and so is a missing one.
    #[test]
    fn what_connects_an_account_has_the_fields_of_its_source() {
        for source in Source::ALL {
            let life_cycle = &sources::facts(source).life_cycle;
            let mut expected = vec!["source", "events"];
            expected.extend(life_cycle.credentials.iter().map(|field| field.name));
            // Without credentials nothing can be called, so a person registers the webhook.
            if life_cycle.credentials.is_empty() {
                expected.push("signing_secrets");
            }
            expected.sort_unstable();
            let body = desired(source, "site", "secret", &["*"]);
            let mut names: Vec<&str> = body
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{source}");
            for field in life_cycle.credentials.iter().filter(|field| field.is_url()) {
                let url = body[field.name].as_str().unwrap();
                url.parse::<domain::subscription::ApiUrl>().unwrap();
            }
        }
    }
}
