//! The APIs of the sources, as far as a webhook's life needs them.
//!
//! An account's source picks its API from a table ([`Apis`]), so calls are boxed. That also ends the nesting of
//! futures here: whoever calls is no type parameter and no layer deeper for it.

use std::collections::BTreeMap;
use std::pin::Pin;

use thiserror::Error;

use crate::account::WebhookId;
use crate::signature::LiveSecrets;
use crate::source::Source;
use crate::subscription::{
    Access, Caller, Credentials, Endpoint, EventSelection, OurSecret, RegisteredWebhook,
};
use crate::timestamp::Timestamp;

/// A call that is under way.
pub type ApiCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// A webhook that is to be registered.
#[derive(Debug, Clone, Copy)]
pub struct NewWebhook<'a> {
    /// Where it is to be sent to.
    pub endpoint: &'a Endpoint,
    /// A name or description for it, where the source keeps one: it shows whose the webhook is where the endpoint is not
    /// shown. See [`TokenHash::label`](crate::account::TokenHash::label).
    pub label: &'a str,
    /// The event types that it is to be subscribed to.
    pub events: &'a EventSelection,
    /// What its deliveries are to be proved with, stored already; none where the source makes it.
    pub secrets: &'a LiveSecrets,
    /// The part of the registration that it is for; empty where there is one part.
    pub part: &'a str,
}

/// What a webhook is to be changed to.
#[derive(Debug, Clone, Copy)]
pub struct WebhookChange<'a> {
    /// Where it is to be sent to; `None`, since the source does not show it, is where it was.
    pub endpoint: Option<&'a Endpoint>,
    /// As for [`NewWebhook`].
    pub label: &'a str,
    /// The event types that it is to be subscribed to.
    pub events: &'a EventSelection,
    /// What its deliveries are proved with, as it is stored.
    pub secrets: &'a LiveSecrets,
    /// As for [`NewWebhook`].
    pub part: &'a str,
}

/// A source's API for webhooks.
///
/// | the source | the client |
/// |---|---|
/// | gives out no access tokens | asks anything in `authenticate`, so that wrong credentials are refused there, and returns [`Access::by_credentials`] |
/// | cannot list, change, remove or enable | answers [`ApiError::NoSuchCall`] |
/// | keeps a webhook that it stops instead of removing it | answers [`Removed::Stopped`] |
pub trait Api: Send + Sync {
    /// The secrets that we make for a registration and send with it. None, unless the source's
    /// [`KeyOrigin`](super::KeyOrigin) is `OursSent`.
    fn secrets(&self) -> &'static [OurSecret] {
        &[]
    }

    /// Whether a webhook in use may be given another URL and other secrets, where the source refuses a second one beside it.
    fn moves(&self) -> bool {
        false
    }

    /// Gets an access token for credentials.
    ///
    /// # Errors
    /// See [`ApiError`].
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access>;

    /// All webhooks of the site, ours and others', newest first.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoSuchCall`] where the source has none.
    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>>;

    /// Registers a webhook.
    ///
    /// # Errors
    /// See [`ApiError`]. It may be registered all the same.
    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook>;

    /// Changes a webhook.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoSuchCall`] where the source has none. It may be changed all the same.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
        change: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook>;

    /// Removes a webhook.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoSuchCall`] where the source has none. It may be removed all the same.
    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed>;

    /// Enables a webhook again that the source disabled.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoSuchCall`] where the source has none. It may be enabled all the same.
    fn enable<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook>;
}

/// The API of each source that accounts can be connected to here.
pub struct Apis(BTreeMap<Source, Box<dyn Api>>);

impl Apis {
    /// The API of a source, if it has one here.
    #[must_use]
    pub fn of(&self, source: Source) -> Option<&dyn Api> {
        self.0.get(&source).map(Box::as_ref)
    }
}

impl FromIterator<(Source, Box<dyn Api>)> for Apis {
    fn from_iter<I: IntoIterator<Item = (Source, Box<dyn Api>)>>(apis: I) -> Self {
        Self(apis.into_iter().collect())
    }
}

/// What removing a webhook came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was there.
    Now,
    /// There was none.
    Before,
    /// It is there and is sent to no more: the source has no call to remove it, and a person may.
    Stopped,
}

/// Why a source's API did not do what it was asked. Carries nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The credentials themselves are refused.
    #[error("the credentials are refused")]
    CredentialsRefused,
    /// An access token is refused: it is over, or was revoked.
    #[error("the access token is refused")]
    AccessRefused,
    /// What was sent is not acceptable, in the source's words.
    #[error("the webhook is not accepted: {0}")]
    Invalid(String),
    /// There is no such webhook.
    #[error("there is no such webhook")]
    NoSuchWebhook,
    /// Too much was asked in too short a time.
    #[error("too many requests")]
    TooManyRequests {
        /// How long the source wants to be left alone, in seconds, where it says so.
        pause: Option<u64>,
    },
    /// The integration may not do this.
    #[error("the integration lacks the permission")]
    PermissionMissing,
    /// The server says that it is in trouble.
    #[error("the server is in trouble: status {0}")]
    Down(u16),
    /// An answer that cannot be the API's, or cannot be read.
    #[error("{asked} was answered with {found}")]
    BadAnswer {
        /// What was asked, such as `GET /v1/webhooks`.
        asked: &'static str,
        /// What came instead, such as `status 404 and no JSON`.
        found: String,
    },
    /// Nothing came in time. The work may be done all the same.
    #[error("no answer came in time")]
    TimeOut,
    /// There was no connection.
    #[error("no connection could be made")]
    Unreachable,
    /// The source has no call for this.
    #[error("the API has no call to {0}")]
    NoSuchCall(&'static str),
}
