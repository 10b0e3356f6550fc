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
//! <https://apidocs.orderspace.com/#authentication> · <https://apidocs.orderspace.com/#webhooks>

use domain::account::WebhookId;
use domain::subscription::{
    Access, AccessToken, Api, ApiCall, ApiError, Credentials, Endpoint, EventSelection,
    RegisteredWebhook, Removed,
};
use domain::timestamp::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode};

use super::wire::{self, Created, Deleted, Granted, Listed, Message, Refusal, TokenRequest};
use crate::http::{Answer, HttpClient, bad_answer};

/// The longest message of Orderspace's that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;
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

    fn request(&self, method: Method, access: &AccessToken, path: &str) -> RequestBuilder {
        let url = format!("{}/v1/webhooks{path}", self.urls.api);
        self.client
            .request(method, &url)
            .bearer_auth(access.expose())
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
        StatusCode::TOO_MANY_REQUESTS => ApiError::TooManyRequests,
        status if status.is_server_error() => ApiError::Down(status.as_u16()),
        _ => answer.bad_answer("nothing that can be understood"),
    }
}

/// Whether it is the credentials that are refused. A 400 or 403 says so only in RFC 6749's words: a proxy's
/// must not make anybody give an account up.
/// <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>
fn refuses_the_client(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            answer.json::<Refusal<'_>>().is_some_and(|refusal| {
                matches!(
                    refusal.error,
                    "invalid_client" | "unauthorized_client" | "invalid_grant"
                )
            })
        }
        _ => false,
    }
}

fn message(answer: &Answer) -> Option<String> {
    let message: Message = answer.json()?;
    Some(message.message.chars().take(LONGEST_MESSAGE).collect())
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
        let url = format!("{}/oauth/token", self.urls.identity);
        let request = self.client.request(Method::POST, &url).form(&form);
        Box::pin(async move {
            let answer = self.client.send(TOKEN, request).await?;
            if refuses_the_client(&answer) {
                return Err(ApiError::CredentialsRefused);
            }
            let granted: Granted = answer.success(failure)?;
            Ok(Access {
                token: AccessToken::new(granted.access_token),
                expires: now.plus_seconds(granted.expires_in),
            })
        })
    }

    fn list<'a>(&'a self, access: &'a AccessToken) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        let request = self.request(Method::GET, access, "");
        Box::pin(async move {
            let listed: Listed = self.client.send(LIST, request).await?.success(failure)?;
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
            let answer = self.client.send(CREATE, request).await?;
            let created: Created = answer
                .success(failure)
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
            let request = self.request(Method::PUT, access, &segment(webhook, UPDATE)?);
            let request = request.json(&wire::registration(endpoint, events));
            let answer = self.client.send(UPDATE, request).await?;
            let created: Created = answer
                .success(failure)
                .map_err(|error| without(error, endpoint))?;
            Ok(created.webhook.into())
        })
    }

    fn remove<'a>(
        &'a self,
        access: &'a AccessToken,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, Removed> {
        Box::pin(async move {
            let path = segment(webhook, DELETE)?;
            let request = self.request(Method::DELETE, access, &path);
            match self
                .client
                .send(DELETE, request)
                .await?
                .success::<Deleted>(failure)
            {
                Ok(deleted) if deleted.webhook.deleted => Ok(Removed::Now),
                Ok(_) => Err(bad_answer(DELETE, "a webhook that stays".to_owned())),
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
fn segment(webhook: &WebhookId, call: &'static str) -> Result<String, ApiError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::UrlToken;
    use domain::source::Source;
    use domain::subscription::HooksUrl;
    use rstest::rstest;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            call: LIST,
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
        let error = answer(status, body)
            .success::<Listed>(failure)
            .err()
            .unwrap();
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
        let error = without(ApiError::Invalid(said), Some(&endpoint));
        let expected = "[the endpoint] is taken, [the token] too".to_owned();
        assert_eq!(error, ApiError::Invalid(expected));
    }
}
