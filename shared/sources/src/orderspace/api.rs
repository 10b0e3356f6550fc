//! Orderspace's API, as far as subscriptions need it: access tokens and webhooks.
//!
//! | answer | becomes |
//! |---|---|
//! | 401 with an empty body | [`ApiError::AccessRefused`] |
//! | 401 to a token request, or an OAuth error that names the client | [`ApiError::CredentialsRefused`] |
//! | 404 with a message | no such webhook |
//! | 404 with an HTML page | [`ApiError::BadAnswer`]: the path is wrong, which says nothing about a webhook |
//! | 422 with a message | [`ApiError::Invalid`], in Orderspace's words |
//! | 429 | [`ApiError::TooManyRequests`]: nothing more for 60 seconds |
//! | 5xx | [`ApiError::Down`] |
//! | 200 that cannot be read, a redirect, anything else | [`ApiError::BadAnswer`] |
//!
//! No request is repeated here: what an answer would have said is found out by listing. Redirects are not
//! followed, since the credentials would go along.
//!
//! <https://apidocs.orderspace.com/#authentication> · <https://apidocs.orderspace.com/#webhooks>

use std::time::Duration;

use domain::account::WebhookId;
use domain::subscription::{
    Access, AccessToken, Api, ApiCall, ApiError, Credentials, Endpoint, EventSelection,
    RegisteredWebhook, Removed,
};
use domain::timestamp::Timestamp;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::wire::{self, Created, Deleted, Granted, Listed, Message, Refusal, TokenRequest};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a request may take in all. Three of them fit into the API gateway's 30 seconds.
const REQUEST: Duration = Duration::from_secs(8);
/// The largest answer that is read, in bytes: a site has a handful of webhooks.
const LARGEST: usize = 4 * 1024 * 1024;
/// The longest message of Orderspace's that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;
/// What Orderspace names a request by.
const REQUEST_ID: &str = "x-request-id";

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
    client: reqwest::Client,
    urls: OrderspaceUrls,
}

/// The HTTP client cannot be made.
#[derive(Debug, Error)]
#[error(
    "the HTTP client for Orderspace cannot be made: TLS or the system's root certificates are unusable"
)]
pub struct OrderspaceError(#[source] reqwest::Error);

/// What is asked. Names the call in logs and errors, where its URL would name a webhook or a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Token,
    List,
    Create,
    Update,
    Delete,
}

impl Call {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "POST /oauth/token",
            Self::List => "GET /v1/webhooks",
            Self::Create => "POST /v1/webhooks",
            Self::Update => "PUT /v1/webhooks/{id}",
            Self::Delete => "DELETE /v1/webhooks/{id}",
        }
    }
}

/// An answer, read to its end. Its body may hold keys and tokens, and does not print.
struct Answer {
    call: Call,
    status: StatusCode,
    body: SecretString,
}

impl Orderspace {
    /// Prepares the calls. Nothing is sent yet.
    ///
    /// # Errors
    /// TLS or the system's root certificates are unusable.
    pub fn new(urls: OrderspaceUrls) -> Result<Self, OrderspaceError> {
        Self::with_timeouts(urls, CONNECT, REQUEST)
    }

    /// The same with other time-outs: to connect, and for a request in all.
    ///
    /// # Errors
    /// TLS or the system's root certificates are unusable.
    pub fn with_timeouts(
        urls: OrderspaceUrls,
        connect: Duration,
        request: Duration,
    ) -> Result<Self, OrderspaceError> {
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .timeout(request)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("orderhook/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(OrderspaceError)?;
        Ok(Self { client, urls })
    }

    fn request(&self, method: Method, access: &AccessToken, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/v1/webhooks{path}", self.urls.api))
            .bearer_auth(access.expose())
    }

    async fn send(&self, call: Call, request: RequestBuilder) -> Result<Answer, ApiError> {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(unanswered(call, &error)),
        };
        let status = response.status();
        tracing::info!(
            call = call.as_str(),
            status = status.as_u16(),
            request_id = request_id(&response),
            "Orderspace answered"
        );
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST => {
                    return Err(bad_answer(call, "more than 4 MiB".to_owned()));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(unanswered(call, &error)),
            }
        }
        // What is not text is not JSON either; only that matters here.
        let body = String::from_utf8(body).unwrap_or_default().into();
        Ok(Answer { call, status, body })
    }
}

