//! The caller: signs, sends, tries again what may be tried again, counts, and says what an answer means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use http::{HeaderMap, Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::access::Access;
use super::error::{Error, Kind, kind};
use super::sign::{now, sign};
use super::xml::Reply;

/// How long one attempt may take. An emulator is slow while functions start, and the admin API waits for a source.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(35);

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials are asked for anew this long before they expire.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);

/// The longest message of a service that an error repeats, in characters.
const LONGEST_MESSAGE: usize = 400;

/// A service, as its calls name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// CloudFormation, by the query protocol.
    CloudFormation,
    /// CloudWatch, by the query protocol.
    CloudWatch,
    /// DynamoDB.
    DynamoDb,
    /// The admin API, behind API Gateway.
    ExecuteApi,
    /// IAM, which has one endpoint for all regions.
    Iam,
    /// Lambda.
    Lambda,
    /// CloudWatch Logs.
    Logs,
    /// S3.
    S3,
    /// EventBridge Scheduler.
    Scheduler,
    /// Secrets Manager.
    SecretsManager,
    /// SNS, by the query protocol.
    Sns,
    /// SQS.
    Sqs,
    /// Systems Manager.
    Ssm,
    /// STS, by the query protocol.
    Sts,
}

/// What is fixed for a service.
struct Facts {
    /// The name in signatures.
    signing: &'static str,
    /// What the endpoint's host begins with.
    host: &'static str,
    /// What IAM's actions begin with.
    iam: &'static str,
    /// What `x-amz-target` begins with, or the version of the query protocol.
    api: &'static str,
}

impl Service {
    fn facts(self) -> Facts {
        let (signing, host, iam, api) = match self {
            Self::CloudFormation => (
                "cloudformation",
                "cloudformation",
                "cloudformation",
                "2010-05-15",
            ),
            Self::CloudWatch => ("monitoring", "monitoring", "cloudwatch", "2010-08-01"),
            Self::DynamoDb => ("dynamodb", "dynamodb", "dynamodb", "DynamoDB_20120810"),
            Self::ExecuteApi => ("execute-api", "execute-api", "execute-api", ""),
            Self::Iam => ("iam", "iam", "iam", "2010-05-08"),
            Self::Lambda => ("lambda", "lambda", "lambda", ""),
            Self::Logs => ("logs", "logs", "logs", "Logs_20140328"),
            Self::S3 => ("s3", "s3", "s3", ""),
            Self::Scheduler => ("scheduler", "scheduler", "scheduler", ""),
            Self::SecretsManager => (
                "secretsmanager",
                "secretsmanager",
                "secretsmanager",
                "secretsmanager",
            ),
            Self::Sns => ("sns", "sns", "sns", "2010-03-31"),
            Self::Sqs => ("sqs", "sqs", "sqs", "AmazonSQS"),
            Self::Ssm => ("ssm", "ssm", "ssm", "AmazonSSM"),
            Self::Sts => ("sts", "sts", "sts", "2011-06-15"),
        };
        Facts {
            signing,
            host,
            iam,
            api,
        }
    }
}

/// How often, and after how long, a call is made again.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The longest wait after the first attempt; it doubles from one to the next.
    pub first: Duration,
    /// The longest wait of all.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(5),
        }
    }
}

/// Whether a call may be made again where it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Always,
    /// Only where nothing was done, as when it was throttled.
    Unhandled,
}

/// A caller of AWS. Clones share their connections, credentials and counts.
#[derive(Clone)]
pub struct Calls {
    inner: Arc<Inner>,
}

struct Inner {
    access: Access,
    http: reqwest::Client,
    retries: Retries,
    credentials: tokio::sync::Mutex<Option<Credentials>>,
    counts: Mutex<BTreeMap<String, usize>>,
    /// AWS's clock less this machine's, in milliseconds, at the first answer.
    skew: Mutex<Option<i128>>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("access", &self.inner.access)
            .finish_non_exhaustive()
    }
}

/// Where a request goes.
struct Target {
    service: Service,
    region: String,
    url: String,
    /// The action as IAM names it.
    action: String,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Calls {
    /// A caller with the usual retries.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(access: Access) -> Result<Self, Error> {
        Self::with_retries(access, Retries::default())
    }

