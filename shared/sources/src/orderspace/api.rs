//! Orderspace's API, as far as subscriptions need it: access tokens and webhooks.
//!
//! | answer | becomes |
//! |---|---|
//! | 401 | [`ApiError::AccessRefused`] |
//! | 401 to a token request that an OAuth server wrote, or an OAuth error that names the client | [`ApiError::CredentialsRefused`] |
//! | 403 with JSON, or with the challenge `insufficient_scope` | [`ApiError::PermissionMissing`] |
//! | 404 with a message; to a deletion, any that is no page | no such webhook |
//! | 404 with an HTML page | [`ApiError::BadAnswer`]: the path is wrong, which says nothing about a webhook |
//! | 422 with a message | [`ApiError::Invalid`], in Orderspace's words |
//! | 429 | [`ApiError::TooManyRequests`]: nothing more for 60 seconds, or for as long as it says |
//! | 5xx | [`ApiError::Down`] |
//! | 200 that cannot be read, a redirect, anything else | [`ApiError::BadAnswer`] |
//!
//! <https://apidocs.orderspace.com/#authentication> · <https://apidocs.orderspace.com/#webhooks>

use domain::account::WebhookId;
use domain::subscription::{
    Access, AccessToken, Api, ApiCall, ApiError, Caller, Credentials, NewWebhook,
    RegisteredWebhook, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::IgnoredAny;

use super::wire::{self, Created, Deleted, Granted, Listed, Message, Refusal, TokenRequest};
use crate::answers::{segment, without};
use crate::http::{Answer, HttpClient, bad_answer};

/// How long an access token is good for where the answer does not say, in seconds.
const TOKEN_SECONDS: u64 = 1800;
/// The most pages of a list that are read.
const MOST_PAGES: usize = 100;
const TOKEN: &str = "POST /oauth/token";
const LIST: &str = "GET /v1/webhooks";
const CREATE: &str = "POST /v1/webhooks";
const UPDATE: &str = "PUT /v1/webhooks/{id}";
const DELETE: &str = "DELETE /v1/webhooks/{id}";

/// Where Orderspace is, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderspaceUrls {
    /// The API; `/v1/webhooks` follows.
    pub api: String,
    /// Where access tokens are given out; `/oauth/token` follows.
    pub identity: String,
}

impl Default for OrderspaceUrls {
    fn default() -> Self {
        Self {
            api: "https://api.orderspace.com".to_owned(),
            identity: "https://identity.orderspace.com".to_owned(),
        }
    }
}

/// Orderspace's API.
#[derive(Debug, Clone)]
pub struct Orderspace {
    client: HttpClient,
    urls: OrderspaceUrls,
}

impl Orderspace {
    /// Calls this client's source at these addresses. Nothing is sent yet.
    #[must_use]
    pub fn new(client: HttpClient, urls: OrderspaceUrls) -> Self {
        Self { client, urls }
    }

    fn request(
        &self,
        method: Method,
        caller: &Caller,
        path: &str,
    ) -> Result<RequestBuilder, ApiError> {
        let url = format!("{}/v1/webhooks{path}", self.urls.api);
        let request = self.client.request(method, &url)?;
        Ok(request.bearer_auth(caller.token.expose()))
    }
}

/// What an answer that is no success says.
fn failure(answer: &Answer) -> ApiError {
    match answer.status {
        StatusCode::UNAUTHORIZED => ApiError::AccessRefused,
        StatusCode::NOT_FOUND => match message(answer) {
            Some(_) => ApiError::NoSuchWebhook,
            None => answer.bad_answer("a page that is none of the API's"),
        },
        StatusCode::UNPROCESSABLE_ENTITY => match message(answer) {
            Some(message) => ApiError::Invalid(message),
            None => answer.bad_answer("no message"),
        },
        StatusCode::FORBIDDEN if lacks_permission(answer) => ApiError::PermissionMissing,
        StatusCode::TOO_MANY_REQUESTS => ApiError::TooManyRequests {
            pause: answer.pause,
        },
        status if status.is_server_error() => ApiError::Down(status.as_u16()),
        _ => answer.bad_answer("nothing that can be understood"),
    }
}

/// Whether a 403 is the API's: a bearer challenge or JSON, and no proxy's page.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-3.1>
fn lacks_permission(answer: &Answer) -> bool {
    let names_the_scope = answer.challenge.as_deref() == Some("insufficient_scope");
    names_the_scope || answer.json::<IgnoredAny>().is_some()
}

