//! Apideck's API, as far as subscriptions need it: webhooks, each of one unified API.
//!
//! | answer | becomes |
//! |---|---|
//! | 401 in the API's words | [`ApiError::AccessRefused`]; to the first question, [`ApiError::CredentialsRefused`] |
//! | 403 in the API's words | [`ApiError::PermissionMissing`] |
//! | 404 in the API's words | [`ApiError::NoSuchWebhook`]; to a deletion, there was none; to a list, [`ApiError::BadAnswer`] |
//! | 402, 400 or 422 in the API's words | [`ApiError::Invalid`], in those words; 402 is a plan that is used up |
//! | 429 | [`ApiError::TooManyRequests`] |
//! | 5xx | [`ApiError::Down`] |
//! | a page or anything else | [`ApiError::BadAnswer`] |
//!
//! While a webhook is created, Apideck calls its URL, and creates it disabled where that call is not answered with success.
//! Such a webhook is removed at once, since only another URL is validated again: the next check creates one.
//!
//! | `disabled_reason` | what helps |
//! |---|---|
//! | `retry_limit` | enabling it |
//! | `delivery_url_validation_failed` | another webhook, whose URL is another |
//! | `usage_limit` | a person: the plan is used up |
//! | `none`, or one that is not known | a person, who may have disabled it |
//!
//! <https://github.com/apideck-libraries/openapi-specs> (`webhook.yml`)

use domain::account::WebhookId;
use domain::subscription::{
    Access, Api, ApiCall, ApiError, Caller, Condition, Credentials, Endpoint, NewWebhook,
    RegisteredWebhook, Remedy, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode, Url};

use super::wire::{self, Change, Failed, Listed, New, Shown, Wrapped};
use crate::answers::{self, newest_first, segment};
use crate::http::{Answer, HttpClient, bad_answer};

/// The unified API that webhooks are registered for whose part has no name. The others are named as their unified API.
const UNIFIED_API: &str = "ecommerce";
/// The most pages of a list that are read.
const MOST_PAGES: usize = 100;
/// The most webhooks that a page has.
const PAGE: &str = "200";
/// The longest reason of Apideck's that is passed on, in characters.
const LONGEST_REASON: usize = 60;
const LIST: &str = "GET /webhook/webhooks";
const CREATE: &str = "POST /webhook/webhooks";
const UPDATE: &str = "PATCH /webhook/webhooks/{id}";
const DELETE: &str = "DELETE /webhook/webhooks/{id}";

/// Where Apideck is, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApideckUrls {
    /// The API; `/webhook/webhooks` follows.
    pub api: String,
}

impl Default for ApideckUrls {
    fn default() -> Self {
        Self {
            api: "https://unify.apideck.com".to_owned(),
        }
    }
}

/// Apideck's API.
#[derive(Debug, Clone)]
pub struct Apideck {
    client: HttpClient,
    urls: ApideckUrls,
}

impl Apideck {
    /// Calls this client's source at these addresses. Nothing is sent yet.
    #[must_use]
    pub fn new(client: HttpClient, urls: ApideckUrls) -> Self {
        Self { client, urls }
    }

    fn request(
        &self,
        method: Method,
        credentials: &Credentials,
        path: &str,
    ) -> Result<RequestBuilder, ApiError> {
        let url = format!("{}/webhook/webhooks{path}", self.urls.api);
        let request = self.client.request(method, &url)?;
        let key = credentials.get("api_key").unwrap_or_default();
        let app = credentials.get("app_id").unwrap_or_default();
        Ok(request.bearer_auth(key).header("x-apideck-app-id", app))
    }

    /// A page of the webhooks, from a cursor on.
    async fn page(
        &self,
        credentials: &Credentials,
        limit: &str,
        cursor: Option<&str>,
    ) -> Result<Answer, ApiError> {
        let parameters = [("limit", Some(limit)), ("cursor", cursor)];
        let parameters = parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        // Only for its spelling of a query: a cursor is any text.
        let query = Url::parse_with_params("http://localhost", parameters);
        let query = query.map_err(|_| bad_answer(LIST, "a cursor that fits no URL".to_owned()))?;
        let query = format!("?{}", query.query().unwrap_or_default());
        let request = self.request(Method::GET, credentials, &query)?;
        self.client.send(LIST, request).await
    }

