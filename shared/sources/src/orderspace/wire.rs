//! The bodies of Orderspace's API. What is not needed is not named: the API may grow.

use domain::account::WebhookId;
use domain::signature::MacKey;
use domain::subscription::{Condition, Endpoint, EventSelection, RegisteredWebhook};
use serde::{Deserialize, Serialize};

/// The form of a token request.
#[derive(Serialize)]
pub(super) struct TokenRequest<'a> {
    pub(super) grant_type: &'static str,
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a str,
}

/// The answer to it.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub(super) access_token: String,
    /// Seconds.
    pub(super) expires_in: u64,
}

/// The body of a registration and of a change. A change sends both members too, since what becomes of an
/// absent one is not documented.
#[derive(Serialize)]
pub(super) struct Wrapped<'a> {
    webhook: Asked<'a>,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    events: &'a [String],
}

pub(super) fn registration<'a>(
    endpoint: Option<&'a Endpoint>,
    events: &'a EventSelection,
) -> Wrapped<'a> {
    Wrapped {
        webhook: Asked {
            endpoint: endpoint.map(Endpoint::expose),
            events: events.names(),
        },
    }
}

/// A webhook in an answer.
#[derive(Deserialize)]
pub(super) struct Webhook {
    id: String,
    endpoint: String,
    events: Vec<String>,
    signing_key: String,
}

impl From<Webhook> for RegisteredWebhook {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: WebhookId::new(webhook.id),
            endpoint: Some(Endpoint::new(webhook.endpoint)),
            events: webhook.events,
            key: Some(MacKey::new(webhook.signing_key)),
            label: None,
            condition: Condition::Active,
        }
    }
}

/// The answer to a registration or a change.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) webhook: Webhook,
}

/// The answer to a listing.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) webhooks: Vec<Webhook>,
}

/// The answer to a deletion.
#[derive(Deserialize)]
pub(super) struct Deleted {
    pub(super) webhook: Deletion,
}

#[derive(Deserialize)]
pub(super) struct Deletion {
    pub(super) deleted: bool,
}

/// The body of 404 and 422.
#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) message: String,
}

/// An error of the token endpoint, in RFC 6749's words.
#[derive(Deserialize)]
pub(super) struct Refusal<'a> {
    pub(super) error: &'a str,
}
