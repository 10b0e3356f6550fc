//! Ordermentum's API, as far as subscriptions need it: webhooks, and the older way to an access token.
//!
//! | unknown | what is done |
//! |---|---|
//! | whether `/v1/webhooks` takes `x-api-key` | it is sent; where it is refused and user and password are kept, an access token is got for them |
//! | the status and form of the answer to a registration | any 2xx with an id, at the top or under `data`; else the webhook is looked for in the list |
//! | whether a list shows `url` | a webhook of ours is also known by its name |
//! | whether a change may leave members out | all are sent. Where `url` is not shown, nobody knows it any more: there is no call to change such a webhook, and another takes its place |
//! | whether a deleted webhook stays in the list | one with `deletedAt` is gone |
//!
//! What other answers become: [`answers`].
//!
//! <https://docs.ordermentum.io/docs/registering-webhooks-for-order-events-1> ·
//! <https://docs.ordermentum.io/docs/getting-started-with-ordermentum-api-authentication-and-first-steps> ·
//! <https://github.com/ordermentum/docs>

use std::collections::BTreeSet;

use domain::account::WebhookId;
use domain::signature::{LiveSecrets, Place, SharedSecret};
use domain::subscription::{
    Access, AccessToken, Api, ApiCall, ApiError, Caller, Condition, Credentials, Endpoint,
    EventSelection, NewWebhook, OurSecret, RegisteredWebhook, Removed, WebhookChange,
    basic_credentials,
};
use domain::timestamp::Timestamp;
use domain::uri;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};

use super::hook::KEY_HEADER;
use crate::answers::{self, SECRET, credential, newest_first};
use crate::http::{Answer, HttpClient, bad_answer};

/// How long an access token is good for, in seconds: a day, where the answer does not say.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;
/// The webhooks on a page that are asked for. A source that gives fewer is asked for more pages.
const PAGE_SIZE: usize = 100;
/// The most pages of a list that are read.
const MOST_PAGES: usize = 100;
/// Where a webhook or a list may stand in an answer.
const WRAPPED: [&str; 1] = ["data"];
const LOGIN: &str = "POST /v1/auth";
const LIST: &str = "GET /v1/webhooks";
const CREATE: &str = "POST /v1/webhooks";
const UPDATE: &str = "PUT /v1/webhooks/{id}";
const DELETE: &str = "DELETE /v1/webhooks/{id}";

/// Where Ordermentum is, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdermentumUrls {
    /// The API; `/v1/webhooks` follows.
    pub api: String,
    /// Where access tokens are given out; `/v1/auth` follows.
    pub login: String,
}

impl Default for OrdermentumUrls {
    fn default() -> Self {
        Self {
            api: "https://api.ordermentum.com".to_owned(),
            login: "https://app.ordermentum.com".to_owned(),
        }
    }
}

/// Ordermentum's API.
#[derive(Debug, Clone)]
pub struct Ordermentum {
    client: HttpClient,
    urls: OrdermentumUrls,
}

impl Ordermentum {
    /// Calls this client's source at these addresses. Nothing is sent yet.
    #[must_use]
    pub fn new(client: HttpClient, urls: OrdermentumUrls) -> Self {
        Self { client, urls }
    }

    /// A request with an access token where there is one, else with the API key: one that refuses a key beside a token
    /// would refuse both.
    fn request(
        &self,
        method: Method,
        caller: &Caller,
        path: &str,
    ) -> Result<RequestBuilder, ApiError> {
        let url = format!("{}/v1/webhooks{path}", self.urls.api);
        let request = self.client.request(method, &url)?;
        Ok(match caller.token.expose() {
            "" => request.header("x-api-key", credential(&caller.credentials, "api_key")),
            token => request.bearer_auth(token),
        })
    }

    async fn page(&self, caller: &Caller, number: usize, size: usize) -> Result<Answer, ApiError> {
        let supplier = uri::query_value(credential(&caller.credentials, "supplier_id"));
        let query = format!("?pageNo={number}&pageSize={size}&supplierId={supplier}");
        let request = self.request(Method::GET, caller, &query)?;
        self.client.send(LIST, request).await
    }

    async fn all(&self, caller: &Caller) -> Result<Vec<RegisteredWebhook>, ApiError> {
        let mut webhooks = Vec::new();
        let mut known = BTreeSet::new();
        for number in 1..=MOST_PAGES {
            let answer = self.page(caller, number, PAGE_SIZE).await?;
            let body = answers::success(&answer)?;
            let has_more = has_more(&body, number);
            let entries = answers::entries(body, &WRAPPED);
            let entries = entries.ok_or_else(|| answer.bad_answer("no list of webhooks"))?;
            let has_any = !entries.is_empty();
            let (mut has_id, mut is_new) = (false, false);
            for entry in entries.iter().filter_map(Value::as_object) {
                let Some(id) = answers::id(entry) else {
                    if is_ours(entry) {
                        return Err(answer.bad_answer("a webhook of ours without an id"));
                    }
                    continue;
                };
                has_id = true;
                if !known.insert(id.clone()) {
                    continue;
                }
                is_new = true;
                if answers::text(entry, "deletedAt").is_none() {
                    webhooks.push((created_at(entry), shown(id, entry)));
                }
            }
            if !is_new && (has_id || (has_any && has_more)) {
                return Err(answer.bad_answer("the same page again"));
            }
            if !has_more || !has_any {
                return Ok(newest_first(webhooks));
            }
        }
        Err(bad_answer(LIST, format!("more than {MOST_PAGES} pages")))
    }

