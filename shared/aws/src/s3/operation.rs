//! Calls of S3 without the SDK's crate for it. That crate takes longer to compile than any other, and adds half a megabyte to a
//! function: tables of checksums, rules of endpoints and directory buckets. Here are the two calls that every function may
//! make, and what all calls have in common.
//!
//! Connections, credentials, retries and time-outs are those of every other call. S3 verifies the body by the hash in
//! `x-amz-content-sha256`, which is signed.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::recursion_detection::RecursionDetectionInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::{Operation, OperationBuilder};
use aws_smithy_runtime::client::retries::classifiers::{
    HttpStatusCodeClassifier, TransientErrorClassifier,
};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output, OutputOrError};
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, OrchestratorError, SensitiveOutput,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::DeserializeResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use domain::uri;
use thiserror::Error;

use crate::client::Aws;

/// What [`put`] takes.
pub(super) struct Put {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

/// What [`get`] takes.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) key: String,
}

/// An object of which the head was read.
pub(super) struct Object {
    /// How long the answer says that it is, in bytes.
    pub(super) announced: Option<u64>,
    pub(super) body: ByteStream,
}

/// S3's answer to a call that it did not do.
#[derive(Debug, Error)]
#[error("S3 refused the call")]
pub(super) struct Refused(ErrorMetadata);

pub(super) type PutObject = Operation<Put, (), Refused>;
pub(super) type GetObject = Operation<Get, Object, Refused>;

// The SDK prints inputs and outputs in its finest log.
impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

impl Refused {
    pub(super) fn with_code(code: &str) -> Self {
        Self(ErrorMetadata::builder().code(code).build())
    }
}

impl ProvideErrorMetadata for Refused {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(super) fn put(aws: &Aws, bucket: &str) -> PutObject {
    putting(builder(aws, bucket, "PutObject")).build()
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
pub(super) fn get(aws: &Aws, bucket: &str) -> GetObject {
    getting(builder(aws, bucket, "GetObject")).build()
}

fn putting(builder: OperationBuilder) -> OperationBuilder<Put, (), Refused> {
    builder
        .serializer(|Put { key, bytes }: Put| {
            let length = bytes.len().to_string();
            let mut request = request("PUT", &key, SdkBody::from(bytes))?;
            let headers = request.headers_mut();
            headers.insert("content-type", "application/octet-stream");
            headers.insert("content-length", length);
            Ok(request)
        })
        .deserializer(|answer| {
            if answer.status().is_success() {
                return Ok(());
            }
            Err(OrchestratorError::operation(refused(answer)))
        })
}

fn getting(builder: OperationBuilder) -> OperationBuilder<Get, Object, Refused> {
    builder
        .serializer(|Get { key }: Get| request("GET", &key, SdkBody::empty()))
        .deserializer_impl(Streamed)
}

/// What all calls have in common: what each service's crate of the SDK sets up, as far as S3 needs it here.
pub(super) fn builder(aws: &Aws, bucket: &str, name: &'static str) -> OperationBuilder {
    let config = aws.config();
    let own = aws.s3_endpoint();
    let retries = config.retry_config().cloned();
    let mut builder = Operation::builder()
        .service_name("S3")
        .operation_name(name)
        .endpoint_url(&bucket_url(config, own.as_deref(), bucket))
        .standard_retry(&retries.unwrap_or_else(RetryConfig::standard))
        .retry_classifier(TransientErrorClassifier::<Refused>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(AwsErrorCodeClassifier::<Refused>::new())
        .retry_classifier(ServiceClockSkewClassifier::<Refused>::new())
        .interceptor(StalledStreamProtectionInterceptor::default())
        .interceptor(ServiceClockSkewInterceptor::new())
        .interceptor(RequestInfoInterceptor::new())
        .interceptor(InvocationIdInterceptor::new())
        .interceptor(RecursionDetectionInterceptor::new())
        .interceptor(UserAgentInterceptor::new())
        .with_connection_poisoning()
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(settings(config))
                .with_runtime_components(signer(config)),
        );
    if let Some(version) = config.behavior_version() {
        builder = builder.behavior_version(version);
    }
    if let Some(http) = config.http_client() {
        builder = builder.http_client(http);
    }
    if let Some(timeouts) = config.timeout_config() {
        builder = builder.timeout_config(timeouts.clone());
    }
    builder
}

fn settings(config: &SdkConfig) -> FrozenLayer {
    let mut signing_options = SigningOptions::default();
    // S3 signs a path as it is sent: a key may hold `//` and `..`, and what is encoded once is not encoded again.
    signing_options.double_uri_encode = false;
    signing_options.normalize_uri_path = false;
    signing_options.content_sha256_header = true;
    let mut settings = Layer::new("S3");
    settings.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from_static("s3")),
        signing_options,
        ..SigV4OperationSigningConfig::default()
    });
    settings.store_put(AuthSchemeOptionResolverParams::new(()));
    settings.store_put(ApiMetadata::new("s3", env!("CARGO_PKG_VERSION")));
    settings.store_put(SensitiveOutput);
    settings.freeze()
}