impl Answer {
    /// The body of a success.
    fn success<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.status != StatusCode::OK && self.status != StatusCode::CREATED {
            return Err(self.failure());
        }
        self.json()
            .ok_or_else(|| self.bad_answer("a body that cannot be read"))
    }

    /// What the body says. The parser's own message may repeat a value, and values are secret here.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the API says, its secrets included, is read here alone"
    )]
    fn json<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.body.expose_secret()).ok()
    }

    fn failure(&self) -> ApiError {
        match self.status {
            StatusCode::UNAUTHORIZED => ApiError::AccessRefused,
            StatusCode::NOT_FOUND => match self.message() {
                Some(_) => ApiError::NoSuchWebhook,
                None => self.bad_answer("a page that is none of the API's"),
            },
            StatusCode::UNPROCESSABLE_ENTITY => match self.message() {
                Some(message) => ApiError::Invalid(message),
                None => self.bad_answer("no message"),
            },
            StatusCode::TOO_MANY_REQUESTS => ApiError::TooManyRequests,
            status if status.is_server_error() => ApiError::Down(status.as_u16()),
            _ => self.bad_answer("nothing that can be understood"),
        }
    }

    /// Whether it is the credentials that are refused. A 400 or 403 says so only in RFC 6749's words: a proxy's
    /// must not make anybody give an account up.
    /// <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
    fn refuses_the_client(&self) -> bool {
        match self.status {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
                self.json::<Refusal<'_>>().is_some_and(|refusal| {
                    matches!(
                        refusal.error,
                        "invalid_client" | "unauthorized_client" | "invalid_grant"
                    )
                })
            }
            _ => false,
        }
    }

    fn message(&self) -> Option<String> {
        let message: Message = self.json()?;
        Some(message.message.chars().take(LONGEST_MESSAGE).collect())
    }

    fn bad_answer(&self, with: &str) -> ApiError {
        bad_answer(
            self.call,
            format!("status {} and {with}", self.status.as_u16()),
        )
    }
}

impl Api for Orderspace {
    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access> {
        let form = TokenRequest {
            grant_type: "client_credentials",
            client_id: credentials.client_id.as_str(),
            client_secret: credentials.expose_secret(),
        };
        let request = self
            .client
            .post(format!("{}/oauth/token", self.urls.identity))
            .form(&form);
        Box::pin(async move {
            let answer = self.send(Call::Token, request).await?;
            if answer.refuses_the_client() {
                return Err(ApiError::CredentialsRefused);
            }
            let granted: Granted = answer.success()?;
            Ok(Access {
                token: AccessToken::new(granted.access_token),
                expires: now.plus_seconds(granted.expires_in),
            })
        })
    }