    /// A caller with retries of its own.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn with_retries(access: Access, retries: Retries) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder()
            .timeout(ATTEMPT_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if access.is_emulated() {
            // No proxy stands between this machine and an emulator on it.
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| Error::unreadable("the TLS configuration", error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                access,
                http,
                retries,
                credentials: tokio::sync::Mutex::new(None),
                counts: Mutex::default(),
                skew: Mutex::default(),
            }),
        })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.inner.access.region
    }

    /// Whether an emulator answers.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.inner.access.is_emulated()
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.counts().values().sum()
    }

    /// How many requests were sent so far, by action.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let counts = self.inner.counts.lock();
        counts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// By how much AWS's clock is ahead of this machine's, in milliseconds, as of the first answer; none before it. The
    /// header has whole seconds.
    #[must_use]
    pub fn skew_ms(&self) -> Option<i128> {
        *self
            .inner
            .skew
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an unauthenticated request once, and answers its status. The address is in no error: it may be a hook's.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn unsigned(
        &self,
        method: Method,
        url: &str,
        body: &'static str,
    ) -> Result<u16, Error> {
        let action = format!("an unauthenticated {method}");
        self.note(&action);
        let request = self
            .inner
            .http
            .request(method, url)
            .header("content-type", "application/json");
        match request.body(body).send().await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(Error::Unreachable {
                action,
                reason: reasons(&error.without_url()),
            }),
        }
    }

    /// Posts a delivery once, as a source would, and answers the status. Neither the address nor the proof is in any error.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn deliver(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<u16, Error> {
        let action = "a signed POST".to_owned();
        self.note(&action);
        let request = self
            .inner
            .http
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        match request.send().await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(Error::Unreachable {
                action,
                reason: reasons(&error.without_url()),
            }),
        }
    }

    /// Calls an operation in AWS's JSON protocol: `Query` of DynamoDB.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn json<T: DeserializeOwned>(
        &self,
        service: Service,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<T, Error> {
        self.json_at(self.target(service, operation), operation, input)
            .await
    }

    /// The same at a queue's own address: a team's queue may be in another region.
    pub(crate) async fn queue_json<T: DeserializeOwned>(
        &self,
        queue: &str,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<T, Error> {
        let mut target = self.target(Service::Sqs, operation);
        if !self.is_emulated()
            && let Some((origin, region)) = address_of(queue)
        {
            (target.url, target.region) = (origin, region);
        }
        self.json_at(target, operation, input).await
    }

    async fn json_at<T: DeserializeOwned>(
        &self,
        target: Target,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<T, Error> {
        let version = match target.service {
            Service::Logs | Service::Ssm => "application/x-amz-json-1.1",
            _ => "application/x-amz-json-1.0",
        };
        let name = format!("{}.{operation}", target.service.facts().api);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", target.url))
            .header("content-type", version)
            .header("x-amz-target", name);
        let body = serde_json::to_vec(input);
        let body = body.map_err(|error| Error::unreadable("a request", error))?;
        let request = built(request.body(body))?;
        let action = target.action.clone();
        let answer = self.succeed(&target, &request, Repeat::Always).await?;
        parsed(&action, &answer.body)
    }

    /// Calls an action in AWS's query protocol: `DescribeStacks` of CloudFormation.
    pub(crate) async fn query(
        &self,
        service: Service,
        action: &str,
        input: &[(&str, &str)],
    ) -> Result<Reply, Error> {
        let target = self.target(service, action);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", target.url))
            .header(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .body(form(action, service.facts().api, input));
        let answer = self
            .succeed(&target, &built(request)?, Repeat::Always)
            .await?;
        Ok(Reply::new(&target.action, answer.body))
    }

    /// Calls a REST operation: its name is for permissions, counts and errors.
    pub(crate) async fn rest<T: DeserializeOwned>(
        &self,
        service: Service,
        operation: &str,
        path: &str,
    ) -> Result<T, Error> {
        let target = self.target(service, operation);
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", target.url))
            .body(Vec::new());
        let answer = self
            .succeed(&target, &built(request)?, Repeat::Always)
            .await?;
        parsed(&target.action, &answer.body)
    }

    /// A request of S3, whose body and answer are bytes.
    pub(crate) async fn object(
        &self,
        method: Method,
        operation: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let target = self.target(Service::S3, operation);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", target.url))
            .body(body);
        let answer = self
            .succeed(&target, &built(request)?, Repeat::Always)
            .await?;
        Ok(answer.body)
    }

    /// A request to an API behind API Gateway. What the API itself answers is an answer, whatever its status; only what
    /// the gateway says in its place is an error.
    pub(crate) async fn api(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<RawAnswer, Error> {
        let target = Target {
            service: Service::ExecuteApi,
            region: self.region().to_owned(),
            url: url.to_owned(),
            action: "execute-api:Invoke".to_owned(),
        };
        let mut request = Request::builder().method(method).uri(url);
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                let body = serde_json::to_vec(body);
                body.map_err(|error| Error::unreadable("a request", error))?
            }
            None => Vec::new(),
        };
        self.attempts(&target, &built(request.body(bytes))?, repeat)
            .await
    }

    fn target(&self, service: Service, operation: &str) -> Target {
        let facts = service.facts();
        let access = &self.inner.access;
        let (region, regional) = match service {
            Service::Iam => iam_of(&access.region),
            _ => {
                let suffix = suffix_of(&access.region);
                let url = format!("https://{}.{}.{suffix}", facts.host, access.region);
                (access.region.clone(), url)
            }
        };
        Target {
            service,
            region,
            url: access.endpoint.clone().unwrap_or(regional),
            action: format!("{}:{operation}", facts.iam),
        }
    }

    /// An answer with a status of success, or what its lack means.
    async fn succeed(
        &self,
        target: &Target,
        request: &Request<Vec<u8>>,
        repeat: Repeat,
    ) -> Result<RawAnswer, Error> {
        let answer = self.attempts(target, request, repeat).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(failure(&target.action, &answer)),
        }
    }

    /// Sends until there is an answer that another attempt would not change.
    async fn attempts(
        &self,
        target: &Target,
        request: &Request<Vec<u8>>,
        repeat: Repeat,
    ) -> Result<RawAnswer, Error> {
        let retries = self.inner.retries;
        let mut attempt = 1;
        loop {
            let sent = self.send(target, request).await;
            let is_last = attempt >= retries.attempts;
            let wait = match &sent {
                Ok(answer) if answer.status.is_success() => None,
                Ok(answer) => match meaning(answer).0 {
                    Kind::Throttled => Some(answer.retry_after()),
                    Kind::Transient if repeat == Repeat::Always => Some(answer.retry_after()),
                    Kind::Transient
                    | Kind::Credentials
                    | Kind::Permission
                    | Kind::NotFound
                    | Kind::Other => None,
                },
                Err(Sending::Lost { connected, .. }) => {
                    (repeat == Repeat::Always || !connected).then_some(None)
                }
                Err(Sending::Refused(_)) => None,
            };
            match (wait, is_last) {
                (Some(asked), false) => {
                    let doubled = 2_u32.saturating_pow(attempt - 1);
                    let longest = retries.first.saturating_mul(doubled);
                    let wait = asked.unwrap_or_else(|| jittered(longest));
                    tokio::time::sleep(wait.min(retries.longest)).await;
                    attempt += 1;
                }
                _ => {
                    return sent.map_err(|error| match error {
                        Sending::Refused(error) => error,
                        Sending::Lost { reason, .. } => Error::Unreachable {
                            action: target.action.clone(),
                            reason,
                        },
                    });
                }
            }
        }
    }

    async fn send(
        &self,
        target: &Target,
        request: &Request<Vec<u8>>,
    ) -> Result<RawAnswer, Sending> {
        let credentials = self.credentials().await.map_err(Sending::Refused)?;
        let mut request = request.clone();
        let name = target.service.facts().signing;
        let signed = sign(&mut request, name, &target.region, &credentials, now());
        let unsigned = |error: &dyn fmt::Display| {
            Sending::Refused(Error::unreadable(
                format!("the request of {}", target.action),
                error,
            ))
        };
        signed.map_err(|error| unsigned(&error))?;
        let request = reqwest::Request::try_from(request).map_err(|error| unsigned(&error))?;
        self.note(&target.action);
        let lost = |error: reqwest::Error| Sending::Lost {
            connected: !error.is_connect(),
            // The address of the admin API is no secret, but that of a hook would be.
            reason: reasons(&error.without_url()),
        };
        let response = self.inner.http.execute(request).await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.note_clock(&headers);
        let body = response.bytes().await.map_err(lost)?.to_vec();
        Ok(RawAnswer {
            status,
            headers,
            body,
        })
    }

    /// Credentials that are good for a while.
    async fn credentials(&self) -> Result<Credentials, Error> {
        let mut kept = self.inner.credentials.lock().await;
        if let Some(credentials) = kept.as_ref()
            && credentials
                .expiry()
                .is_none_or(|expiry| expiry > now() + EXPIRY_MARGIN)
        {
            return Ok(credentials.clone());
        }
        let fresh = self.inner.access.credentials().await?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }

    fn note(&self, action: &str) {
        let counts = self.inner.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        *counts.entry(action.to_owned()).or_default() += 1;
    }

    fn note_clock(&self, headers: &HeaderMap) {
        let mut skew = self
            .inner
            .skew
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if skew.is_none() {
            *skew = skew_of(headers, now());
        }
    }
}

