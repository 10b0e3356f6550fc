//! From the SDK's errors to [`PortError`]: what was asked, a code, and whether asking again can help.
//!
//! Nothing of a request or an answer goes along, only the service's error code. Which codes are about the
//! content is each service's own table; a code that no table has is taken for a transient error.
//!
//! <https://docs.aws.amazon.com/sdk-for-rust/latest/dg/error-handling.html>

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use domain::ports::{ErrorKind, PortError};

/// A service's table: whether a code says that the content itself was refused.
pub(crate) type IsPermanent = fn(&str) -> bool;

/// The error of the call named `what`, by the table of the service that was called.
pub(crate) fn port_error<E: ProvideErrorMetadata>(
    what: &'static str,
    error: &SdkError<E, HttpResponse>,
    is_permanent: IsPermanent,
) -> PortError {
    let code = code_of(error);
    let kind = if is_permanent(&code) {
        ErrorKind::Permanent
    } else {
        ErrorKind::Transient
    };
    PortError { what, code, kind }
}

/// The service's code; `http_{status}` where an answer has none; one word where there is no answer.
fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::ServiceError(answer) => match answer.err().code() {
            Some(code) => code.to_owned(),
            None => status(answer.raw()),
        },
        SdkError::ResponseError(answer) => status(answer.raw()),
        SdkError::TimeoutError(_) => "timeout".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timeout".to_owned(),
        SdkError::DispatchFailure(_) => "connection".to_owned(),
        SdkError::ConstructionFailure(_) => "construction".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn status(answer: &HttpResponse) -> String {
    format!("http_{}", answer.status().as_u16())
}