    /// The webhook in the answer to a registration or a change; or the one in the list that was registered so.
    async fn found(
        &self,
        caller: &Caller,
        answer: &Answer,
        body: &Value,
        asked: Asked<'_>,
    ) -> Result<RegisteredWebhook, ApiError> {
        let object = answers::webhook(body, &WRAPPED);
        if let Some((id, object)) = object.and_then(|object| Some((answers::id(object)?, object))) {
            let webhook = shown(id, object);
            let is_listed = object.contains_key("events");
            return Ok(RegisteredWebhook {
                // What the answer leaves out is as it was asked for; the next list shows whether it is.
                events: match is_listed {
                    true => webhook.events,
                    false => asked.events.names().to_vec(),
                },
                label: webhook.label.or_else(|| Some(asked.label.to_owned())),
                ..webhook
            });
        }
        let is_it = |webhook: &RegisteredWebhook| match &webhook.endpoint {
            Some(endpoint) => endpoint.expose() == asked.endpoint.expose(),
            None => webhook.label.as_deref() == Some(asked.label),
        };
        let mut listed = self.all(caller).await?.into_iter();
        let found = listed.find(is_it);
        found.ok_or_else(|| answer.bad_answer("no id, and the webhook is not in the list"))
    }

    async fn login(&self, user: &str, password: &str, now: Timestamp) -> Result<Access, ApiError> {
        let url = format!("{}/v1/auth", self.urls.login);
        let form = json!({ "username": user, "password": password });
        let request = self.client.request(Method::POST, &url)?.json(&form);
        let answer = self.client.send(LOGIN, request).await?;
        if !answer.status.is_success() {
            return Err(answers::login_failure(&answer));
        }
        let granted = answers::success(&answer)?;
        let at = |name| granted.get(name)?.as_str().filter(|text| !text.is_empty());
        // `token` is what older answers call it.
        let token = at("access_token").or_else(|| at("token"));
        let token = token.ok_or_else(|| answer.bad_answer("no access token"))?;
        let seconds = granted.get("expires_in").and_then(Value::as_u64);
        Ok(Access {
            token: AccessToken::new(token),
            expires: now.plus_seconds(seconds.unwrap_or(TOKEN_SECONDS)),
        })
    }
}

/// What was asked of a registration.
#[derive(Clone, Copy)]
struct Asked<'a> {
    endpoint: &'a Endpoint,
    label: &'a str,
    events: &'a EventSelection,
    secrets: &'a LiveSecrets,
}

impl Asked<'_> {
    /// The body of a registration and of a change; `None` where there is nothing to prove deliveries with.
    fn body(&self, credentials: &Credentials) -> Option<Value> {
        let mut shared = self.secrets.shared.iter();
        let header = shared
            .clone()
            .find(|secret| secret.place() == Place::Header);
        let basic = shared.find_map(basic_credentials);
        if header.is_none() && basic.is_none() {
            return None;
        }
        let mut body = json!({
            "url": self.endpoint.expose(),
            "name": self.label,
            "events": self.events.names(),
            "entityId": credential(credentials, "supplier_id"),
            "entityType": "supplier",
        });
        let members = body.as_object_mut()?;
        if let Some((user, password)) = basic {
            let basic = json!({ "basicAuth": { "username": user, "password": password } });
            members.insert("authentication".to_owned(), basic);
        }
        if let Some(header) = header {
            members.insert("headers".to_owned(), json!({ KEY_HEADER: header.expose() }));
        }
        Some(body)
    }

    /// Takes what is secret out of Ordermentum's words.
    fn without(&self, error: ApiError) -> ApiError {
        let shared = &self.secrets.shared;
        let passwords: Vec<_> = shared.iter().filter_map(basic_credentials).collect();
        let passwords = passwords.iter().map(|(_, password)| password.as_str());
        let secrets = shared.iter().map(SharedSecret::expose);
        let secrets = secrets.chain(passwords).map(|secret| (secret, SECRET));
        answers::without(error, Some(self.endpoint), secrets)
    }
}