/// Why there is no answer.
enum Sending {
    /// The request did not come to be.
    Refused(Error),
    /// It was sent, or the connection was not made.
    Lost { connected: bool, reason: String },
}

impl RawAnswer {
    /// After how long to ask again, where the answer says so in seconds.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get("retry-after")?.to_str().ok()?;
        Some(Duration::from_secs(value.trim().parse().ok()?))
    }
}

/// The chain of reasons: an HTTP client's own sentence says only that the request failed.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}

fn built(request: Result<Request<Vec<u8>>, http::Error>) -> Result<Request<Vec<u8>>, Error> {
    request.map_err(|error| Error::unreadable("an address", error))
}

fn parsed<T: DeserializeOwned>(action: &str, body: &[u8]) -> Result<T, Error> {
    // Some operations answer nothing at all.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Error::unreadable(format!("the answer of {action}"), error))
}

/// A share of `longest`, so that callers that were throttled together do not come again together.
fn jittered(longest: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the longest wait is as good.
    match getrandom::fill(&mut byte) {
        Ok(()) => longest.mul_f64(f64::from(u8::from_le_bytes(byte)) / 255.0),
        Err(_) => longest,
    }
}

/// The names and words of an unsuccessful answer, whichever protocol it speaks.
fn meaning(answer: &RawAnswer) -> (Kind, String, String) {
    let status = answer.status.as_u16();
    let header = |name: &str| answer.headers.get(name)?.to_str().ok();
    let (code, message) = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(body) => {
            let text = |names: &[&str]| {
                let found = names.iter().find_map(|name| body.get(name)?.as_str());
                found.unwrap_or_default().to_owned()
            };
            let code = text(&["__type", "code", "Code"]);
            (code, text(&["message", "Message"]))
        }
        Err(_) => super::xml::error_in(&answer.body),
    };
    let code = match code.is_empty() {
        true => header("x-amzn-errortype").unwrap_or_default().to_owned(),
        false => code,
    };
    // `com.amazonaws.sqs#QueueDoesNotExist` and `ValidationException:http://…`.
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().to_owned();
    (kind(status, &code, &message), code, message)
}

