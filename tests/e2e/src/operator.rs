//! An operator with an integration at a site of their own, who calls the admin API.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where its world cannot be made"
)]

use std::fmt;

use http::Method;
use local::aws::Answer;
use serde_json::{Value, json};
use simulator::SiteControl;
use simulator::control::NewSite;

use crate::stack::Stack;
use crate::waiting::until;
use crate::world::{account_name, note_secret, random_text};

/// An operator whose account is not connected yet. No `Debug` of the secret.
pub struct Operator {
    /// The stack that all tests share.
    pub stack: Stack,
    /// Orderspace's side.
    pub site: SiteControl,
    /// The account's name, which is the client id as well.
    pub account: String,
    /// The client secret.
    pub secret: String,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator at a site as it usually is.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn new() -> Self {
        Self::at(NewSite::default()).await
    }

    /// An operator at a site with these settings; the credentials are the operator's own.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn at(settings: NewSite) -> Self {
        let stack = Stack::here().await;
        let (account, secret) = (account_name(), random_text());
        note_secret(&stack, &secret);
        let new = NewSite {
            client_id: Some(account.clone()),
            client_secret: Some(secret.clone()),
            ..settings
        };
        let simulator = stack.simulator();
        let created = simulator.create_site(&new).await;
        created.expect("a site of its own");
        Self {
            site: simulator.site(&account),
            stack,
            account,
            secret,
        }
    }

    /// An operator whose account is connected for all events.
    ///
    /// # Panics
    /// It cannot be connected.
    pub async fn connected() -> Self {
        let operator = Self::new().await;
        operator
            .put_until_done(&operator.desired(&json!(["*"])))
            .await;
        operator
    }

    /// What is asked for to connect the account.
    #[must_use]
    pub fn desired(&self, events: &Value) -> Value {
        json!({
            "source": "orderspace", "client_id": self.account, "client_secret": self.secret, "events": events,
        })
    }

    /// Connects once.
    pub async fn put(&self, desired: &Value) -> Answer {
        self.call(Method::PUT, Some(desired)).await
    }

    /// Calls about the account.
    pub async fn call(&self, method: Method, body: Option<&Value>) -> Answer {
        let path = format!("/accounts/{}", self.account);
        self.stack.admin(method, &path, body).await
    }

    /// Has something done with the account: `check`.
    pub async fn act(&self, action: &str) -> Answer {
        let path = format!("/accounts/{}/{action}", self.account);
        self.stack.admin(Method::POST, &path, None).await
    }

    /// Asks until the desired state is reached, as an operator does who is told to ask again.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn put_until_done(&self, desired: &Value) -> Answer {
        until("the account is connected", async || {
            let answer = self.put(desired).await;
            match answer.status {
                200 => Ok(answer),
                status => Err(format!("{status} {}", answer.body)),
            }
        })
        .await
    }

    /// Asks until it is done, as an operator does who is told to ask again.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn check_until_done(&self) -> Answer {
        until("the account is checked", async || {
            let answer = self.act("check").await;
            match answer.status {
                200 => Ok(answer),
                status => Err(format!("{status} {}", answer.body)),
            }
        })
        .await
    }
}
