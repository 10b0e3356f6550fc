//! A caller of an emulator's APIs, for the local stack and its tests: the answers as they come, without retries.
//! What operators ask goes through [`calls`].
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_credential_types::Credentials;
use http::{Method, Request, Response};
use serde_json::Value;

use calls::{now, sign};

/// Where credentials say that they are from.
const SOURCE: &str = "given";

/// How long one call may take. An emulator is slow while functions start.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The list of Lambda's event sources; the id of one may follow.
pub const EVENT_SOURCE_MAPPINGS: &str = "/2015-03-31/event-source-mappings/";

/// A caller of an emulator's services and of IAM-authorised APIs.
#[derive(Clone, Debug)]
pub struct Aws {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: reqwest::Client,
}

/// A status and a body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, `Null` when it is not JSON.
    pub body: Value,
    /// After how many seconds to ask again, where it says so.
    pub retry_after: Option<String>,
}

impl Aws {
    /// A caller of `endpoint`, such as `https://sqs.eu-west-1.amazonaws.com`.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(
        endpoint: &str,
        region: &str,
        access_key_id: &str,
        secret_access_key: &str,
    ) -> Result<Self> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            credentials: Credentials::new(access_key_id, secret_access_key, None, None, SOURCE),
            http: client(endpoint)?,
        })
    }

    /// The same with the token of temporary credentials.
    #[must_use]
    pub fn with_session_token(mut self, token: Option<String>) -> Self {
        let (id, key) = (
            self.credentials.access_key_id().to_owned(),
            self.credentials.secret_access_key().to_owned(),
        );
        self.credentials = Credentials::new(id, key, token, None, SOURCE);
        self
    }

    /// Calls DynamoDB: `operation` such as `Query`.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn dynamodb(&self, operation: &str, input: &Value) -> Result<Value> {
        self.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), input)
            .await
    }

    /// Calls SQS: `operation` such as `ReceiveMessage`.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn sqs(&self, operation: &str, input: &Value) -> Result<Value> {
        self.json("sqs", &format!("AmazonSQS.{operation}"), input)
            .await
    }

    /// Calls any service in AWS's JSON protocol: `target` such as `Logs_20140328.GetLogEvents`.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn json(&self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(serde_json::to_vec(input)?)?;
        let answer = self
            .send(service, request)
            .await
            .with_context(|| format!("{target} got no answer"))?;
        if answer.status != 200 {
            bail!(
                "{target} was refused with {}: {}",
                answer.status,
                answer.body
            );
        }
        Ok(answer.body)
    }

    /// Calls an API that asks for an IAM signature.
    ///
    /// # Errors
    /// There is no answer. A refusal is an answer.
    pub async fn api(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Answer> {
        self.rest("execute-api", method, url, body).await
    }

    /// Calls Lambda's API: `path` such as [`EVENT_SOURCE_MAPPINGS`].
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn lambda(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}{path}", self.endpoint);
        let answer = self.rest("lambda", method, &url, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{path} was refused with {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Calls an API that speaks AWS's query protocol: `action` such as `PutRolePolicy` of `iam`.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn query(
        &self,
        service: &str,
        action: &str,
        version: &str,
        input: &[(&str, &str)],
    ) -> Result<()> {
        self.query_text(service, action, version, input)
            .await
            .map(drop)
    }

    /// The same, with the answer's XML.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn query_text(
        &self,
        service: &str,
        action: &str,
        version: &str,
        input: &[(&str, &str)],
    ) -> Result<String> {
        let fields = [("Action", action), ("Version", version)];
        let form: Vec<(&str, &str)> = fields.iter().chain(input).copied().collect();
        // Written by the client's own encoder, and signed as what it is.
        let form = self.http.post(&self.endpoint).form(&form).build()?;
        let body = form.body().and_then(reqwest::Body::as_bytes);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.unwrap_or_default().to_vec())?;
        let answer = self.send_bytes(service, request).await?;
        if answer.status() != 200 {
            bail!(
                "{action} was refused with {}: {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            );
        }
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// Calls S3: `path` such as `/{bucket}/{key}`, with its query. The answer is an object or XML.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn s3(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let what = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .body(body)?;
        let answer = self.send_bytes("s3", request).await?;
        if !answer.status().is_success() {
            bail!("{what} was refused with {}", answer.status());
        }
        Ok(answer.into_body())
    }

    async fn rest(
        &self,
        service: &str,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                serde_json::to_vec(body)?
            }
            None => Vec::new(),
        };
        self.send(service, request.body(bytes)?).await
    }

    async fn send(&self, service: &str, request: Request<Vec<u8>>) -> Result<Answer> {
        let answer = self.send_bytes(service, request).await?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        Ok(Answer {
            status: answer.status().as_u16(),
            body: serde_json::from_slice(answer.body()).unwrap_or(Value::Null),
            retry_after,
        })
    }

    async fn send_bytes(
        &self,
        service: &str,
        mut request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>> {
        sign(
            &mut request,
            service,
            &self.region,
            &self.credentials,
            now(),
        )
        .map_err(anyhow::Error::from_boxed)?;
        let response = self
            .http
            .execute(reqwest::Request::try_from(request)?)
            .await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = Response::new(response.bytes().await?.to_vec());
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }
}

/// An HTTP client for an endpoint. No proxy stands between this machine and itself.
fn client(endpoint: &str) -> Result<reqwest::Client> {
    let host = reqwest::Url::parse(endpoint)?.host_str().map(str::to_owned);
    match host.as_deref() {
        Some("127.0.0.1" | "localhost") => local_client(),
        _ => Ok(reqwest::Client::builder().timeout(CALL_TIMEOUT).build()?),
    }
}

/// An HTTP client for this machine: no proxy stands between it and 127.0.0.1.
///
/// # Errors
/// No HTTP client can be made.
pub fn local_client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(CALL_TIMEOUT)
        .build()?)
}