    fn list<'a>(&'a self, access: &'a AccessToken) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        let request = self.request(Method::GET, access, "");
        Box::pin(async move {
            let listed: Listed = self.send(Call::List, request).await?.success()?;
            Ok(listed.webhooks.into_iter().map(Into::into).collect())
        })
    }

    fn create<'a>(
        &'a self,
        access: &'a AccessToken,
        endpoint: &'a Endpoint,
        events: &'a EventSelection,
    ) -> ApiCall<'a, RegisteredWebhook> {
        let request = self.request(Method::POST, access, "");
        let request = request.json(&wire::registration(Some(endpoint), events));
        Box::pin(async move {
            let answer = self.send(Call::Create, request).await?;
            let created: Created = answer
                .success()
                .map_err(|error| without(error, Some(endpoint)))?;
            Ok(created.webhook.into())
        })
    }

    fn update<'a>(
        &'a self,
        access: &'a AccessToken,
        webhook: &'a WebhookId,
        endpoint: Option<&'a Endpoint>,
        events: &'a EventSelection,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async move {
            let request = self.request(Method::PUT, access, &segment(webhook, Call::Update)?);
            let request = request.json(&wire::registration(endpoint, events));
            let answer = self.send(Call::Update, request).await?;
            let created: Created = answer.success().map_err(|error| without(error, endpoint))?;
            Ok(created.webhook.into())
        })
    }

    fn remove<'a>(
        &'a self,
        access: &'a AccessToken,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, Removed> {
        Box::pin(async move {
            let path = segment(webhook, Call::Delete)?;
            let request = self.request(Method::DELETE, access, &path);
            match self.send(Call::Delete, request).await?.success::<Deleted>() {
                Ok(deleted) if deleted.webhook.deleted => Ok(Removed::Now),
                Ok(_) => Err(bad_answer(Call::Delete, "a webhook that stays".to_owned())),
                Err(ApiError::NoSuchWebhook) => Ok(Removed::Before),
                Err(error) => Err(error),
            }
        })
    }

    /// Nothing shows that a webhook is disabled, and no call to enable one is documented.
    fn enable<'a>(
        &'a self,
        _: &'a AccessToken,
        _: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook> {
        Box::pin(async { Err(ApiError::NoSuchCall("enable a webhook")) })
    }
}

/// A webhook's id as a path segment. Ids are a stranger's text; one that is no plain word must not reach
/// another path: `DELETE /v1/webhooks/` with nothing behind it is not what was meant.
fn segment(webhook: &WebhookId, call: Call) -> Result<String, ApiError> {
    let id = webhook.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(bad_answer(
            call,
            "a webhook id that is no plain word".to_owned(),
        ));
    }
    Ok(format!("/{id}"))
}

/// Takes the endpoint out of Orderspace's words, should it be repeated there: its end is secret.
fn without(error: ApiError, endpoint: Option<&Endpoint>) -> ApiError {
    match (error, endpoint) {
        (ApiError::Invalid(message), Some(endpoint)) => {
            let message = message.replace(endpoint.expose(), "[the endpoint]");
            let token = endpoint.token();
            ApiError::Invalid(match token {
                Some(token) => message.replace(token.expose(), "[the token]"),
                None => message,
            })
        }
        (other, _) => other,
    }
}

fn bad_answer(call: Call, found: String) -> ApiError {
    ApiError::BadAnswer {
        asked: call.as_str(),
        found,
    }
}

/// What a request without a whole answer came to. The client's error has the URL in it and stays here.
fn unanswered(call: Call, error: &reqwest::Error) -> ApiError {
    let cause = if error.is_timeout() {
        ApiError::TimeOut
    } else if error.is_connect() {
        ApiError::Unreachable
    } else {
        bad_answer(call, "a connection that broke".to_owned())
    };
    tracing::warn!(call = call.as_str(), cause = %cause, "Orderspace did not answer");
    cause
}

fn request_id(response: &Response) -> &str {
    let id = response.headers().get(REQUEST_ID);
    id.and_then(|id| id.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::UrlToken;
    use domain::source::Source;
    use domain::subscription::HooksUrl;
    use rstest::rstest;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            call: Call::List,
            status: StatusCode::from_u16(status).unwrap(),
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
        let error = answer(status, body).success::<Listed>().err().unwrap();
        assert_eq!(error.to_string(), said);
    }

    #[rstest]
    #[case::unauthorized(401, "", true)]
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
        assert_eq!(answer(status, body).refuses_the_client(), refused);
    }

    #[rstest]
    #[case("")]
    #[case("wh_1/../../orders")]
    #[case("wh_1?x=1")]
    fn a_strange_id_is_no_path(#[case] id: &str) {
        assert!(segment(&WebhookId::new(id), Call::Delete).is_err());
    }

    #[test]
    fn a_repeated_endpoint_is_taken_out() {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = hooks.endpoint(Source::Orderspace, &token);
        let said = format!("{} is taken, {} too", endpoint.expose(), token.expose());
        let error = without(ApiError::Invalid(said), Some(&endpoint));
        let expected = "[the endpoint] is taken, [the token] too".to_owned();
        assert_eq!(error, ApiError::Invalid(expected));
    }
}
