//! The way to AWS: one configuration, one HTTP client and one pool of connections for all services.
//!
//! What takes time is done once, while a function starts: the few roots of trust are parsed, and
//! [`Warm::warm`] makes the first TLS handshake, so that no request waits for it.
//!
//! Credentials and region are those that Lambda puts into the environment; no profile, no metadata service
//! and no other provider is ever asked.
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
    SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, HttpClientError};
use aws_types::SdkConfig;
use thiserror::Error;

/// The roots that every AWS endpoint's certificate goes back to, as the machine's trust store has them and as
/// <https://www.amazontrust.com/repository/> publishes them. Parsing all of a system's roots instead would be
/// most of the SDK's start-up.
const ROOTS: [&str; 5] = [
    include_str!("../roots/amazon-root-ca-1.pem"),
    include_str!("../roots/amazon-root-ca-2.pem"),
    include_str!("../roots/amazon-root-ca-3.pem"),
    include_str!("../roots/amazon-root-ca-4.pem"),
    include_str!("../roots/starfield-services-root-ca-g2.pem"),
];

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a call may take with all its attempts.
const OPERATION: Duration = Duration::from_secs(4);
/// The first pause between attempts, on average half of it. The SDK's default of a second would use up the
/// time in which a delivery has to be answered.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where AWS is called, and as whom.
#[derive(Debug, Clone)]
pub struct Access {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// One address for every service instead of AWS's own: that of an emulator.
    pub endpoint: Option<String>,
    /// The keys that requests are signed with.
    pub credentials: Credentials,
}

/// Why AWS cannot be called.
#[derive(Debug, Error)]
pub enum AccessError {
    /// A variable is not set.
    #[error(
        "the environment variable {0} is not set: Lambda sets it, elsewhere it has to be given"
    )]
    Missing(&'static str),
    /// The TLS client cannot be made.
    #[error("the TLS client cannot be made")]
    Tls(#[source] HttpClientError),
}

impl Access {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and where they are set
    /// `AWS_SESSION_TOKEN` and `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// One of the first three is not set.
    pub fn from_env() -> Result<Self, AccessError> {
        let optional = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let required = |name: &'static str| optional(name).ok_or(AccessError::Missing(name));
        let credentials = Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        Ok(Self {
            region: required("AWS_REGION")?,
            endpoint: optional("AWS_ENDPOINT_URL"),
            credentials,
        })
    }
}

/// AWS's services, each by a client over the same connections.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Prepares the calls. Nothing is sent yet.
    ///
    /// # Errors
    /// The TLS client cannot be made.
    pub fn new(access: Access) -> Result<Self, AccessError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let retries = RetryConfig::standard()
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(access.region))
            .credentials_provider(SharedCredentialsProvider::new(access.credentials))
            .http_client(http_client().map_err(AccessError::Tls)?)
            .timeout_config(timeouts)
            .retry_config(retries);
        config.set_endpoint_url(access.endpoint);
        Ok(Self {
            config: config.build(),
        })
    }

    /// DynamoDB.
    #[must_use]
    pub fn dynamo(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    /// SQS.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// S3. An emulator has no host name per bucket, so there the bucket stands in the path.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(self.config.endpoint_url().is_some())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Secrets Manager.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }
}

fn http_client() -> Result<SharedHttpClient, HttpClientError> {
    let roots = ROOTS.iter().fold(TrustStore::empty(), |roots, pem| {
        roots.with_pem_certificate(pem.as_bytes())
    });
    let context = TlsContext::builder().with_trust_store(roots).build()?;
    Ok(Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https())
}

/// A client whose first connection can be made ahead of its first request.
pub trait Warm {
    /// Opens a connection to the service and leaves it in the pool. Asks for nothing that needs a permission,
    /// costs nothing and ignores whatever goes wrong: the first request will say it.
    fn warm(&self) -> impl Future<Output = ()> + Send;
}

impl Warm for aws_sdk_dynamodb::Client {
    async fn warm(&self) {
        let once = aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.list_tables().customize().config_override(once);
        drop(call.interceptor(Unsigned).send().await);
    }
}

impl Warm for aws_sdk_sqs::Client {
    async fn warm(&self) {
        let once = aws_sdk_sqs::config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.list_queues().customize().config_override(once);
        drop(call.interceptor(Unsigned).send().await);
    }
}

impl Warm for aws_sdk_secretsmanager::Client {
    async fn warm(&self) {
        let once =
            aws_sdk_secretsmanager::config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.list_secrets().customize().config_override(once);
        drop(call.interceptor(Unsigned).send().await);
    }
}

/// Turns a call into a `GET /` in nobody's name: it goes the whole way of a real call, over the same host and
/// connection, and leaves no refused call in the account's trail.
#[derive(Debug)]
struct Unsigned;

impl Intercept for Unsigned {
    fn name(&self) -> &'static str {
        "Unsigned"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request.set_method("GET")?;
        drop(request.take_body());
        for header in [
            "authorization",
            "content-length",
            "content-type",
            "x-amz-security-token",
            "x-amz-target",
        ] {
            request.headers_mut().remove(header);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ports::ErrorKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    fn aws(endpoint: &str) -> Aws {
        Aws::new(Access {
            region: "eu-west-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            credentials: Credentials::new(
                "id",
                "marker-secret",
                Some("marker-token".to_owned()),
                None,
                "test",
            ),
        })
        .unwrap()
    }

    #[tokio::test]
    async fn the_roots_are_read_and_an_unreachable_service_is_a_passing_error() {
        // Nothing listens on the discard port of this machine.
        let client = aws("https://127.0.0.1:9").sqs();
        client.warm().await;
        let error = client.list_queues().send().await.unwrap_err();
        let error = crate::failure::port_error("listing queues", &error, |_| false);
        assert_eq!(
            (error.code.as_str(), error.kind),
            ("connection", ErrorKind::Passing)
        );
    }

    /// Answers every request with an empty object and tells, per request, the connection it came by and what
    /// it said before its body.
    async fn serve(listener: TcpListener, heads: UnboundedSender<(usize, String)>) {
        let mut connection = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            connection += 1;
            let (number, heads) = (connection, heads.clone());
            tokio::spawn(async move {
                let mut received = String::new();
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    received.push_str(&String::from_utf8_lossy(&part[..length]));
                    // The only body that is sent is an empty object.
                    if received.ends_with("\r\n\r\n") || received.ends_with("{}") {
                        heads.send((number, std::mem::take(&mut received))).unwrap();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn the_first_request_finds_a_connection_that_asked_for_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = aws(&format!("http://{}", listener.local_addr().unwrap())).dynamo();
        let (sender, mut heads) = unbounded_channel();
        tokio::spawn(serve(listener, sender));
        client.warm().await;
        client.list_tables().send().await.unwrap();
        let (first, warming) = heads.recv().await.unwrap();
        let (second, asking) = heads.recv().await.unwrap();
        assert_eq!(first, second, "one connection serves both");
        assert!(warming.starts_with("GET / HTTP/1.1\r\n"), "{warming}");
        for header in ["authorization:", "x-amz-target:", "x-amz-security-token:"] {
            assert!(!warming.contains(header), "{warming}");
            assert!(asking.contains(header), "{asking}");
        }
    }

    #[test]
    fn the_keys_do_not_print() {
        let printed = format!("{:?}", aws("http://127.0.0.1:9"));
        assert!(printed.contains("eu-west-1"));
        assert!(!printed.contains("marker"));
    }
}
