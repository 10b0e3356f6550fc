//! Signatures of requests.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as sign_v4,
};
use aws_sigv4::sign::v4;
use http::Request;

/// Why a request could not be signed.
type Unsigned = Box<dyn std::error::Error + Send + Sync>;

/// Signs a request for a service of a region, as of a time.
///
/// # Errors
/// A header or the address is not one that can be signed.
pub fn sign(
    request: &mut Request<Vec<u8>>,
    service: &str,
    region: &str,
    credentials: &Credentials,
    at: SystemTime,
) -> Result<(), Unsigned> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(at)
        .settings(settings(service))
        .build()?
        .into();
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
        .collect::<Result<Vec<_>, Unsigned>>()?;
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(
        request.method().as_str(),
        &uri,
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )?;
    let (instructions, _) = sign_v4(signable, &params)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// S3 alone signs paths as they are, and wants the body's hash as a header.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// The time, for what is signed and for what is said about ages.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this library reads the clock"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}
