//! A typed client of the control API, for tests and demonstrations that use a simulator in another process.

use std::time::Duration;

use axum::http::Method;
use reqwest::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use crate::control::{Credentials, Deliver, ForeignWebhook, NewSite, WebhookChange, WebhookStatus};
use crate::faults::Fault;
use crate::site::{LoggedRequest, RunReport};

/// Why the simulator did not do what it was told.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No answer, or none that could be read.
    #[error("the simulator gave no readable answer; check that it is running")]
    Unreachable(#[from] reqwest::Error),
    /// The simulator refused.
    #[error("the simulator refused with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its reason.
        message: String,
    },
}

type Answer<T> = Result<T, ControlError>;

/// The control API of one simulator.
#[derive(Clone, Debug)]
pub struct Control {
    client: reqwest::Client,
    base: String,
}

impl Control {
    /// For the simulator at `url`, as its ready line or [`crate::Simulator::url`] gives it.
    ///
    /// # Errors
    /// The HTTP client could not be made.
    pub fn new(url: &str) -> Result<Self, ControlError> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base: format!("{}/_simulator", url.trim_end_matches('/')),
        })
    }

    /// Creates a site.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with 409 when the client id is taken.
    pub async fn create_site(&self, new: &NewSite) -> Result<Credentials, ControlError> {
        let made = self.send(Method::POST, "/sites", new).await?;
        Ok(made.json().await?)
    }

    /// The control of one site; whether the site exists shows with the first call.
    pub fn site(&self, client_id: &str) -> SiteControl {
        SiteControl {
            control: self.clone(),
            path: format!("/sites/{client_id}"),
        }
    }

    async fn send(&self, method: Method, path: &str, body: impl Serialize) -> Answer<Response> {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(method, url).json(&body);
        let answer = request.send().await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let said: Value = answer.json().await.unwrap_or_default();
        let message = said.get("message").and_then(Value::as_str);
        Err(ControlError::Refused {
            status,
            message: message.unwrap_or("no reason given").to_owned(),
        })
    }
}

/// The control of one site. Every call fails with [`ControlError::Refused`] and 404 for a site that does not exist.
#[derive(Clone, Debug)]
pub struct SiteControl {
    control: Control,
    path: String,
}

impl SiteControl {
    async fn send(&self, method: Method, rest: &str, body: impl Serialize) -> Answer<Response> {
        let path = format!("{}{rest}", self.path);
        self.control.send(method, &path, body).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        method: Method,
        rest: &str,
        body: impl Serialize,
    ) -> Answer<T> {
        Ok(self.send(method, rest, body).await?.json().await?)
    }

    async fn order(&self, method: Method, rest: &str, body: impl Serialize) -> Answer<()> {
        self.send(method, rest, body).await.map(drop)
    }

    /// The requests that the site received, oldest first.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn requests(&self) -> Result<Vec<LoggedRequest>, ControlError> {
        self.read(Method::GET, "/requests", json!({})).await
    }

    /// Forgets the requests.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn forget_requests(&self) -> Result<(), ControlError> {
        self.order(Method::DELETE, "/requests", json!({})).await
    }

    /// Sets the faults in place of those before; an empty list clears them.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn set_faults(&self, faults: &[Fault]) -> Result<(), ControlError> {
        self.order(Method::PUT, "/faults", faults).await
    }

    /// Moves the site's clock forward, by 49 days at most: tokens age, and the throttle's wait passes.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn advance_clock(&self, by: Duration) -> Result<(), ControlError> {
        let body = json!({ "advance_ms": u64::try_from(by.as_millis()).unwrap_or(u64::MAX) });
        self.order(Method::POST, "/clock", body).await
    }

    /// Sets the source's own settings.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with 400 for settings that the source does not have.
    pub async fn change_settings(&self, settings: &Value) -> Result<(), ControlError> {
        self.order(Method::PUT, "/settings", settings).await
    }

    /// Makes all access tokens invalid.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn revoke_tokens(&self) -> Result<(), ControlError> {
        self.order(Method::DELETE, "/tokens", json!({})).await
    }

    /// All webhooks with their status, newest first, also those that the API hides.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn webhooks(&self) -> Result<Vec<WebhookStatus>, ControlError> {
        self.read(Method::GET, "/webhooks", json!({})).await
    }

    /// Registers a webhook of somebody else.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn add_webhook(
        &self,
        foreign: &ForeignWebhook,
    ) -> Result<WebhookStatus, ControlError> {
        self.read(Method::POST, "/webhooks", foreign).await
    }

    /// Changes a webhook behind the API's back.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn change_webhook(
        &self,
        id: &str,
        change: &WebhookChange,
    ) -> Result<WebhookStatus, ControlError> {
        let path = format!("/webhooks/{id}");
        self.read(Method::PATCH, &path, change).await
    }

    /// Deletes a webhook without a trace.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn remove_webhook(&self, id: &str) -> Result<(), ControlError> {
        let path = format!("/webhooks/{id}");
        self.order(Method::DELETE, &path, json!({})).await
    }

    /// Has events sent to every enabled webhook that subscribes to them; one report per webhook.
    ///
    /// # Errors
    /// [`ControlError`]; a receiver's failure is in the report, not an error.
    pub async fn deliver(&self, deliver: &Deliver) -> Result<Vec<RunReport>, ControlError> {
        self.read(Method::POST, "/deliver", deliver).await
    }

    /// Every sending so far, also those under way.
    ///
    /// # Errors
    /// [`ControlError`]
    pub async fn deliveries(&self) -> Result<Vec<RunReport>, ControlError> {
        self.read(Method::GET, "/deliveries", json!({})).await
    }
}
