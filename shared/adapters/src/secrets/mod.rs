//! Secrets Manager: the signing keys of accounts, as the internet-facing function reads them.
//!
//! One secret per account, `{"keys":{"wh_…":"signing key"}}`. What a secret holds goes into types that do not
//! print, and into no error.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

pub mod write;

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use domain::account::{AccountName, WebhookId};
use domain::ports::{Keys, PortError};
use domain::signature::{SigningKey, SigningKeys};
use serde::Deserialize;

use crate::failure::port_error;

const READING: &str = "reading signing keys";

/// Whether a code says that the content was refused. Reading sends no content.
fn is_lasting(_: &str) -> bool {
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
        let answer = self
            .client
            .get_secret_value()
            .secret_id(format!("{}{account}", self.prefix))
            .send()
            .await;
        match answer {
            Ok(answer) => keys(answer.secret_string().unwrap_or_default()),
            Err(error) if is_absent(&error) => Ok(SigningKeys::default()),
            Err(error) => Err(port_error(READING, &error, is_lasting)),
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

/// What the secret holds. A member that is not known is passed over: a function of the version before must
/// still find its keys while a new one is being rolled out.
#[derive(Deserialize)]
struct Stored {
    keys: BTreeMap<String, String>,
}

fn keys(json: &str) -> Result<SigningKeys, PortError> {
    // The parser's own words may repeat a part of the secret.
    let stored: Stored =
        serde_json::from_str(json).map_err(|_| PortError::passing(READING, "malformed_secret"))?;
    let keys = stored.keys.into_iter();
    Ok(keys
        .map(|(webhook, key)| (WebhookId::new(webhook), SigningKey::new(key)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::types::error::{
        InvalidRequestException, ResourceNotFoundException,
    };
    use rstest::rstest;

    #[test]
    fn keys_are_read_by_webhook_and_do_not_print() {
        let keys = keys(r#"{"keys":{"wh_2":"marker-two","wh_1":"marker-one"},"later":1}"#).unwrap();
        let read: Vec<_> = keys
            .iter()
            .map(|(webhook, key)| (webhook.as_str(), key.expose()))
            .collect();
        assert_eq!(read, [("wh_1", "marker-one"), ("wh_2", "marker-two")]);
        assert!(!format!("{keys:?}").contains("marker"));
    }

    #[rstest]
    #[case("")]
    #[case("marker")]
    #[case(r#"{"keys":"marker"}"#)]
    #[case(r#"{"keys":{"wh_1":["marker"]}}"#)]
    #[case(r#"{"marker":{}}"#)]
    fn what_cannot_be_read_is_told_without_repeating_it(#[case] json: &str) {
        let error = keys(json).unwrap_err();
        assert!(error.is_passing());
        assert!(!format!("{error} {error:?}").contains("marker"));
    }

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
