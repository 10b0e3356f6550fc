//! The way to AWS: one configuration, one HTTP client and one pool of connections for all services.
//!
//! What takes time is done once, while a function starts: the few roots of trust are parsed, and
//! [`Warm::warm`] makes the first TLS handshake, so that no request waits for it.
//!
//! Credentials and region are those that Lambda puts into the environment; no profile, no metadata service
//! and no other provider is ever asked. The configuration is put together here for that reason: `aws_config`'s loader links
//! all of them, and a client of STS, even where each is overridden.
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>

use std::future::Future;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    ConfigBag, Credentials, HttpClient, Intercept, Region, RuntimeComponents,
    SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, HttpClientError};
use aws_smithy_runtime::client::auth::no_auth::NO_AUTH_SCHEME_ID;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use thiserror::Error;

use crate::slow_start::{Pace, SlowStart};

/// The roots that every AWS endpoint's certificate goes back to, as the machine's trust store has them and as
/// <https://www.amazontrust.com/repository/> publishes them. Parsing all of a system's roots instead would be
/// most of the SDK's start-up.
///
/// They are those of the partition `aws`. The endpoints of `aws-cn` have certificates of other authorities, and nobody
/// has tried `aws-us-gov` and the isolated ones: a stack there is not supported.
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
    /// A variable is neither `true` nor `false`.
    #[error("the environment variable {0} is neither true nor false")]
    NotBoolean(&'static str),
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
    /// Where they are set, `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` choose among AWS's endpoints, and
    /// `AWS_ENDPOINT_URL_SQS` and its like give one service an address of its own.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    ///
    /// # Errors
    /// One of the two is no boolean, or the TLS client cannot be made.
    pub fn new(access: Access) -> Result<Self, AccessError> {
        let http = http_client().map_err(AccessError::Tls)?;
        Self::over(OneConnector(http, SlowStart::at(Pace::default())), access)
    }

    fn over(http: OneConnector, access: Access) -> Result<Self, AccessError> {
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
            .identity_cache(IdentityCache::lazy().build())
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(retries)
            .service_config(ByService);
        config.set_endpoint_url(access.endpoint);
        config.set_use_fips(boolean("AWS_USE_FIPS_ENDPOINT")?);
        config.set_use_dual_stack(boolean("AWS_USE_DUALSTACK_ENDPOINT")?);
        Ok(Self::of(config.build()))
    }

    pub(crate) fn of(config: SdkConfig) -> Self {
        Self { config }
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

    /// SNS.
    #[must_use]
    pub fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config)
    }

    /// The address that S3 has instead of AWS's own.
    pub(crate) fn s3_endpoint(&self) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url");
        let own = (self.config.service_config()).zip(key.build().ok());
        own.and_then(|(by_service, key)| by_service.load_config(key))
            .or_else(|| self.config.endpoint_url().map(str::to_owned))
    }

    /// What every service's client is made from.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The same with other times for connections, attempts and calls.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: TimeoutConfig) -> Self {
        Self::of(self.config.to_builder().timeout_config(timeouts).build())
    }

    /// Secrets Manager.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }
}

/// A setting of the environment, where there is one.
fn boolean(name: &'static str) -> Result<Option<bool>, AccessError> {
    match optional(name) {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(AccessError::NotBoolean(name)),
    }
}

/// Addresses of single services, which go before that of all.
#[derive(Debug)]
struct ByService;

impl LoadServiceConfig for ByService {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        optional(&variable_of(&key))
    }
}

/// The variable of a service: `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
fn variable_of(key: &ServiceConfigKey<'_>) -> String {
    let service = key.service_id().to_uppercase().replace(' ', "_");
    format!("{}_{service}", key.env())
}

/// A variable that is set, and not to nothing.
fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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

/// The HTTP client with [`SlowStart`], and without the check that it makes for each service's client. The check makes a
/// connector and drops it again, so that the system's roots are read early: ours would be parsed once for each service, and
/// once more for the connector that all of them share.
#[derive(Debug)]
struct OneConnector(SharedHttpClient, SlowStart);

