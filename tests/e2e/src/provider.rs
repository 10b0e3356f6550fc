//! The source's side of an operator's account, where its simulator plays it.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its world cannot be made"
)]

use local::aws::Answer;
use serde_json::Value;
use simulator::control::{Deliver, ForeignWebhook, WebhookChange, WebhookStatus};
use simulator::{EventText, RetryPolicy, RunReport, SiteControl};
use testkit::delivery::element;

use crate::operator::Operator;
use crate::world::note_secret;

impl Operator {
    /// Connects the account for these events; where a person registers the source's webhooks, does as that person.
    ///
    /// # Panics
    /// It is not connected in time.
    pub async fn connect(&self, events: &[&str]) {
        let answer = self.put_until_done(&self.desired(events)).await;
        if is_manual(&answer) {
            let answer = self.act("endpoint").await;
            let endpoint = answer.body.get("endpoint").and_then(Value::as_str);
            let foreign = ForeignWebhook {
                endpoint: endpoint.expect("the URL, this once").to_owned(),
                events: None,
            };
            let change = WebhookChange {
                signing_key: Some(self.secret.clone()),
                ..WebhookChange::default()
            };
            self.register(&foreign, &change).await;
        }
        self.note_secrets().await;
    }

    /// Registers a URL on the source's dashboard.
    async fn register(&self, foreign: &ForeignWebhook, change: &WebhookChange) {
        let webhook = self.site.add_webhook(foreign).await;
        let webhook = webhook.expect("the simulator takes a webhook");
        let changed = self.site.change_webhook(&webhook.id, change).await;
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
        let change = WebhookChange {
            signing_key: Some(webhook.signing_key.clone()),
            details: webhook.details.clone(),
            ..WebhookChange::default()
        };
        self.register(&foreign, &change).await;
    }

    /// Enables every webhook that the source disabled.
    ///
    /// # Panics
    /// The simulator does not answer.
    pub async fn enable(&self) {
        for webhook in self.webhooks().await {
            enable(&self.site, &webhook.id, true).await;
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
            let details = Value::from(webhook.details);
            let password = details.pointer("/authentication/basicAuth/password");
            let password = password.and_then(Value::as_str);
            let headers = details.get("headers").and_then(Value::as_object);
            let headers = headers.into_iter().flat_map(|headers| headers.values());
            let headers = headers.filter_map(Value::as_str);
            let secrets = [token, password, Some(&*webhook.signing_key)];
            for secret in secrets.into_iter().flatten().chain(headers) {
                if !secret.is_empty() {
                    note_secret(&self.stack, secret);
                }
            }
        }
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

/// Enables or disables a webhook at the source.
///
/// # Panics
/// The simulator has none of that id.
pub async fn enable(site: &SiteControl, webhook: &str, enabled: bool) {
    let change = WebhookChange {
        enabled: Some(enabled),
        ..WebhookChange::default()
    };
    let changed = site.change_webhook(webhook, &change).await;
    changed.expect("the simulator changes a webhook");
}

/// An event as Orderspace sends it.
///
/// # Panics
/// It is none.
#[must_use]
pub fn event(event_type: &str, record: &str) -> EventText {
    EventText::parse(element(event_type, record)).expect("an event")
}

/// Orderspace sends an order to the webhooks that it has, and one of them takes it.
///
/// # Panics
/// None does.
pub async fn deliver_order(site: &SiteControl, id: &str) {
    let event = event("order.created", &format!(r#"{{"id":"{id}"}}"#));
    let reports = site.deliver(&Deliver::events(&[event])).await;
    let reports = reports.expect("the simulator sends");
    assert!(reports.iter().any(|report| report.accepted), "{reports:?}");
}

/// Whether an answer is about an account whose webhooks a person registers.
fn is_manual(answer: &Answer) -> bool {
    answer.body.get("state").and_then(Value::as_str) == Some("waiting")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::source::Source;
    use local::connecting::desired;

    /// A field that a source does not have is refused, and so is a missing one.
    #[test]
    fn what_connects_an_account_has_the_fields_of_its_source() {
        for source in Source::ALL {
            let life_cycle = &sources::facts(source).life_cycle;
            let mut expected = BTreeSet::from(["source", "events"]);
            expected.extend(life_cycle.credentials.iter().map(|field| field.name));
            // Without credentials nothing can be called, so a person registers the webhook.
            if life_cycle.credentials.is_empty() {
                expected.insert("signing_secrets");
            }
            let body = desired(source, "site", "secret", &["*"]);
            let names = body.as_object().unwrap().keys();
            let names: BTreeSet<&str> = names.map(String::as_str).collect();
            assert_eq!(names, expected, "{source}");
            for field in life_cycle.credentials.iter().filter(|field| field.is_url()) {
                let url = body[field.name].as_str().unwrap();
                url.parse::<domain::subscription::ApiUrl>().unwrap();
            }
        }
    }
}
