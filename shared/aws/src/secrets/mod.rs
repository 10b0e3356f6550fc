//! Secrets Manager: the signing keys of accounts, as the internet-facing function reads them.
//!
//! One secret per account, whose form [`stored`] knows. What a secret holds goes into types that do not print, and
//! into no error.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

mod stored;
pub mod write;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use domain::account::AccountName;
use domain::ports::{Keys, PortError};
use domain::signature::SigningKeys;

use crate::failure::port_error;

const READING: &str = "reading signing keys";

/// Whether a code says that the content was refused. Reading sends no content.
fn is_permanent(_: &str) -> bool {
    false
}

/// The secrets `{prefix}{account}`.
#[derive(Debug, Clone)]
pub struct SigningSecrets {
    client: Client,
    prefix: String,
}

impl SigningSecrets {
    /// Reads the secrets whose names begin with this prefix, its separator included.
    #[must_use]
    pub fn new(client: Client, prefix: impl Into<String>) -> Self {
        Self {
            client,
            prefix: prefix.into(),
        }
    }
}

impl Keys for SigningSecrets {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        let call = self
            .client
            .get_secret_value()
            .secret_id(format!("{}{account}", self.prefix));
        let answer = Box::pin(call.send()).await;
        match answer {
            Ok(answer) => stored::keys(answer.secret_string().unwrap_or_default())
                .ok_or_else(|| PortError::unreadable(READING)),
            Err(error) if is_absent(&error) => Ok(SigningKeys::default()),
            Err(error) => Err(port_error(READING, &error, is_permanent)),
        }
    }
}

/// Whether there is no such secret, or only one that waits for its deletion.
fn is_absent<R>(error: &SdkError<GetSecretValueError, R>) -> bool {
    match error.as_service_error() {
        Some(GetSecretValueError::ResourceNotFoundException(_)) => true,
        // The code alone is also that of other states; only the message tells.
        Some(GetSecretValueError::InvalidRequestException(error)) => error
            .message()
            .is_some_and(|message| message.contains("deletion")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::types::error::{
        InvalidRequestException, ResourceNotFoundException,
    };
    use rstest::rstest;

    #[rstest]
    #[case::scheduled(
        "You can't perform this operation on the secret because it was marked for deletion.",
        true
    )]
    #[case::other(
        "You tried to enable rotation on a secret that doesn't have a function.",
        false
    )]
    fn a_secret_that_waits_for_its_deletion_is_absent(#[case] message: &str, #[case] absent: bool) {
        let meta = ErrorMetadata::builder().message(message).build();
        let error = InvalidRequestException::builder()
            .message(message)
            .meta(meta)
            .build();
        let error = GetSecretValueError::InvalidRequestException(error);
        assert_eq!(is_absent(&SdkError::service_error(error, ())), absent);
        let error = ResourceNotFoundException::builder().build();
        let error = GetSecretValueError::ResourceNotFoundException(error);
        assert!(is_absent(&SdkError::service_error(error, ())));
    }
}