fn signer(config: &SdkConfig) -> RuntimeComponentsBuilder {
    let mut components = RuntimeComponentsBuilder::new("S3")
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
            SCHEME_ID,
        ])))
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_identity_cache(config.identity_cache());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    components
}

/// What stands before a key. AWS has a host name for each bucket; the certificate of it covers one label, so a bucket whose
/// name has dots stands in the path. So does one at an address of its own, where nothing makes host names.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>
fn bucket_url(config: &SdkConfig, own: Option<&str>, bucket: &str) -> String {
    if let Some(own) = own {
        return format!("{}/{}", own.trim_end_matches('/'), uri::path(bucket));
    }
    let region = config.region().map(Region::as_ref).unwrap_or_default();
    let service = match config.use_fips() {
        Some(true) => "s3-fips",
        _ => "s3",
    };
    let service = match config.use_dual_stack() {
        Some(true) => format!("{service}.dualstack"),
        _ => service.to_owned(),
    };
    let host = format!("{service}.{region}.amazonaws.com");
    if is_label(bucket) {
        return format!("https://{bucket}.{host}");
    }
    format!("https://{host}/{}", uri::path(bucket))
}

/// Whether a bucket's name may be one label of a host's name. One that has capitals may have been made long ago.
fn is_label(bucket: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(allowed)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

/// # Errors
/// The key is empty: the request would be about the bucket.
fn request(method: &str, key: &str, body: SdkBody) -> Result<HttpRequest, BoxError> {
    if key.is_empty() {
        return Err("an object's key is empty".into());
    }
    let mut request = HttpRequest::new(body);
    request.set_method(method)?;
    request.set_uri(format!("/{}", uri::path(key)))?;
    Ok(request)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub(super) fn refused(answer: &HttpResponse) -> Refused {
    match answer.body().bytes().and_then(code_in) {
        Some(code) => Refused::with_code(code),
        None => Refused(ErrorMetadata::builder().build()),
    }
}

/// The code in S3's XML. It goes into logs, so nothing else that could stand there is taken for one.
fn code_in(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    is_code(code).then_some(code)
}

/// Whether a text may be a code of S3.
pub(super) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Leaves an object's body unread: whoever reads it has a limit.
#[derive(Debug)]
struct Streamed;

impl DeserializeResponse for Streamed {
    fn deserialize_streaming_with_config(
        &self,
        answer: &mut HttpResponse,
        _: &ConfigBag,
    ) -> Option<OutputOrError> {
        if !answer.status().is_success() {
            return None;
        }
        let announced = answer.headers().get("content-length");
        let announced = announced.and_then(|length| length.parse().ok());
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body);
        Some(Ok(Output::erase(Object { announced, body })))
    }

    fn deserialize_nonstreaming_with_config(
        &self,
        answer: &HttpResponse,
        _: &ConfigBag,
    ) -> OutputOrError {
        let error = Error::erase(refused(answer));
        Err(OrchestratorError::operation(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Access, access};
    use aws_sdk_dynamodb::config::Credentials;
    use aws_smithy_runtime_api::client::interceptors::Intercept;
    use aws_smithy_runtime_api::client::interceptors::context::{
        BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef,
    };
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_types::sdk_config::TimeSource;
    use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
    use rstest::rstest;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    #[rstest]
    #[case::usual(
        None,
        None,
        "a-bucket-1",
        "https://a-bucket-1.s3.eu-west-1.amazonaws.com"
    )]
    #[case::off(
        Some(false),
        Some(false),
        "bucket",
        "https://bucket.s3.eu-west-1.amazonaws.com"
    )]
    #[case::fips(
        Some(true),
        None,
        "bucket",
        "https://bucket.s3-fips.eu-west-1.amazonaws.com"
    )]
    #[case::dual_stack(
        None,
        Some(true),
        "bucket",
        "https://bucket.s3.dualstack.eu-west-1.amazonaws.com"
    )]
    #[case::both(
        Some(true),
        Some(true),
        "bucket",
        "https://bucket.s3-fips.dualstack.eu-west-1.amazonaws.com"
    )]
    #[case::dots(None, None, "a.bucket", "https://s3.eu-west-1.amazonaws.com/a.bucket")]
    #[case::dots_and_fips(
        Some(true),
        None,
        "a.bucket",
        "https://s3-fips.eu-west-1.amazonaws.com/a.bucket"
    )]
    #[case::capitals(None, None, "Bucket_1", "https://s3.eu-west-1.amazonaws.com/Bucket_1")]
    #[case::hyphen(None, None, "-ab", "https://s3.eu-west-1.amazonaws.com/-ab")]
    #[case::short(None, None, "ab", "https://s3.eu-west-1.amazonaws.com/ab")]
    #[case::another_host(None, None, "a@b#", "https://s3.eu-west-1.amazonaws.com/a%40b%23")]
    fn a_bucket_has_a_host_where_the_certificate_covers_it(
        #[case] fips: Option<bool>,
        #[case] dual_stack: Option<bool>,
        #[case] bucket: &str,
        #[case] expected: &str,
    ) {
        let mut config = SdkConfig::builder().region(Region::new("eu-west-1"));
        config.set_use_fips(fips).set_use_dual_stack(dual_stack);
        assert_eq!(bucket_url(&config.build(), None, bucket), expected);
    }

    #[rstest]
    #[case("http://127.0.0.1:4566")]
    #[case("http://127.0.0.1:4566/")]
    fn at_an_address_of_its_own_a_bucket_stands_in_the_path(#[case] own: &str) {
        let config = SdkConfig::builder().region(Region::new("eu-west-1"));
        let url = bucket_url(&config.use_fips(true).build(), Some(own), "bucket");
        assert_eq!(url, "http://127.0.0.1:4566/bucket");
    }

    /// The environment of a function that gives these services addresses.
    #[derive(Debug)]
    struct Addresses(&'static str);

    impl LoadServiceConfig for Addresses {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            let is_this = key.service_id() == self.0 && key.env() == "AWS_ENDPOINT_URL";
            is_this.then(|| "http://own".to_owned())
        }
    }

    #[rstest]
    #[case::s3("S3", Some("http://all"), Some("http://own"))]
    #[case::s3_alone("S3", None, Some("http://own"))]
    #[case::another("SQS", Some("http://all"), Some("http://all"))]
    #[case::none("SQS", None, None)]
    fn the_address_of_s3_goes_before_that_of_all(
        #[case] service: &'static str,
        #[case] all: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let aws = Aws::new(access("http://127.0.0.1:9")).unwrap();
        let mut config = aws.config().to_builder();
        config.set_endpoint_url(all.map(str::to_owned));
        let aws = Aws::of(config.service_config(Addresses(service)).build());
        assert_eq!(aws.s3_endpoint().as_deref(), expected);
    }

    #[rstest]
    #[case(
        "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>",
        Some("NoSuchKey")
    )]
    #[case::another_code_inside(
        "<Error><Code>A</Code><Message>&lt;Code>B&lt;/Code></Message></Error>",
        Some("A")
    )]
    #[case::empty("", None)]
    #[case::no_xml("<html>503</html>", None)]
    #[case::no_content("<Error><Code></Code></Error>", None)]
    #[case::cut_off("<Error><Code>NoSuchK", None)]
    #[case::no_code("<Error><Code>two words</Code></Error>", None)]
    #[case::markup("<Error><Code><b>NoSuchKey</b></Code></Error>", None)]
    fn only_a_word_is_a_code(#[case] body: &str, #[case] expected: Option<&str>) {
        assert_eq!(code_in(body.as_bytes()), expected);
    }

    #[test]
    fn a_code_has_an_end() {
        let code = |length| format!("<Code>{}</Code>", "A".repeat(length)).into_bytes();
        assert_eq!(code_in(&code(64)).map(str::len), Some(64));
        assert_eq!(code_in(&code(65)), None);
        assert_eq!(code_in(b"<Code>A</Code>\xff"), None);
    }

    #[test]
    fn neither_content_nor_credentials_print() {
        let put = Put {
            key: "key".to_owned(),
            bytes: b"content".to_vec(),
        };
        assert_eq!(format!("{put:?}"), "Put { key: \"key\", .. }");
        let object = Object {
            announced: Some(7),
            body: ByteStream::from_static(b"content"),
        };
        assert_eq!(format!("{object:?}"), "Object { announced: Some(7), .. }");
        let aws = Aws::new(access("http://127.0.0.1:9")).unwrap();
        let printed = format!("{:?}", get(&aws, "bucket"));
        assert!(printed.contains("bucket") && !printed.contains("marker"));
    }

    /// The time of AWS's examples.
    #[derive(Debug)]
    struct Then;

    impl TimeSource for Then {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600)
        }
    }

    /// Makes a request one of AWS's examples just before it is signed, and keeps how it was signed in place of sending it.
    #[derive(Debug)]
    struct Example {
        url: &'static str,
        headers: &'static [(&'static str, &'static str)],
        signed: Arc<Mutex<String>>,
    }

    impl Intercept for Example {
        fn name(&self) -> &'static str {
            "Example"
        }

        fn modify_before_signing(
            &self,
            context: &mut BeforeTransmitInterceptorContextMut<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            let request = context.request_mut();
            let url = request.uri().replace(".us-east-1.", ".");
            assert_eq!(url, self.url, "the host and the key's path are our own");
            request.set_uri(url)?;
            let names = request.headers().iter().map(|(name, _)| name.to_owned());
            for name in names.collect::<Vec<_>>() {
                request.headers_mut().remove(name);
            }
            for (name, value) in self.headers {
                request.headers_mut().insert(*name, *value);
            }
            Ok(())
        }

        fn read_after_signing(
            &self,
            context: &BeforeTransmitInterceptorContextRef<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            let authorization = context.request().headers().get("authorization");
            authorization
                .unwrap()
                .clone_into(&mut self.signed.lock().unwrap());
            Err("not to be sent".into())
        }
    }

    /// How the example is signed, and what makes it so.
    fn example(
        url: &'static str,
        headers: &'static [(&'static str, &'static str)],
    ) -> (OperationBuilder, Arc<Mutex<String>>) {
        let aws = Aws::new(Access {
            region: "us-east-1".to_owned(),
            endpoint: None,
            credentials: Credentials::new(
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                None,
                None,
                "example",
            ),
        });
        let signed = Arc::default();
        let example = Example {
            url,
            headers,
            signed: Arc::clone(&signed),
        };
        let builder = builder(&aws.unwrap(), "examplebucket", "example");
        (builder.time_source(Then).interceptor(example), signed)
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#example-signature-calculations>
    #[tokio::test]
    async fn a_request_is_signed_as_the_published_example_for_reading() {
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let (builder, signed) = example(url, &[("range", "bytes=0-9")]);
        let key = "test.txt".to_owned();
        drop(getting(builder).build().invoke(Get { key }).await);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                        SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
                        Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(*signed.lock().unwrap(), expected);
    }

    #[rstest]
    #[case::a_name_without_a_value(
        "lifecycle",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )]
    #[case::two_parameters(
        "max-keys=2&prefix=J",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )]
    #[tokio::test]
    async fn a_query_is_signed_as_in_the_published_examples(
        #[case] query: &'static str,
        #[case] signature: &str,
    ) {
        let url = format!("https://examplebucket.s3.amazonaws.com/?{query}");
        let (builder, signed) = example(Box::leak(url.into_boxed_str()), &[]);
        let call = builder
            .serializer(move |()| {
                let mut request = HttpRequest::new(SdkBody::empty());
                request.set_uri(format!("/?{query}"))?;
                Ok(request)
            })
            .deserializer(|answer| Err::<(), _>(OrchestratorError::operation(refused(answer))));
        drop(call.build().invoke(()).await);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        assert_eq!(*signed.lock().unwrap(), expected);
    }

    /// Its key has a character that is encoded, once.
    #[tokio::test]
    async fn a_request_is_signed_as_the_published_example_for_writing() {
        let url = "https://examplebucket.s3.amazonaws.com/test%24file.text";
        let headers = &[
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let (builder, signed) = example(url, headers);
        let object = Put {
            key: "test$file.text".to_owned(),
            bytes: b"Welcome to Amazon S3.".to_vec(),
        };
        drop(putting(builder).build().invoke(object).await);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                        SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
                        Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        assert_eq!(*signed.lock().unwrap(), expected);
    }
}