impl HttpClient for OneConnector {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.1.over(self.0.http_connector(settings, components))
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// A client whose first connection can be made ahead of its first request.
pub trait Warm {
    /// Opens a connection to the service and leaves it in the pool. Asks for nothing that needs a permission,
    /// costs nothing and ignores whatever goes wrong: the first request will say it.
    fn warm(&self) -> impl Future<Output = ()> + Send;
}

/// Warms a client by a call of its service: each service's crate has types of its own for the same settings.
macro_rules! warm {
    ($service:ident, $call:ident) => {
        impl Warm for $service::Client {
            async fn warm(&self) {
                let once = $service::config::Builder::new()
                    .retry_config(RetryConfig::disabled())
                    .allow_no_auth()
                    .auth_scheme_preference([NO_AUTH_SCHEME_ID]);
                let call = self.$call().customize().config_override(once);
                drop(call.interceptor(Bare).send().await);
            }
        }
    };
}

warm!(aws_sdk_dynamodb, list_tables);
warm!(aws_sdk_sqs, list_queues);
warm!(aws_sdk_secretsmanager, list_secrets);

/// Turns an unsigned call into a `GET /`: it goes the whole way of a real call, over the same host and connection, and
/// leaves no refused call in the account's trail.
#[derive(Debug)]
struct Bare;

impl Intercept for Bare {
    fn name(&self) -> &'static str {
        "Bare"
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
        for header in ["content-length", "content-type", "x-amz-target"] {
            request.headers_mut().remove(header);
        }
        Ok(())
    }
}

