//! A typed client of the proxy's control API.

use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::calls::Call;
use super::rules::{ActiveRule, Rule};

/// Why the proxy did not do what it was told: no answer, a refusal, or an answer that cannot be read.
pub type ProxyError = reqwest::Error;

/// The control API of one proxy.
#[derive(Debug, Clone)]
pub struct ProxyControl {
    client: reqwest::Client,
    base: String,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
}

impl ProxyControl {
    /// For the proxy at `url`, as its ready line or [`super::Proxy::url`] gives it.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base: format!("{}/_proxy", url.trim_end_matches('/')),
        })
    }

    async fn order(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<reqwest::Response, ProxyError> {
        self.client
            .request(method, format!("{}{path}", self.base))
            .json(body)
            .send()
            .await?
            .error_for_status()
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ProxyError> {
        self.order(method, path, body).await?.json().await
    }

    /// Adds a rule and returns its number.
    ///
    /// # Errors
    /// [`ProxyError`]
    pub async fn add_rule(&self, rule: &Rule) -> Result<u64, ProxyError> {
        let added: Added = self.ask(Method::POST, "/rules", rule).await?;
        Ok(added.id)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`ProxyError`], also when there is no such rule.
    pub async fn remove_rule(&self, id: u64) -> Result<(), ProxyError> {
        let path = format!("/rules/{id}");
        self.order(Method::DELETE, &path, &json!({}))
            .await
            .map(drop)
    }

    /// The rules in force.
    ///
    /// # Errors
    /// [`ProxyError`]
    pub async fn rules(&self) -> Result<Vec<ActiveRule>, ProxyError> {
        self.ask(Method::GET, "/rules", &json!({})).await
    }

    /// Notes calls that hold a marker from now on.
    ///
    /// # Errors
    /// [`ProxyError`]
    pub async fn watch(&self, marker: &str) -> Result<(), ProxyError> {
        let body = json!({ "marker": marker });
        self.order(Method::POST, "/watches", &body).await.map(drop)
    }

    /// Forgets the calls that hold a marker, and notes no more.
    ///
    /// # Errors
    /// [`ProxyError`]
    pub async fn forget(&self, marker: &str) -> Result<(), ProxyError> {
        let body = json!({ "marker": marker });
        self.order(Method::DELETE, "/watches", &body)
            .await
            .map(drop)
    }

    /// The calls noted for a marker, in the order in which they began.
    ///
    /// # Errors
    /// [`ProxyError`], also when the marker is not watched.
    pub async fn calls(&self, marker: &str) -> Result<Vec<Call>, ProxyError> {
        let body = json!({ "marker": marker });
        self.ask(Method::POST, "/calls", &body).await
    }
}