    async fn delete(&self, caller: &Caller, webhook: &WebhookId) -> Result<Removed, ApiError> {
        let path = segment(webhook, DELETE)?;
        let request = self.request(Method::DELETE, &caller.credentials, &path)?;
        let answer = self.client.send(DELETE, request).await?;
        match failure(&answer) {
            _ if answer.status == StatusCode::NO_CONTENT => Ok(Removed::Now),
            _ if answer.status == StatusCode::OK && !answer.is_page() => Ok(Removed::Now),
            ApiError::NoSuchWebhook => Ok(Removed::Before),
            error => Err(censored(error, &caller.credentials, None)),
        }
    }

    async fn change(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        change: &Change<'_>,
    ) -> Result<RegisteredWebhook, ApiError> {
        let path = segment(webhook, UPDATE)?;
        let request = self.request(Method::PATCH, &caller.credentials, &path)?;
        let answer = self.client.send(UPDATE, request.json(change)).await?;
        read(&answer)
    }
}

/// The webhook in an answer to a registration or a change.
fn read(answer: &Answer) -> Result<RegisteredWebhook, ApiError> {
    let wrapped: Wrapped = answer.success(failure)?;
    let shown: Option<Shown<'_>> = wire::read(&wrapped.data);
    let webhook = shown.as_ref().and_then(registered);
    webhook.ok_or_else(|| answer.bad_answer("a webhook without an id"))
}

/// A webhook as Apideck shows it; `None` without an id.
fn registered(shown: &Shown<'_>) -> Option<RegisteredWebhook> {
    Some(RegisteredWebhook {
        id: shown.id()?,
        endpoint: shown.endpoint(),
        events: shown.events(),
        // It is the API key, and is not shown.
        key: None,
        label: shown.description(),
        condition: match shown.status().as_deref() {
            Some("disabled") => disabled(shown.disabled_reason()),
            _ => Condition::Active,
        },
    })
}

fn disabled(reason: Option<String>) -> Condition {
    let (remedy, reason) = match reason.as_deref() {
        Some("retry_limit") => (Remedy::Enable, reason),
        Some(VALIDATION_FAILED) => (Remedy::Replace, reason),
        Some("usage_limit") => (
            Remedy::Person,
            Some("usage_limit: the plan is used up".to_owned()),
        ),
        Some("none") => (
            Remedy::Person,
            Some("no reason is given, so a person did it".to_owned()),
        ),
        _ => (
            Remedy::Person,
            reason.map(|reason| reason.chars().take(LONGEST_REASON).collect()),
        ),
    };
    Condition::Disabled { reason, remedy }
}

const VALIDATION_FAILED: &str = "delivery_url_validation_failed";

/// Whether the webhook is of no use, because Apideck's call to its URL was not answered with success.
fn is_unvalidated(webhook: &RegisteredWebhook) -> bool {
    let replaceable = |remedy: Remedy| remedy == Remedy::Replace;
    matches!(&webhook.condition, Condition::Disabled { remedy, .. } if replaceable(*remedy))
}

/// What an answer that is no success says.
fn failure(answer: &Answer) -> ApiError {
    let status = answer.status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return ApiError::TooManyRequests {
            pause: answer.pause,
        };
    }
    if status.is_server_error() {
        return ApiError::Down(status.as_u16());
    }
    // A proxy's page must not make anybody give a webhook or an account up.
    let failed: Option<Failed> = answer.json();
    let Some(message) = failed.and_then(Failed::message) else {
        return answer.bad_answer("nothing that the API says");
    };
    match status {
        StatusCode::UNAUTHORIZED => ApiError::AccessRefused,
        StatusCode::FORBIDDEN => ApiError::PermissionMissing,
        StatusCode::NOT_FOUND | StatusCode::GONE => ApiError::NoSuchWebhook,
        StatusCode::PAYMENT_REQUIRED => {
            ApiError::Invalid(format!("the plan is used up: {message}"))
        }
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            ApiError::Invalid(message)
        }
        _ => answer.bad_answer("nothing that can be understood"),
    }
}

/// The same for an answer to a list, which names no webhook: a 404 is a wrong address.
fn list_failure(answer: &Answer) -> ApiError {
    match failure(answer) {
        ApiError::NoSuchWebhook => answer.bad_answer("no list of webhooks"),
        other => other,
    }
}

