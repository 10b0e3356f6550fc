//! A simulator that plays a source, with one site.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use simulator::control::{Deliver, NewSite, RawBody, WebhookStatus};
use simulator::{Control, EventText, RetryPolicy, RunReport, Simulator, SiteControl, Source};

pub(crate) struct Play {
    simulator: Simulator,
    client: Client,
    pub(crate) site: SiteControl,
    headers: Vec<(&'static str, String)>,
}

/// The answer's status and its body, null where that is no JSON.
pub(crate) type Answer = (u16, Value);

impl Play {
    /// The site is `site-1` with the secret `secret-1`.
    pub(crate) async fn new(source: Source, settings: Value) -> Self {
        Self::with_secret(source, settings, "secret-1").await
    }

    pub(crate) async fn with_secret(source: Source, settings: Value, secret: &str) -> Self {
        let simulator = Simulator::start_as(source, 0).await.unwrap();
        let new = NewSite {
            client_id: Some("site-1".to_owned()),
            client_secret: Some(secret.to_owned()),
            settings,
            ..NewSite::default()
        };
        let made = simulator.create_site(new).unwrap();
        let control = Control::new(&simulator.url()).unwrap();
        Self {
            site: control.site(&made.client_id),
            simulator,
            client: Client::builder().no_proxy().build().unwrap(),
            headers: Vec::new(),
        }
    }

    /// The same with headers on every request.
    pub(crate) fn with_headers(mut self, headers: &[(&'static str, &str)]) -> Self {
        let owned = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        self.headers = headers.iter().map(owned).collect();
        self
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let answer = self.send(method, path, body).await;
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, NONE).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> reqwest::Response {
        let url = format!("{}{path}", self.simulator.url());
        let mut request = self.client.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Sends events, given as text, with waits of milliseconds.
    pub(crate) async fn deliver(&self, events: &[&str]) -> Vec<RunReport> {
        let events = events.iter().map(|text| EventText::parse(*text).unwrap());
        let events: Vec<EventText> = events.collect();
        self.run(Deliver::events(&events)).await
    }

    /// Sends one body as it is.
    pub(crate) async fn deliver_raw(&self, text: &str) -> Vec<RunReport> {
        let mut deliver = Deliver::default();
        deliver.raw.push(RawBody {
            text: Some(text.to_owned()),
            ..RawBody::default()
        });
        self.run(deliver).await
    }

    pub(crate) async fn run(&self, mut deliver: Deliver) -> Vec<RunReport> {
        deliver.policy = RetryPolicy::quick();
        self.site.deliver(&deliver).await.unwrap()
    }

    pub(crate) async fn webhook(&self) -> WebhookStatus {
        self.site.webhooks().await.unwrap().remove(0)
    }
}

/// `base` with the members of `change`; null removes one.
pub(crate) fn with(base: &Value, change: impl Into<Value>) -> Value {
    let mut changed = base.clone();
    for (name, value) in change.into().as_object().unwrap() {
        let members = changed.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    changed
}

/// No body.
pub(crate) const NONE: Value = Value::Null;

/// Nothing but defaults.
pub(crate) fn defaults() -> Value {
    json!({})
}
