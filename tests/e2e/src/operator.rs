//! An operator with an integration at a site of their own, who calls the admin API.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its world cannot be made"
)]

use std::fmt;

use domain::source::Source;
use http::Method;
use local::aws::Answer;
use local::connecting::desired;
use serde_json::Value;
use simulator::SiteControl;
use simulator::control::NewSite;

use crate::stack::Stack;
use crate::team::TeamQueue;
use crate::world::{account_name, note_secret, random_digits};

/// An operator with an account of a source that is not connected yet. No `Debug` of the secret.
pub struct Operator {
    /// The stack that all tests share.
    pub stack: Stack,
    /// The source.
    pub source: Source,
    /// The source's side.
    pub site: SiteControl,
    /// The account's name, which is the client id and the name of the site as well.
    pub account: String,
    /// The client secret.
    pub secret: String,
    /// What the team gets of this account.
    pub team: TeamQueue,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("source", &self.source)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator at a site of Orderspace as it usually is.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn new() -> Self {
        Self::at(Source::Orderspace, NewSite::default()).await
    }

    /// An operator at a site of a source's simulator with these settings; the credentials are the operator's own.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn at(source: Source, site: NewSite) -> Self {
        let stack = Stack::here().await;
        let (account, secret) = (account_name(), random_digits::<20>());
        note_secret(&stack, &secret);
        let new = NewSite {
            client_id: Some(account.clone()),
            client_secret: Some(secret.clone()),
            ..site
        };
        let simulator = stack.simulator_of(source);
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

    /// The same where only the source's own settings are others.
    ///
    /// # Panics
    /// The site cannot be made.
    pub async fn with_settings(source: Source, settings: Value) -> Self {
        let site = NewSite {
            settings,
            ..NewSite::default()
        };
        Self::at(source, site).await
    }

    /// An operator whose account is connected for all events.
    ///
    /// # Panics
    /// It cannot be connected.
    pub async fn connected() -> Self {
        let operator = Self::new().await;
        operator.put_until_done(&operator.desired(&["*"])).await;
        operator
    }

    /// What is asked for to connect the account.
    #[must_use]
    pub fn desired(&self, events: &[&str]) -> Value {
        desired(self.source, &self.account, &self.secret, events)
    }

    /// Connects once.
    pub async fn put(&self, desired: &Value) -> Answer {
        self.call(Method::PUT, "", Some(desired)).await
    }

    /// Asks until the desired state is reached.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn put_until_done(&self, desired: &Value) -> Answer {
        self.done(Method::PUT, "", Some(desired)).await
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
        self.stack.done(&self.account, method, path, body).await
    }

    /// Has something done with the account, such as `check`, until it is done.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn act(&self, action: &str) -> Answer {
        self.done(Method::POST, &format!("/{action}"), None).await
    }
}