/// Whether more pages follow this one: by the number of pages, else by the link to the next. A list that has neither is
/// whole.
fn has_more(body: &Value, number: usize) -> bool {
    let pages = match body.pointer("/meta/totalPages") {
        Some(Value::Number(pages)) => pages.as_u64(),
        Some(Value::String(pages)) => pages.parse().ok(),
        _ => None,
    };
    match pages {
        Some(pages) => u64::try_from(number).is_ok_and(|number| number < pages),
        None => {
            let next = body.pointer("/links/next");
            next.and_then(Value::as_str)
                .is_some_and(|next| !next.is_empty())
        }
    }
}

/// Whether an entry of a list can only be ours.
fn is_ours(entry: &Map<String, Value>) -> bool {
    let url = answers::text(entry, "url").map(Endpoint::new);
    let is_labelled =
        answers::text(entry, "name").is_some_and(|name| name.starts_with("orderhook/"));
    is_labelled || url.is_some_and(|url| url.token().is_some())
}

/// When a webhook was created, as text: RFC 3339 in UTC is ordered as text is.
fn created_at(entry: &Map<String, Value>) -> Option<String> {
    answers::text(entry, "createdAt").map(str::to_owned)
}

fn shown(id: WebhookId, entry: &Map<String, Value>) -> RegisteredWebhook {
    RegisteredWebhook {
        id,
        endpoint: answers::text(entry, "url").map(Endpoint::new),
        events: answers::texts(entry, "events").unwrap_or_default(),
        key: None,
        label: answers::text(entry, "name").map(str::to_owned),
        // That a webhook is disabled is not shown.
        condition: Condition::Active,
    }
}

impl Api for Ordermentum {
    fn secrets(&self) -> &'static [OurSecret] {
        &[OurSecret::Basic, OurSecret::Header]
    }

    /// Whether two webhooks may be registered for one event is not known.
    fn moves(&self) -> bool {
        true
    }

    /// Asks for a page of the list, since the API gives out nothing for a key.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access> {
        Box::pin(async move {
            let caller = Caller {
                credentials: credentials.clone(),
                token: AccessToken::none(),
            };
            let answer = self.page(&caller, 1, 1).await?;
            if answer.status.is_success() {
                answers::success(&answer)?;
                return Ok(Access::by_credentials());
            }
            let login = credentials.get("username").zip(credentials.get("password"));
            match (answers::login_failure(&answer), login) {
                (ApiError::CredentialsRefused, Some((user, password)))
                    if answer.status == StatusCode::UNAUTHORIZED =>
                {
                    self.login(user, password, now).await
                }
                (ApiError::CredentialsRefused, _) if answer.status == StatusCode::FORBIDDEN => {
                    Err(ApiError::PermissionMissing)
                }
                (error, _) => Err(error),
            }
        })
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        Box::pin(async move {
            let listed = self.all(caller).await;
            listed.map_err(|error| match error {
                ApiError::NoSuchWebhook => bad_answer(LIST, "status 404".to_owned()),
                other => other,
            })
        })
    }

    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        let asked = Asked {
            endpoint: new.endpoint,
            label: new.label,
            events: new.events,
            secrets: new.secrets,
        };
        Box::pin(async move {
            let body = asked.body(&caller.credentials);
            let body = body.ok_or(ApiError::NoSuchCall("register a webhook without a secret"))?;
            let request = self.request(Method::POST, caller, "")?.json(&body);
            let answer = self.client.send(CREATE, request).await?;
            let body = answers::success(&answer).map_err(|error| match error {
                ApiError::NoSuchWebhook => answer.bad_answer("nothing that can be understood"),
                other => asked.without(other),
            })?;
            self.found(caller, &answer, &body, asked).await
        })
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
        change: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let none = ApiError::NoSuchCall("change a webhook whose address it does not show");
            let asked = Asked {
                endpoint: change.endpoint.ok_or(none)?,
                label: change.label,
                events: change.events,
                secrets: change.secrets,
            };
            let body = asked.body(&caller.credentials);
            let none = ApiError::NoSuchCall("change a webhook whose secrets are lost");
            let body = body.ok_or(none)?;
            let path = answers::segment(webhook, UPDATE)?;
            let request = self.request(Method::PUT, caller, &path)?.json(&body);
            let answer = self.client.send(UPDATE, request).await?;
            let body = answers::success(&answer).map_err(|error| asked.without(error))?;
            self.found(caller, &answer, &body, asked).await
        })
    }

    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        Box::pin(async move {
            let path = answers::segment(webhook, DELETE)?;
            let request = self.request(Method::DELETE, caller, &path)?;
            let answer = self.client.send(DELETE, request).await?;
            match answers::success(&answer) {
                Ok(_) => Ok(Removed::Now),
                Err(ApiError::NoSuchWebhook) => Ok(Removed::Before),
                Err(error) => Err(error),
            }
        })
    }

    /// Nothing shows that a webhook is disabled, and no call to enable one is documented.
    fn enable<'a>(&'a self, _: &'a Caller, _: &'a WebhookId) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async { Err(ApiError::NoSuchCall("enable a webhook")) })
    }
}