/// A text as a part of a path or of a query. A space is `%20`, as it is signed; a form's plus would be a plus in a path.
pub(crate) fn escaped(text: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    escaped.replace('+', "%20")
}

/// The body of a call in the query protocol.
fn form(action: &str, version: &str, input: &[(&str, &str)]) -> Vec<u8> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action)
        .append_pair("Version", version)
        .extend_pairs(input);
    form.finish().into_bytes()
}

/// What an answer without success means.
pub(crate) fn failure(action: &str, answer: &RawAnswer) -> Error {
    let (kind, code, message) = meaning(answer);
    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
    let action = action.to_owned();
    match kind {
        Kind::Credentials => Error::Credentials(format!("{action} answered: {message}")),
        Kind::Permission => Error::Permission { action, message },
        Kind::NotFound => Error::NotFound {
            what: format!("what {action} asks for ({code})"),
        },
        Kind::Throttled | Kind::Transient => Error::Unreachable {
            action,
            reason: format!("{} {code} {message}", answer.status.as_u16()),
        },
        Kind::Other => Error::Service {
            action,
            status: answer.status.as_u16(),
            code,
            message,
        },
    }
}

fn skew_of(headers: &HeaderMap, here: SystemTime) -> Option<i128> {
    let date = headers.get("date")?.to_str().ok()?;
    let there = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some((there - OffsetDateTime::from(here)).whole_milliseconds())
}

/// A queue's endpoint and region, where its host names them.
fn address_of(queue: &str) -> Option<(String, String)> {
    let url = url::Url::parse(queue).ok()?;
    let (region, _) = url.host_str()?.strip_prefix("sqs.")?.split_once('.')?;
    Some((url.origin().ascii_serialization(), region.to_owned()))
}

fn suffix_of(region: &str) -> &'static str {
    match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    }
}

/// <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
fn iam_of(region: &str) -> (String, String) {
    let (region, url) = match region {
        china if china.starts_with("cn-") => {
            ("cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn")
        }
        government if government.starts_with("us-gov-") => {
            ("us-gov-west-1", "https://iam.us-gov.amazonaws.com")
        }
        _ => ("us-east-1", "https://iam.amazonaws.com"),
    };
    (region.to_owned(), url.to_owned())
}
