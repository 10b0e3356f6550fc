//! OneStock's API, as far as subscriptions need it: logins and webhooks, at the address that a caller gives.
//!
//! Registering a webhook and setting its status are documented. Whether a site can list and remove is probed by asking.
//!
//! | unknown | what is done |
//! |---|---|
//! | where an answer to a registration has the id | at the top, under `webhook` or `data`, else the last part of `Location`; else it is looked for in the list; else it has no id here ([`UNNAMED`]), and only a person can stop it |
//! | listing | a 404, 405 or 501 is "this site cannot" |
//! | removing | the same; then the webhook is paused |
//! | changing topics or a key | there is no call: another webhook takes over |
//! | where webhooks are | at `{api_url}/webhooks`: a caller gives the address with `/v2` where the site has it. A login is below `/v2` at any |
//!
//! What other answers become: [`answers`].
//!
//! <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/> ·
//! <https://github.com/OneStock-Retail/onestock-magento-connector>

use domain::account::WebhookId;
use domain::subscription::{
    Access, AccessToken, Api, ApiCall, ApiError, ApiUrl, Caller, Condition, Credentials, Endpoint,
    NewWebhook, OurSecret, RegisteredWebhook, Remedy, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::answers::{self, SECRET, credential};
use crate::http::{Answer, HttpClient};

/// How long an access token is used, in seconds: a day, as the vendor's connector does.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;
/// What our name for a webhook begins with whose id OneStock did not say. The first digits of its token's hash follow.
const UNNAMED: &str = "unnamed-";
/// Where a webhook may stand in an answer.
const WRAPPED: [&str; 2] = ["webhook", "data"];
/// Where a list may stand in an answer.
const LISTED: [&str; 2] = ["webhooks", "data"];
const LOGIN: &str = "POST /v2/login";
const LIST: &str = "GET /webhooks";
const CREATE: &str = "POST /webhooks";
const STATUS: &str = "PATCH /webhooks/{id}/status";
const DELETE: &str = "DELETE /webhooks/{id}";

/// OneStock's API.
#[derive(Debug, Clone)]
pub struct OneStock {
    client: HttpClient,
    /// What stands in for every address that a caller gives.
    stand_in: Option<String>,
}

impl OneStock {
    /// Calls this client's source at the address in the credentials, or at the one that stands in for it: on a local stack.
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(client: HttpClient, stand_in: Option<String>) -> Self {
        Self { client, stand_in }
    }

    /// The address of a site. It is looked at again, since what was stored is called in this function's name.
    fn address(&self, credentials: &Credentials) -> Result<String, ApiError> {
        if let Some(url) = &self.stand_in {
            return Ok(url.clone());
        }
        let url = credential(credentials, "api_url").parse::<ApiUrl>();
        let refused = |_| ApiError::Invalid("api_url is no address that may be called".to_owned());
        url.map(|url| url.as_str().to_owned()).map_err(refused)
    }

    /// Sends a call. Who calls stands in the body, that of a GET too.
    async fn call(
        &self,
        call: &'static str,
        method: Method,
        caller: &Caller,
        path: &str,
        more: Value,
    ) -> Result<Answer, ApiError> {
        let url = format!("{}/webhooks{path}", self.address(&caller.credentials)?);
        let mut body = json!({
            "site_id": credential(&caller.credentials, "site_id"),
            "token": caller.token.expose(),
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let request = self.client.request(method, &url)?.json(&body);
        self.client.send(call, request).await
    }

    async fn all(&self, caller: &Caller) -> Result<Vec<RegisteredWebhook>, ApiError> {
        let answer = self
            .call(LIST, Method::GET, caller, "", Value::Null)
            .await?;
        if cannot(&answer) {
            return Err(ApiError::NoSuchCall("list webhooks"));
        }
        let entries = answers::entries(answers::success(&answer)?, &LISTED);
        let entries = entries.ok_or_else(|| answer.bad_answer("no list of webhooks"))?;
        let mut webhooks = Vec::new();
        for entry in &entries {
            let Some(entry) = answers::webhook(entry, &WRAPPED) else {
                continue;
            };
            match answers::id(entry) {
                Some(id) => webhooks.push(shown(id, entry)),
                None if is_ours(entry) => {
                    return Err(answer.bad_answer("a webhook of ours without an id"));
                }
                None => {}
            }
        }
        // The order is not documented: it is taken to be that of creation.
        webhooks.reverse();
        Ok(webhooks)
    }

    /// The id of what was registered.
    async fn id_of(
        &self,
        caller: &Caller,
        answer: &Answer,
        body: &Value,
        endpoint: &Endpoint,
    ) -> Result<WebhookId, ApiError> {
        let said = answers::webhook(body, &WRAPPED).and_then(answers::id);
        if let Some(id) = said.or_else(|| last_part(answer)) {
            return Ok(id);
        }
        let is_it = |webhook: &RegisteredWebhook| {
            let shown = webhook.endpoint.as_ref().map(Endpoint::expose);
            shown == Some(endpoint.expose())
        };
        // It is registered, and would be once more if this call ended with an error: a name of ours does instead.
        let listed = self.all(caller).await.unwrap_or_default();
        let listed = listed.into_iter().find(is_it).map(|webhook| webhook.id);
        let token = endpoint.token().map(|token| token.hash().label());
        let unnamed = token.map(|token| WebhookId::new(format!("{UNNAMED}{token}")));
        let id = listed.or(unnamed);
        id.ok_or_else(|| answer.bad_answer("a webhook without an id"))
    }

    async fn set_status(
        &self,
        caller: &Caller,
        webhook: &WebhookId,
        status: &str,
    ) -> Result<(), ApiError> {
        let path = format!("{}/status", answers::segment(webhook, STATUS)?);
        let more = json!({ "status": status });
        let answer = self
            .call(STATUS, Method::PATCH, caller, &path, more)
            .await?;
        answers::success(&answer).map(drop)
    }
}

/// Whether an answer says that the site has no such call.
fn cannot(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// The last part of `Location`, if it is a plain word.
fn last_part(answer: &Answer) -> Option<WebhookId> {
    let path = answer.location.as_deref()?.split(['?', '#']).next()?;
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    let id = WebhookId::new(last);
    // Of a `Location` that is the list's address, the last part is no id.
    let is_id = last != "webhooks" && answers::segment(&id, CREATE).is_ok();
    is_id.then_some(id)
}

fn is_ours(entry: &Map<String, Value>) -> bool {
    let url = answers::text(entry, "url").map(Endpoint::new);
    url.is_some_and(|url| url.token().is_some())
}

fn shown(id: WebhookId, entry: &Map<String, Value>) -> RegisteredWebhook {
    let status = answers::text(entry, "status").unwrap_or_default();
    RegisteredWebhook {
        id,
        endpoint: answers::text(entry, "url").map(Endpoint::new),
        events: answers::texts(entry, "topics").unwrap_or_default(),
        key: None,
        label: None,
        condition: match status.to_ascii_lowercase().as_str() {
            // By itself it ends by itself; by hand it is somebody's will.
            "paused" => Condition::Paused,
            // After the last retry, and by hand: what a person wants stopped is paused.
            "disabled" => Condition::Disabled {
                reason: None,
                remedy: Remedy::Enable,
            },
            _ => Condition::Active,
        },
    }
}

impl Api for OneStock {
    fn secrets(&self) -> &'static [OurSecret] {
        &[OurSecret::MacKey]
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access> {
        Box::pin(async move {
            let address = self.address(credentials)?;
            let host = address.strip_suffix("/v2").unwrap_or(&address);
            let url = format!("{host}/v2/login");
            let form = json!({
                "site_id": credential(credentials, "site_id"),
                "user_id": credential(credentials, "user_id"),
                "password": credential(credentials, "password"),
            });
            let request = self.client.request(Method::POST, &url)?.json(&form);
            let answer = self.client.send(LOGIN, request).await?;
            if !answer.status.is_success() {
                let error = answers::login_failure(&answer);
                let secret = credential(credentials, "password");
                return Err(answers::without(error, None, [(secret, SECRET)]));
            }
            let granted = answers::success(&answer)?;
            let token = granted.get("token").and_then(Value::as_str);
            let token = token.filter(|token| !token.is_empty());
            let token = token.ok_or_else(|| answer.bad_answer("no access token"))?;
            Ok(Access {
                token: AccessToken::new(token),
                expires: now.plus_seconds(TOKEN_SECONDS),
            })
        })
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        Box::pin(self.all(caller))
    }

    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let key = new.secrets.macs.first();
            let key = key.ok_or(ApiError::NoSuchCall("register a webhook without a key"))?;
            let more = json!({ "webhook": {
                "hash_key": key.expose(),
                "http_method": "POST",
                "status": "enabled",
                "topics": new.events.names(),
                "url": new.endpoint.expose(),
            }});
            let answer = self.call(CREATE, Method::POST, caller, "", more).await?;
            let body = answers::success(&answer).map_err(|error| match error {
                ApiError::NoSuchWebhook => answer.bad_answer(
                    "nothing that can be understood; api_url may lack the /v2 of the site",
                ),
                other => {
                    let secrets =
                        [key.expose(), caller.token.expose()].map(|secret| (secret, SECRET));
                    answers::without(other, Some(new.endpoint), secrets)
                }
            })?;
            Ok(RegisteredWebhook {
                id: self.id_of(caller, &answer, &body, new.endpoint).await?,
                endpoint: Some(new.endpoint.clone()),
                events: new.events.names().to_vec(),
                key: None,
                label: None,
                condition: Condition::Active,
            })
        })
    }

    /// No call to change a webhook is documented.
    fn update<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a WebhookId,
        _: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async { Err(ApiError::NoSuchCall("change a webhook")) })
    }

    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        Box::pin(async move {
            if webhook.as_str().starts_with(UNNAMED) {
                return Err(ApiError::NoSuchCall("remove a webhook without an id"));
            }
            let path = answers::segment(webhook, DELETE)?;
            let answer = self
                .call(DELETE, Method::DELETE, caller, &path, Value::Null)
                .await?;
            if !cannot(&answer) {
                return match answers::success(&answer) {
                    Ok(_) => Ok(Removed::Now),
                    Err(ApiError::NoSuchWebhook) => Ok(Removed::Before),
                    Err(error) => Err(error),
                };
            }
            // A 404 does not say whether the call or the webhook is missing; the answer to a pause does.
            match self.set_status(caller, webhook, "paused").await {
                Ok(()) => Ok(Removed::Stopped),
                Err(ApiError::NoSuchWebhook) => Ok(Removed::Before),
                Err(error) => Err(error),
            }
        })
    }

    fn enable<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            self.set_status(caller, webhook, "enabled").await?;
            // What the answer says is not documented; a webhook is known to be disabled from a list, so there is one.
            let mut listed = self.all(caller).await?.into_iter();
            let enabled = listed.find(|known| known.id == *webhook);
            enabled.ok_or(ApiError::NoSuchWebhook)
        })
    }
}
