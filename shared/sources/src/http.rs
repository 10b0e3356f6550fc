//! The HTTP client for the sources' APIs: bounded in time and size, and silent about what it carries.
//!
//! No request is repeated here: what an answer would have said is found out by listing. Redirects are not
//! followed, since the credentials would go along. Neither a URL, a header nor a body is logged.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use domain::subscription::ApiError;
use reqwest::header::{HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a request may take in all. Three of them fit into the API gateway's 30 seconds.
const REQUEST: Duration = Duration::from_secs(8);
/// The largest answer that is read, in bytes: a site has a handful of webhooks.
const LARGEST: usize = 4 * 1024 * 1024;
/// The longest pause that a source can ask for, in seconds: what it says is an answer's word, and checks go on.
const LONGEST_PAUSE: u64 = 3600;
/// What a source names a request by, for its support.
const REQUEST_ID: &str = "x-request-id";

/// A client for one source's API.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Arc<Lazy>,
    /// The source's name in sentences to people.
    title: &'static str,
}

/// What requests are sent by, once there is one; nothing where TLS or the system's root certificates are unusable. Reading
/// those certificates takes several times what else a function does at its start, and many invocations call no source.
type Lazy = LazyLock<Option<Client>, Box<dyn FnOnce() -> Option<Client> + Send>>;

/// An answer, read to its end. Its body may hold keys and tokens, and does not print.
pub(crate) struct Answer {
    /// The call in logs and errors, where its URL would name a webhook or a host.
    pub(crate) call: &'static str,
    pub(crate) status: StatusCode,
    /// The pause that was asked for, in seconds.
    pub(crate) pause: Option<u64>,
    /// The `error` of a bearer challenge, such as `insufficient_scope`.
    /// <https://www.rfc-editor.org/rfc/rfc6750#section-3.1>
    pub(crate) challenge: Option<String>,
    /// Where what was created is, as the answer says it.
    pub(crate) location: Option<String>,
    pub(crate) body: SecretString,
}

impl HttpClient {
    /// Prepares calls to the source of this title. Nothing is read or sent yet.
    #[must_use]
    pub fn new(title: &'static str) -> Self {
        Self::with_timeouts(title, CONNECT, REQUEST)
    }

    /// The same client, for the source of this title. Its connections and its root certificates are shared.
    #[must_use]
    pub fn of(&self, title: &'static str) -> Self {
        Self {
            client: Arc::clone(&self.client),
            title,
        }
    }

    /// The same with other time-outs: to connect, and for a request in all.
    #[must_use]
    pub fn with_timeouts(title: &'static str, connect: Duration, request: Duration) -> Self {
        Self::made_by(title, move || client(connect, request))
    }

    fn made_by(
        title: &'static str,
        make: impl FnOnce() -> Result<Client, reqwest::Error> + Send + 'static,
    ) -> Self {
        let make = || {
            let made = make();
            made.inspect_err(|error| {
                tracing::error!(
                    %error,
                    "no source's API can be called: TLS or the system's root certificates are unusable"
                );
            })
            .ok()
        };
        Self {
            client: Arc::new(Lazy::new(Box::new(make))),
            title,
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// TLS or the system's root certificates are unusable.
    pub(crate) fn request(&self, method: Method, url: &str) -> Result<RequestBuilder, ApiError> {
        let client: &Option<Client> = &self.client;
        let client = client.as_ref().ok_or(ApiError::Unreachable)?;
        Ok(client.request(method, url))
    }

    /// Sends a request and reads its answer. `call` names it in logs and errors, as in `GET /v1/webhooks`.
    pub(crate) async fn send(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<Answer, ApiError> {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.unanswered(call, &error)),
        };
        let status = response.status();
        tracing::info!(
            call,
            status = status.as_u16(),
            request_id = request_id(&response),
            "{} answered",
            self.title
        );
        let pause = pause(response.headers());
        let challenge = challenge(response.headers());
        let location = text(response.headers(), LOCATION).map(str::to_owned);
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST => {
                    return Err(bad_answer(call, "more than 4 MiB".to_owned()));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(self.unanswered(call, &error)),
            }
        }
        // What is not text is not JSON either; only that matters here.
        let body = String::from_utf8(body).unwrap_or_default().into();
        Ok(Answer {
            call,
            status,
            pause,
            challenge,
            location,
            body,
        })
    }

