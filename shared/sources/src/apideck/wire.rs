//! The bodies of Apideck's webhook API. What is not needed is not named: the API may grow. A list also has webhooks of
//! others, of whose members none matters: whatever form they have, they are skipped.

use domain::account::WebhookId;
use domain::subscription::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{id_of, present};

/// The body of a registration.
#[derive(Serialize)]
pub(super) struct New<'a> {
    pub(super) delivery_url: &'a str,
    pub(super) status: &'static str,
    pub(super) events: &'a [String],
    pub(super) unified_api: &'a str,
    pub(super) description: &'a str,
}

/// The body of a change. What is absent stays.
#[derive(Serialize)]
pub(super) struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivery_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
}

impl Change<'_> {
    /// Enables a webhook.
    pub(super) const ENABLE: Self = Self {
        delivery_url: None,
        events: None,
        description: None,
        status: Some("enabled"),
    };
}

/// The answer to a registration or a change.
#[derive(Deserialize)]
pub(super) struct Wrapped {
    pub(super) data: Box<RawValue>,
}

/// The members of a webhook in an answer, as they stand.
#[derive(Deserialize)]
pub(super) struct Shown<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delivery_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
    #[serde(borrow, default)]
    description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    disabled_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
}

impl Shown<'_> {
    /// Its id, a text or a whole number.
    pub(super) fn id(&self) -> Option<WebhookId> {
        id_of(self.id?).map(WebhookId::new)
    }

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        text(self.delivery_url).map(Endpoint::new)
    }

    pub(super) fn events(&self) -> Vec<String> {
        self.events.and_then(read).unwrap_or_default()
    }

    pub(super) fn description(&self) -> Option<String> {
        text(self.description)
    }

    pub(super) fn status(&self) -> Option<String> {
        text(self.status)
    }

    pub(super) fn disabled_reason(&self) -> Option<String> {
        text(self.disabled_reason)
    }

    pub(super) fn created_at(&self) -> Option<String> {
        text(self.created_at)
    }
}

/// A text that is not empty.
fn text(value: Option<&RawValue>) -> Option<String> {
    let text: String = read(value?)?;
    (!text.is_empty()).then_some(text)
}

/// What can be read of a value.
pub(super) fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Listed {
    /// It has to be there, and may be null: another object must not count as "no webhooks".
    #[serde(deserialize_with = "present")]
    data: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    meta: Value,
}

impl Listed {
    pub(super) fn entries(&self) -> impl Iterator<Item = &RawValue> {
        self.data.iter().flatten().map(|entry| &**entry)
    }

    /// The cursor of the page that follows, if one does.
    pub(super) fn next(&self) -> Option<String> {
        match self.meta.pointer("/cursors/next")? {
            Value::String(cursor) if !cursor.is_empty() => Some(cursor.clone()),
            Value::Number(cursor) => Some(cursor.to_string()),
            _ => None,
        }
    }
}

/// The body of an error.
#[derive(Deserialize)]
pub(super) struct Failed {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
    #[serde(default)]
    error: Value,
}

impl Failed {
    /// The first text that says what is wrong. An object without one is not the API's.
    pub(super) fn message(self) -> Option<String> {
        let texts = [self.message, self.detail, self.error].into_iter();
        let mut texts = texts.filter_map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        texts.next()
    }
}