impl Api for Apideck {
    /// Apideck gives out no access tokens. A list of one webhook shows whether it takes the credentials.
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        _: Timestamp,
    ) -> ApiCall<'a, Access> {
        Box::pin(async move {
            let answer = self.page(credentials, "1", None).await?;
            match answer.success::<Listed>(list_failure) {
                Ok(_) => Ok(Access::by_credentials()),
                Err(ApiError::AccessRefused) => Err(ApiError::CredentialsRefused),
                Err(error) => Err(censored(error, credentials, None)),
            }
        })
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        Box::pin(async move {
            let mut webhooks: Vec<(Option<String>, RegisteredWebhook)> = Vec::new();
            let mut cursors: Vec<String> = Vec::new();
            for _ in 0..MOST_PAGES {
                let cursor = cursors.last().map(String::as_str);
                let answer = self.page(&caller.credentials, PAGE, cursor).await?;
                let listed: Listed = answer
                    .success(list_failure)
                    .map_err(|error| censored(error, &caller.credentials, None))?;
                for entry in listed.entries() {
                    // Others' webhooks may have any form. One that can only be ours must not count as missing.
                    let Some(shown) = wire::read::<Shown<'_>>(entry) else {
                        continue;
                    };
                    match registered(&shown) {
                        Some(webhook) => webhooks.push((shown.created_at(), webhook)),
                        None if shown.endpoint().is_some_and(|url| url.token().is_some()) => {
                            return Err(answer.bad_answer("a webhook of ours without an id"));
                        }
                        None => {}
                    }
                }
                match listed.next() {
                    None => return Ok(newest_first(webhooks)),
                    Some(next) if cursors.contains(&next) => {
                        return Err(answer.bad_answer("the same page again"));
                    }
                    Some(next) => cursors.push(next),
                }
            }
            Err(bad_answer(LIST, format!("more than {MOST_PAGES} pages")))
        })
    }

    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let request = self.request(Method::POST, &caller.credentials, "")?;
            let request = request.json(&New {
                delivery_url: new.endpoint.expose(),
                status: "enabled",
                events: new.events.names(),
                unified_api: match new.part {
                    "" => UNIFIED_API,
                    part => part,
                },
                description: new.label,
            });
            let answer = self.client.send(CREATE, request).await?;
            let webhook = read(&answer)
                .map_err(|error| censored(error, &caller.credentials, Some(new.endpoint)))?;
            if !is_unvalidated(&webhook) {
                return Ok(webhook);
            }
            // Should it stay, the list shows it, and another is made in its place.
            let removed = match self.delete(caller, &webhook.id).await {
                Ok(_) => "was removed",
                Err(_) => "is still there",
            };
            Err(ApiError::Invalid(format!(
                "its call to the webhook's URL, by which it validates it, was not answered with success, so webhook {} \
                 was created disabled and {removed}; see that the URL of the receiving API can be reached from the \
                 internet",
                webhook.id
            )))
        })
    }

    /// The status is left as it is: a person may have disabled the webhook.
    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
        change: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let wanted = Change {
                delivery_url: change.endpoint.map(Endpoint::expose),
                events: Some(change.events.names()),
                description: Some(change.label),
                status: None,
            };
            let changed = self.change(caller, webhook, &wanted).await;
            changed.map_err(|error| censored(error, &caller.credentials, change.endpoint))
        })
    }

    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        Box::pin(self.delete(caller, webhook))
    }

    fn enable<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let enabled = self.change(caller, webhook, &Change::ENABLE).await;
            let enabled = enabled.map_err(|error| censored(error, &caller.credentials, None))?;
            match &enabled.condition {
                Condition::Active | Condition::Paused => Ok(enabled),
                // Else every check would say that it is enabled again.
                Condition::Disabled { .. } => Err(ApiError::Invalid(format!(
                    "webhook {webhook} stays disabled although it was asked to enable it"
                ))),
            }
        })
    }
}

/// Takes the API key and the endpoint, whose end is secret, out of Apideck's words.
fn censored(error: ApiError, credentials: &Credentials, endpoint: Option<&Endpoint>) -> ApiError {
    let key = answers::credential(credentials, "api_key");
    answers::without(error, endpoint, [(key, "[the API key]")])
}