/// Whether it is the credentials that are refused. Only an OAuth server's answer says so, in RFC 6749's words or by a
/// challenge: a proxy's page must not make anybody give an account up.
/// <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
fn refuses_the_client(answer: &Answer) -> bool {
    let names_the_client = || {
        answer.json::<Refusal<'_>>().is_some_and(|refusal| {
            matches!(
                refusal.error,
                "invalid_client" | "unauthorized_client" | "invalid_grant"
            )
        })
    };
    match answer.status {
        StatusCode::UNAUTHORIZED => answer.challenge.is_some() || names_the_client(),
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => names_the_client(),
        _ => false,
    }
}

/// What a token request came to that gave no token. A 401 is about the credentials, or nobody knows what it is about.
fn ungranted(answer: &Answer) -> ApiError {
    match answer.status {
        StatusCode::UNAUTHORIZED => answer.bad_answer("nothing that an OAuth server says"),
        _ => failure(answer),
    }
}

fn message(answer: &Answer) -> Option<String> {
    let message: Message = answer.json()?;
    Some(message.message)
}

impl Api for Orderspace {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access> {
        let form = TokenRequest {
            grant_type: "client_credentials",
            client_id: credentials.get("client_id").unwrap_or_default(),
            client_secret: credentials.get("client_secret").unwrap_or_default(),
        };
        let url = format!("{}/oauth/token", self.urls.identity);
        let request = self.client.request(Method::POST, &url);
        let request = request.map(|request| request.form(&form));
        Box::pin(async move {
            let answer = self.client.send(TOKEN, request?).await?;
            if refuses_the_client(&answer) {
                return Err(ApiError::CredentialsRefused);
            }
            let granted: Granted = answer.success(ungranted)?;
            if granted.access_token.is_empty() {
                return Err(answer.bad_answer("an empty access token"));
            }
            let seconds = granted.expires_in.unwrap_or(TOKEN_SECONDS);
            Ok(Access {
                token: AccessToken::new(granted.access_token),
                expires: now.plus_seconds(seconds),
            })
        })
    }

    /// The list is documented without pages. Should it come in some, they are read as the API's other lists.
    /// <https://apidocs.orderspace.com/#pagination>
    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        Box::pin(async move {
            let mut webhooks: Vec<RegisteredWebhook> = Vec::new();
            let mut query = String::new();
            for _ in 0..MOST_PAGES {
                let request = self.request(Method::GET, caller, &query)?;
                let answer = self.client.send(LIST, request).await?;
                let listed: Listed = answer.success(failure)?;
                let page = wire::shown(&listed)
                    .ok_or_else(|| answer.bad_answer("a webhook of ours without an id"))?;
                let last = page.last().map(|webhook| webhook.id.clone());
                webhooks.extend(page);
                if !listed.has_more || listed.is_empty() {
                    return Ok(webhooks);
                }
                let last = last.ok_or_else(|| answer.bad_answer("a page without an id"))?;
                let last = segment(&last, LIST)?;
                let next = format!("?starting_after={}", last.trim_start_matches('/'));
                if next == query {
                    return Err(answer.bad_answer("the same page again"));
                }
                query = next;
            }
            Err(bad_answer(LIST, format!("more than {MOST_PAGES} pages")))
        })
    }

    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        let NewWebhook {
            endpoint, events, ..
        } = new;
        Box::pin(async move {
            let request = self.request(Method::POST, caller, "")?;
            let request = request.json(&wire::registration(Some(endpoint), events));
            let answer = self.client.send(CREATE, request).await?;
            let created: Created = answer
                .success(failure)
                .map_err(|error| without(error, Some(endpoint), []))?;
            let webhook = named(&answer, &created)?;
            match webhook.key {
                Some(_) => Ok(webhook),
                None => Err(answer.bad_answer("no signing key")),
            }
        })
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
        change: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        let WebhookChange {
            endpoint, events, ..
        } = change;
        Box::pin(async move {
            let request = self.request(Method::PUT, caller, &segment(webhook, UPDATE)?)?;
            let request = request.json(&wire::registration(endpoint, events));
            let answer = self.client.send(UPDATE, request).await?;
            let created: Created = answer
                .success(failure)
                .map_err(|error| without(error, endpoint, []))?;
            named(&answer, &created)
        })
    }

    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        Box::pin(async move {
            let path = segment(webhook, DELETE)?;
            let request = self.request(Method::DELETE, caller, &path)?;
            let answer = self.client.send(DELETE, request).await?;
            match answer.status {
                StatusCode::NO_CONTENT => return Ok(Removed::Now),
                StatusCode::NOT_FOUND if !answer.is_page() => return Ok(Removed::Before),
                _ => {}
            }
            match answer.success::<Deleted>(failure) {
                Ok(deleted) if deleted.webhook.deleted => Ok(Removed::Now),
                Ok(_) => Err(bad_answer(DELETE, "a webhook that stays".to_owned())),
                Err(error) => Err(error),
            }
        })
    }

    /// Nothing shows that a webhook is disabled, and no call to enable one is documented.
    fn enable<'a>(&'a self, _: &'a Caller, _: &'a WebhookId) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async { Err(ApiError::NoSuchCall("enable a webhook")) })
    }
}