/// Access to an address of its own, with credentials that could be recognised.
#[cfg(test)]
pub(crate) fn access(endpoint: &str) -> Access {
    Access {
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: Credentials::new(
            "id",
            "marker-secret",
            Some("marker-token".to_owned()),
            None,
            "test",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::config::{ProvideCredentials as _, RuntimeComponentsBuilder};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use domain::ports::ErrorKind;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    fn aws(endpoint: &str) -> Aws {
        Aws::new(access(endpoint)).unwrap()
    }

    #[rstest]
    #[case("SQS", "AWS_ENDPOINT_URL_SQS")]
    #[case("DynamoDB", "AWS_ENDPOINT_URL_DYNAMODB")]
    #[case("Secrets Manager", "AWS_ENDPOINT_URL_SECRETS_MANAGER")]
    fn a_service_has_a_variable_of_its_own(#[case] service: &str, #[case] variable: &str) {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        assert_eq!(variable_of(&key.unwrap()), variable);
    }

    /// An HTTP client that makes connectors for calls alone.
    #[derive(Debug)]
    struct ForCallsAlone(SharedHttpClient);

    impl HttpClient for ForCallsAlone {
        fn http_connector(
            &self,
            settings: &HttpConnectorSettings,
            components: &RuntimeComponents,
        ) -> SharedHttpConnector {
            self.0.http_connector(settings, components)
        }

        fn validate_base_client_config(
            &self,
            _: &RuntimeComponentsBuilder,
            _: &ConfigBag,
        ) -> Result<(), BoxError> {
            Err("a connector was made for a client".into())
        }

        fn connector_metadata(&self) -> Option<ConnectorMetadata> {
            self.0.connector_metadata()
        }
    }

    #[test]
    fn no_client_of_a_service_reads_the_roots_for_itself() {
        let http = SharedHttpClient::new(ForCallsAlone(http_client().unwrap()));
        let http = OneConnector(http, SlowStart::at(Pace::default()));
        let aws = Aws::over(http, access("http://127.0.0.1:9")).unwrap();
        // A client panics over a check that it does not pass.
        drop((aws.dynamo(), aws.sqs(), aws.sns(), aws.secrets()));
        drop(crate::s3::S3Oversize::of(&aws, "bucket"));
        // The name of the HTTP client goes into the agent that AWS sees.
        let client = aws.config.http_client().unwrap();
        assert!(client.connector_metadata().is_some());
    }

    /// A certificate's bytes.
    fn certificate(pem: &str) -> Vec<u8> {
        let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(lines).unwrap()
    }

    /// By the list that browsers trust: none of ours was withdrawn, and Amazon has none that we do not know.
    #[test]
    fn the_roots_are_all_that_amazon_has_in_the_published_list() {
        let ours: Vec<Vec<u8>> = ROOTS.iter().map(|pem| certificate(pem)).collect();
        let published = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        for (root, pem) in ours.iter().zip(ROOTS) {
            let is_trusted = published.iter().any(|other| &**other == root.as_slice());
            assert!(is_trusted, "not in the list any more:\n{pem}");
        }
        let names = [
            "Amazon Root CA",
            "Starfield Services Root Certificate Authority",
        ];
        let has = |certificate: &[u8], name: &str| {
            let mut parts = certificate.windows(name.len());
            parts.any(|part| part == name.as_bytes())
        };
        let of_amazon: Vec<_> = published
            .iter()
            .filter(|other| names.iter().any(|name| has(other, name)))
            .collect();
        assert_eq!(of_amazon.len(), ROOTS.len());
        for root in of_amazon {
            assert!(
                ours.contains(&root.to_vec()),
                "a root that is not pinned yet"
            );
        }
    }

    #[tokio::test]
    async fn the_roots_are_read_and_an_unreachable_service_is_a_transient_error() {
        // Nothing listens on the discard port of this machine.
        let client = aws("https://127.0.0.1:9").sqs();
        client.warm().await;
        let error = client.list_queues().send().await.unwrap_err();
        let error = crate::failure::port_error("listing queues", &error, |_| false);
        assert_eq!(
            (error.code.as_str(), error.kind),
            ("connection", ErrorKind::Transient)
        );
    }

    /// Answers every request with an empty object, with a pause before the body, and tells, per request, the connection it
    /// came by and what it said before its body.
    async fn serve(
        listener: TcpListener,
        heads: UnboundedSender<(usize, String)>,
        pause: Duration,
    ) {
        let mut connection = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            connection += 1;
            let (number, heads) = (connection, heads.clone());
            tokio::spawn(async move {
                stream.set_nodelay(true).unwrap();
                let mut received = String::new();
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    received.push_str(&String::from_utf8_lossy(&part[..length]));
                    // The only body that is sent is an empty object.
                    if received.ends_with("\r\n\r\n") || received.ends_with("{}") {
                        heads.send((number, std::mem::take(&mut received))).unwrap();
                        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
                        stream.write_all(head).await.unwrap();
                        tokio::time::sleep(pause).await;
                        stream.write_all(b"{}").await.unwrap();
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
        tokio::spawn(serve(listener, sender, Duration::ZERO));
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

    #[tokio::test]
    async fn a_warm_up_that_hangs_ends_and_the_first_request_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = aws(&format!("http://{}", listener.local_addr().unwrap())).dynamo();
        let (sender, _heads) = unbounded_channel();
        tokio::spawn(async move {
            let hangs = listener.accept().await.unwrap();
            serve(listener, sender, Duration::ZERO).await;
            drop(hangs);
        });
        let warmed = tokio::time::timeout(2 * ATTEMPT, client.warm()).await;
        warmed.expect("it is not waited for");
        client.list_tables().send().await.unwrap();
    }

    #[rstest]
    #[case::short(2)]
    #[case::long(100_000)]
    #[tokio::test]
    async fn an_answer_that_breaks_off_is_a_transient_error(#[case] length: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = aws(&format!("http://{}", listener.local_addr().unwrap())).dynamo();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut part = [0; 4096];
                let _ = stream.read(&mut part).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{{");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        });
        let error = client.list_tables().send().await.unwrap_err();
        let error = crate::failure::port_error("listing tables", &error, |_| false);
        assert_eq!(error.kind, ErrorKind::Transient);
    }

    #[tokio::test]
    async fn a_long_answer_is_read_by_its_caller() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = aws(&format!("http://{}", listener.local_addr().unwrap())).dynamo();
        let name = "n".repeat(100_000);
        let answer = format!(r#"{{"TableNames":["{name}"]}}"#);
        let router = axum::Router::new().fallback(move || std::future::ready(answer.clone()));
        tokio::spawn(axum::serve(listener, router).into_future());
        let listed = client.list_tables().send().await.unwrap();
        assert_eq!(listed.table_names(), [name]);
    }

    /// The connections that a warm-up and ten calls side by side open, where each is answered after a time.
    async fn side_by_side(answered: Duration, pace: Pace) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = format!("http://{address}");
        let http = OneConnector(http_client().unwrap(), SlowStart::at(pace));
        let client = Aws::over(http, access(&endpoint)).unwrap().dynamo();
        let (sender, mut heads) = unbounded_channel();
        tokio::spawn(serve(listener, sender, answered));
        client.warm().await;
        // In a task of its own: the runtime's main future runs after all others.
        let calls = async move {
            let calls = (0..10).map(|_| client.list_tables().send());
            futures::future::join_all(calls).await
        };
        let answered = tokio::spawn(calls).await.unwrap();
        assert!(answered.iter().all(Result::is_ok));
        // Connections are numbered, also those without a request. One more says how many there were.
        let last = "\r\n\r\n";
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(last.as_bytes()).await.unwrap();
        loop {
            let (number, head) = heads.recv().await.unwrap();
            if head == last {
                return number - 1;
            }
        }
    }

    #[rstest]
    #[case::that_is_opened_slowly(60)]
    #[case::that_is_opened_at_once(0)]
    #[tokio::test]
    async fn calls_side_by_side_share_what_is_open_and_one_more_connection(#[case] opening: u64) {
        // However slow the machine is.
        let pace = Pace {
            pause: Duration::from_secs(60),
            opening: Duration::from_secs(opening),
        };
        let answered = Duration::from_millis(if opening == 0 { 50 } else { 5 });
        assert!(side_by_side(answered, pace).await <= 2);
    }

    /// One after the other they would take ten seconds.
    #[tokio::test]
    async fn calls_that_take_long_do_not_wait_for_each_other() {
        let begin = std::time::Instant::now();
        let second = Duration::from_secs(1);
        assert!(side_by_side(second, Pace::default()).await > 5);
        assert!(begin.elapsed() < 4 * second);
    }

    #[test]
    fn the_keys_do_not_print() {
        let printed = format!("{:?}", aws("http://127.0.0.1:9"));
        assert!(printed.contains("eu-west-1"));
        assert!(!printed.contains("marker"));
    }

    const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");
    const ID: (&str, &str) = ("AWS_ACCESS_KEY_ID", "id");
    const SECRET: (&str, &str) = ("AWS_SECRET_ACCESS_KEY", "secret");

    /// What a function with these variables is configured with, or which variable it lacks. There are also a profile with
    /// everything that it could want, and a metadata service, which must not be asked. Only another process can have
    /// another environment, so it is this program that runs once more.
    fn found(variables: &[(&str, &str)]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let profile = directory.path().join("profile");
        let text = "[default]\nregion = us-east-1\nuse_fips_endpoint = true\nendpoint_url = http://127.0.0.1:9\n\
                    aws_access_key_id = profile\naws_secret_access_key = profile\n";
        std::fs::write(&profile, text).unwrap();
        let metadata = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        metadata.set_nonblocking(true).unwrap();
        let service = format!("http://{}", metadata.local_addr().unwrap());
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "client::tests::look"])
            .env_clear()
            .env("AWS_CONFIG_FILE", &profile)
            .env("AWS_SHARED_CREDENTIALS_FILE", &profile)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service)
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &service)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let asked = metadata.accept().map(|(_, from)| from);
        assert!(asked.is_err(), "the metadata service was asked");
        let output = String::from_utf8(output.stdout).unwrap();
        let found = output
            .split("found ")
            .nth(1)
            .and_then(|found| found.lines().next());
        found
            .unwrap_or_else(|| panic!("nothing was found: {output}"))
            .to_owned()
    }

    #[tokio::test]
    #[ignore = "what it finds depends on the environment; `found` runs it in one of its own"]
    async fn look() {
        let found = match Access::from_env() {
            Err(error) => error.to_string(),
            Ok(access) => {
                let config = match Aws::new(access) {
                    Ok(aws) => aws.config,
                    Err(error) => {
                        println!("found {error}");
                        return;
                    }
                };
                let provider = config.credentials_provider().unwrap();
                let credentials = provider.provide_credentials().await.unwrap();
                format!(
                    "{:?} {:?} {:?} {:?} {}",
                    config.region().unwrap().as_ref(),
                    config.endpoint_url(),
                    config.use_fips(),
                    config.use_dual_stack(),
                    credentials.access_key_id()
                )
            }
        };
        println!("found {found}");
    }

    #[test]
    fn neither_a_profile_nor_a_metadata_service_is_asked() {
        assert_eq!(
            found(&[REGION, ID, SECRET]),
            r#""eu-west-1" None None None id"#
        );
        // That a setting of the profile would be seen, were the profile read.
        let fips = ("AWS_USE_FIPS_ENDPOINT", "true");
        assert_eq!(
            found(&[REGION, ID, SECRET, fips]),
            r#""eu-west-1" None Some(true) None id"#
        );
    }

    #[rstest]
    #[case::neither(
        "yes",
        "the environment variable AWS_USE_DUALSTACK_ENDPOINT is neither true nor false"
    )]
    #[case::empty("", r#""eu-west-1" None None None id"#)]
    #[case::another_case("False", r#""eu-west-1" None None Some(false) id"#)]
    fn a_setting_is_true_or_false(#[case] value: &str, #[case] expected: &str) {
        let dual_stack = ("AWS_USE_DUALSTACK_ENDPOINT", value);
        assert_eq!(found(&[REGION, ID, SECRET, dual_stack]), expected);
    }

    #[rstest]
    #[case("AWS_REGION", &[ID, SECRET])]
    #[case("AWS_ACCESS_KEY_ID", &[REGION, SECRET])]
    #[case("AWS_SECRET_ACCESS_KEY", &[REGION, ID])]
    fn what_is_not_in_the_environment_is_missing(
        #[case] name: &str,
        #[case] variables: &[(&str, &str)],
    ) {
        let found = found(variables);
        assert!(
            found.starts_with(&format!("the environment variable {name} is not set")),
            "{found}"
        );
    }
}
