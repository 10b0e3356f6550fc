//! The sources that the simulator plays, and what the engine asks of each: the one place where a name becomes behaviour.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::event::EventText;
use crate::key::SigningKey;
use crate::payload::{PackError, Payload};
use crate::site::{Site, Webhook};
use crate::switches::{RetryPolicy, Switches};
use crate::world::World;
use crate::{apideck, onestock, ordermentum, orderspace, stackone};

/// A system that sends webhooks. One simulator plays one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// <https://apidocs.orderspace.com>
    #[default]
    Orderspace,
    /// <https://docs.ordermentum.io>
    Ordermentum,
    /// <https://developers.apideck.com>
    Apideck,
    /// <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>
    Onestock,
    /// <https://docs.stackone.com/guides/webhooks>
    Stackone,
}

impl Source {
    pub(crate) fn provider(self) -> &'static dyn Provider {
        match self {
            Self::Orderspace => &orderspace::Orderspace,
            Self::Ordermentum => &ordermentum::Ordermentum,
            Self::Apideck => &apideck::Apideck,
            Self::Onestock => &onestock::Onestock,
            Self::Stackone => &stackone::StackOne,
        }
    }
}

/// One attempt at one delivery, as a source has to write it.
pub(crate) struct Attempt<'a> {
    pub(crate) payload: &'a Payload,
    /// From 1.
    pub(crate) number: u32,
    /// The keys to sign with, newest first; none where nothing is signed.
    pub(crate) keys: &'a [SigningKey],
    /// What the source keeps of the webhook.
    pub(crate) details: &'a Map<String, Value>,
    /// The site's settings.
    pub(crate) settings: &'a Value,
}

/// What is sent in an attempt, apart from the content type and from headers that a test chose.
#[derive(Default)]
pub(crate) struct Dressed {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: HeaderMap,
}

impl Dressed {
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            headers: HeaderMap::new(),
        }
    }

    /// Adds a header that logs must not show; what is no header is left out.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
    }
}

/// How a source tries again.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Attempts per delivery.
    pub(crate) attempts: u32,
    /// Failed attempts in a row, over all deliveries, that disable the webhook.
    pub(crate) disable_after: u32,
    /// The waits, in proportion to the first, which is the policy's; empty: they grow as the policy says.
    pub(crate) waits: &'static [u32],
    /// Whether a delivery whose attempts are used up disables the webhook.
    pub(crate) disables: bool,
    /// Whether a webhook's deliveries wait for those before them, also those of another sending.
    pub(crate) in_order: bool,
}

impl Schedule {
    /// The policy alone.
    pub(crate) fn of(policy: &RetryPolicy) -> Self {
        Self {
            attempts: policy.max_attempts,
            disable_after: policy.disable_after,
            waits: &[],
            disables: false,
            in_order: false,
        }
    }
}

/// A source: its API, and how it packs, signs and retries.
pub(crate) trait Provider: Sync {
    /// The source's own paths.
    fn routes(&self) -> Router<World>;

    /// The form of an error answer of the API.
    fn error(&self, status: StatusCode, text: &str) -> Response;

    /// What the source publishes of its throttle; the default is more than a test sends.
    fn requests_per_minute(&self) -> usize {
        10_000
    }

    /// Event names that a webhook of somebody else takes.
    fn event_names(&self) -> &'static [&'static str];

    /// Whether these settings of a site can be read.
    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error>;

    /// The key of a webhook that is made without one.
    fn key(&self, _site: &Site) -> SigningKey {
        SigningKey::generate()
    }

    /// How many keys of a webhook are live at the same time.
    fn generations(&self) -> usize {
        1
    }

    /// Whether a webhook gets an event. A name that nobody can subscribe to goes to all: it stands for a type that the
    /// source adds tomorrow.
    fn wants(&self, webhook: &Webhook, event: &EventText) -> bool {
        match event.name() {
            Some(name) if self.event_names().contains(&name) => webhook.subscribes_to(name),
            _ => true,
        }
    }

    /// The bodies for these events. The default is a body for each event.
    fn pack(&self, events: &[EventText], _: &Switches) -> Result<Vec<Payload>, PackError> {
        Ok(events
            .iter()
            .map(|event| Payload::new(vec![event.clone()], event.as_str()))
            .collect())
    }

    /// Writes an attempt: the body, signed. A raw delivery's body (one without events) stays as it is.
    fn dress(&self, attempt: &Attempt<'_>) -> Dressed;

    /// Whether this status ends a delivery well.
    fn accepts(&self, status: u16) -> bool {
        (200..300).contains(&status)
    }

    /// How the source tries again.
    fn schedule(&self, policy: &RetryPolicy, settings: &Value) -> Schedule;
}

/// A source's settings, or how they are by default.
pub(crate) fn settings<T: DeserializeOwned + Default>(
    settings: &Value,
) -> Result<T, serde_json::Error> {
    match settings {
        Value::Null => Ok(T::default()),
        given => T::deserialize(given),
    }
}