/// The webhook in an answer to a registration or a change.
fn named(answer: &Answer, created: &Created) -> Result<RegisteredWebhook, ApiError> {
    let webhook = wire::webhook(&created.webhook);
    webhook.ok_or_else(|| answer.bad_answer("a webhook without an id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::LONGEST_MESSAGE;
    use domain::account::UrlToken;
    use domain::source::Source;
    use domain::subscription::HooksUrl;
    use rstest::rstest;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            call: LIST,
            status: StatusCode::from_u16(status).unwrap(),
            pause: None,
            challenge: None,
            location: None,
            body: body.into(),
        }
    }

    #[rstest]
    #[case::expired(401, "", "the access token is refused")]
    #[case::record(
        404,
        r#"{"message":"Couldn't find webhook with id wh_1"}"#,
        "there is no such webhook"
    )]
    #[case::page(
        404,
        "<!DOCTYPE html>",
        "GET /v1/webhooks was answered with status 404 and a page that is none of the API's"
    )]
    #[case::validation(
        422,
        r#"{"message":"Validation failed: Endpoint must be a https url"}"#,
        "the webhook is not accepted: Validation failed: Endpoint must be a https url"
    )]
    #[case::throttled(429, "", "too many requests")]
    #[case::down(503, "", "the server is in trouble: status 503")]
    #[case::proxy(
        200,
        "<html>",
        "GET /v1/webhooks was answered with status 200 and a body that cannot be read"
    )]
    #[case::redirect(
        302,
        "",
        "GET /v1/webhooks was answered with status 302 and nothing that can be understood"
    )]
    #[case::bad_request(
        400,
        "",
        "GET /v1/webhooks was answered with status 400 and nothing that can be understood"
    )]
    fn answers(#[case] status: u16, #[case] body: &str, #[case] said: &str) {
        let error = answer(status, body)
            .success::<Listed>(failure)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), said);
    }

    #[rstest]
    #[case::unauthorized(401, r#"{"error":"invalid_client"}"#, true)]
    #[case::bare(401, "", false)]
    #[case::page(401, "<html>", false)]
    #[case::client(400, r#"{"error":"invalid_client","error_description":"x"}"#, true)]
    #[case::grant(400, r#"{"error":"unsupported_grant_type"}"#, false)]
    #[case::proxy(403, "<html>", false)]
    #[case::empty(400, "", false)]
    #[case::down(503, r#"{"error":"invalid_client"}"#, false)]
    fn only_a_refusal_of_the_client_is_about_credentials(
        #[case] status: u16,
        #[case] body: &str,
        #[case] refused: bool,
    ) {
        assert_eq!(refuses_the_client(&answer(status, body)), refused);
    }

    #[rstest]
    #[case("")]
    #[case("wh_1/../../orders")]
    #[case("wh_1?x=1")]
    fn a_strange_id_is_no_path(#[case] id: &str) {
        assert!(segment(&WebhookId::new(id), DELETE).is_err());
    }

    #[test]
    fn a_repeated_endpoint_is_taken_out() {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = hooks.endpoint(Source::Orderspace, &token);
        let said = format!("{} is taken, {} too", endpoint.expose(), token.expose());
        let error = without(ApiError::Invalid(said), Some(&endpoint), []);
        let expected = "[the endpoint] is taken, [the token] too".to_owned();
        assert_eq!(error, ApiError::Invalid(expected));
        let astride = format!("{}{}", "x".repeat(LONGEST_MESSAGE - 60), endpoint.expose());
        let error = without(ApiError::Invalid(astride), Some(&endpoint), []).to_string();
        let beginning = &token.expose()[..8];
        assert!(
            !error.contains(beginning) && error.contains("[the endpoint]"),
            "{error}"
        );
    }
}
