//! The bodies of Orderspace's API. What is not needed is not named: the API may grow. A list also has webhooks of other
//! integrations, of whose members none matters: whatever form they have, they are skipped.

use std::time::Duration;

use domain::account::WebhookId;
use domain::signature::MacKey;
use domain::subscription::{Condition, Endpoint, EventSelection, RegisteredWebhook};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{id_of, present};

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
    /// Seconds; `None` where it is missing, or no number.
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires_in: Option<u64>,
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

/// Reads a number of seconds, whether it is whole, has a fraction or stands in a string.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let whole = number.and_then(|number| Duration::try_from_secs_f64(number.max(0.0)).ok());
    Ok(whole.map(|life| life.as_secs()))
}

/// The members of a webhook in an answer, as they stand.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    endpoint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signing_key: Option<&'a RawValue>,
}

impl Shown<'_> {
    fn id(&self) -> Option<WebhookId> {
        id_of(self.id?).map(WebhookId::new)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint.and_then(read::<String>).map(Endpoint::new)
    }

    fn webhook(&self) -> Option<RegisteredWebhook> {
        let key = self.signing_key.and_then(read::<String>);
        Some(RegisteredWebhook {
            id: self.id()?,
            endpoint: self.endpoint(),
            events: self.events.and_then(read).unwrap_or_default(),
            key: key.filter(|key| !key.is_empty()).map(MacKey::new),
            label: None,
            condition: Condition::Active,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// The webhook in an answer; `None` without an id.
pub(super) fn webhook(shown: &RawValue) -> Option<RegisteredWebhook> {
    read::<Shown<'_>>(shown)?.webhook()
}

/// The webhooks of a page that can be read; `None` where one that can only be ours has no id: it would count as missing,
/// and another would be registered beside it.
pub(super) fn shown(page: &Listed) -> Option<Vec<RegisteredWebhook>> {
    let entries = page.webhooks.iter().flatten();
    let entries = entries.filter_map(|entry| read::<Shown<'_>>(entry));
    let is_foreign = |entry: &Shown<'_>| entry.endpoint().is_none_or(|url| url.token().is_none());
    entries
        .filter(|entry| entry.id().is_some() || !is_foreign(entry))
        .map(|entry| entry.webhook())
        .collect()
}

/// The answer to a registration or a change.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) webhook: Box<RawValue>,
}

/// The answer to a listing, or a page of it.
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(deserialize_with = "present")]
    webhooks: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    pub(super) has_more: bool,
}

impl Listed {
    /// Whether the page has nothing on it.
    pub(super) fn is_empty(&self) -> bool {
        self.webhooks.as_ref().is_none_or(Vec::is_empty)
    }
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