    /// What a request without a whole answer came to. The client's error has the URL in it and stays here.
    fn unanswered(&self, call: &'static str, error: &reqwest::Error) -> ApiError {
        let cause = if error.is_timeout() {
            ApiError::TimeOut
        } else if error.is_connect() {
            ApiError::Unreachable
        } else {
            bad_answer(call, "a connection that broke".to_owned())
        };
        tracing::warn!(call, cause = %cause, "{} did not answer", self.title);
        cause
    }
}

fn client(connect: Duration, request: Duration) -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(connect)
        .timeout(request)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("orderhook/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Answer {
    /// The body of a success, or what `failure` makes of any other answer.
    pub(crate) fn success<T: DeserializeOwned>(
        &self,
        failure: impl FnOnce(&Self) -> ApiError,
    ) -> Result<T, ApiError> {
        if self.status != StatusCode::OK && self.status != StatusCode::CREATED {
            return Err(failure(self));
        }
        self.json()
            .ok_or_else(|| self.bad_answer("a body that cannot be read"))
    }

    /// Whether the body is a page for people: something between us and the API answered.
    #[expect(clippy::disallowed_methods, reason = "as for its JSON")]
    pub(crate) fn is_page(&self) -> bool {
        self.body.expose_secret().trim_start().starts_with('<')
    }

    /// Whether nothing is in the body.
    #[expect(clippy::disallowed_methods, reason = "as for its JSON")]
    pub(crate) fn is_empty(&self) -> bool {
        self.body.expose_secret().trim().is_empty()
    }

    /// What the body says. The parser's own message may repeat a value, and values are secret here.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the API says, its secrets included, is read here alone"
    )]
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.body.expose_secret()).ok()
    }

    pub(crate) fn bad_answer(&self, with: &str) -> ApiError {
        bad_answer(
            self.call,
            format!("status {} and {with}", self.status.as_u16()),
        )
    }
}

pub(crate) fn bad_answer(asked: &'static str, found: String) -> ApiError {
    ApiError::BadAnswer { asked, found }
}

/// `Retry-After` in seconds; its other form, a date, is not read.
/// <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
fn pause(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = text(headers, RETRY_AFTER)?.trim().parse().ok()?;
    Some(seconds.clamp(1, LONGEST_PAUSE))
}

fn challenge(headers: &HeaderMap) -> Option<String> {
    let (_, error) = text(headers, WWW_AUTHENTICATE)?.split_once("error=\"")?;
    Some(error.split('"').next()?.to_owned())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn request_id(response: &Response) -> &str {
    let id = response.headers().get(REQUEST_ID);
    id.and_then(|id| id.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system's root certificates are read with the client.
    #[test]
    fn the_client_is_made_once_by_the_first_request_and_shared() {
        let one = HttpClient::new("One");
        let other = one.of("Other");
        assert!(LazyLock::get(&one.client).is_none());
        assert!(other.request(Method::GET, "http://localhost").is_ok());
        assert!(LazyLock::get(&one.client).is_some_and(Option::is_some));
    }

    #[test]
    fn without_a_client_each_request_is_an_error() {
        let refused = || Client::builder().user_agent("\n").build();
        let client = HttpClient::made_by("One", refused);
        for _ in 0..2 {
            let error = client.request(Method::GET, "http://localhost").unwrap_err();
            assert_eq!(error, ApiError::Unreachable);
        }
    }
}
