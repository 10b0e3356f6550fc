//! The secrets of accounts, as the function that manages them sees them: `{prefix}{account}` once for the
//! authorization and once for the signing keys.
//!
//! A secret that is scheduled for deletion refuses everything but its restoration, and its name cannot be
//! created again. So it counts as absent when it is read, and comes back when it is put.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use domain::account::AccountName;
use domain::ports::{Keys, PortError};
use domain::signature::SigningKeys;
use domain::subscription::{OauthSecret, Secrets};
use secrecy::{ExposeSecret, SecretString};

use super::stored;
use crate::failure::port_error;

const READING: &str = "reading a secret";
const KEEPING: &str = "keeping a secret";
const DELETING: &str = "scheduling a secret's deletion";

const NOT_FOUND: &str = "ResourceNotFoundException";
/// What the service says, among others, of a secret that is scheduled for deletion.
const INVALID_REQUEST: &str = "InvalidRequestException";

fn unwritten() -> PortError {
    PortError::permanent(KEEPING, "construction")
}

fn is_permanent(code: &str) -> bool {
    matches!(
        code,
        "InvalidParameterException" | "InvalidRequestException" | "LimitExceededException"
    )
}

/// Both secrets of every account, under one prefix each.
#[derive(Debug, Clone)]
pub struct AccountSecrets {
    client: Client,
    oauth_prefix: String,
    signing_prefix: String,
    recovery_days: i64,
}

impl AccountSecrets {
    /// Keeps secrets under these prefixes; a deletion can be taken back for so many days (7 to 30).
    #[must_use]
    pub fn new(
        client: Client,
        oauth_prefix: impl Into<String>,
        signing_prefix: impl Into<String>,
        recovery_days: u8,
    ) -> Self {
        Self {
            client,
            oauth_prefix: oauth_prefix.into(),
            signing_prefix: signing_prefix.into(),
            recovery_days: recovery_days.into(),
        }
    }

    async fn secret(&self, id: &str) -> Result<Option<SecretString>, PortError> {
        match self.client.get_secret_value().secret_id(id).send().await {
            Ok(answer) => {
                let text = answer
                    .secret_string
                    .ok_or_else(|| PortError::unreadable(READING))?;
                Ok(Some(text.into()))
            }
            Err(error) if self.is_absent(id, &error).await => Ok(None),
            Err(error) => Err(port_error(READING, &error, is_permanent)),
        }
    }

    async fn put(&self, id: &str, text: &str) -> Result<(), PortError> {
        let Err(error) = self.put_value(id, text).await else {
            return Ok(());
        };
        match error.code() {
            Some(NOT_FOUND) => {
                let created = self.client.create_secret().name(id).secret_string(text);
                match created.send().await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(port_error(KEEPING, &error, is_permanent)),
                }
            }
            Some(INVALID_REQUEST) if self.is_scheduled_for_deletion(id).await => {
                self.client
                    .restore_secret()
                    .secret_id(id)
                    .send()
                    .await
                    .map_err(|error| port_error(KEEPING, &error, is_permanent))?;
                self.put_value(id, text)
                    .await
                    .map_err(|error| port_error(KEEPING, &error, is_permanent))
            }
            _ => Err(port_error(KEEPING, &error, is_permanent)),
        }
    }

    async fn put_value(
        &self,
        id: &str,
        text: &str,
    ) -> Result<
        (),
        SdkError<
            aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError,
            aws_sdk_secretsmanager::config::http::HttpResponse,
        >,
    > {
        let put = self
            .client
            .put_secret_value()
            .secret_id(id)
            .secret_string(text);
        put.send().await.map(drop)
    }

    async fn delete(&self, id: &str) -> Result<(), PortError> {
        let deletion = self
            .client
            .delete_secret()
            .secret_id(id)
            .recovery_window_in_days(self.recovery_days);
        match deletion.send().await {
            Ok(_) => Ok(()),
            Err(error) if self.is_absent(id, &error).await => Ok(()),
            Err(error) => Err(port_error(DELETING, &error, is_permanent)),
        }
    }

    /// Whether an error says that there is no secret, or none that could be used.
    async fn is_absent<E>(&self, id: &str, error: &E) -> bool
    where
        E: ProvideErrorMetadata + Sync,
    {
        match error.code() {
            Some(NOT_FOUND) => true,
            Some(INVALID_REQUEST) => self.is_scheduled_for_deletion(id).await,
            _ => false,
        }
    }

    async fn is_scheduled_for_deletion(&self, id: &str) -> bool {
        let description = self.client.describe_secret().secret_id(id).send().await;
        description.is_ok_and(|description| description.deleted_date().is_some())
    }

    fn oauth_id(&self, account: &AccountName) -> String {
        format!("{}{account}", self.oauth_prefix)
    }

    fn signing_id(&self, account: &AccountName) -> String {
        format!("{}{account}", self.signing_prefix)
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets are stored as text")]
impl Keys for AccountSecrets {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        match self.secret(&self.signing_id(account)).await? {
            None => Ok(SigningKeys::default()),
            Some(text) => {
                stored::keys(text.expose_secret()).ok_or_else(|| PortError::unreadable(READING))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets are stored as text")]
impl Secrets for AccountSecrets {
    async fn oauth(&self, account: &AccountName) -> Result<Option<OauthSecret>, PortError> {
        match self.secret(&self.oauth_id(account)).await? {
            None => Ok(None),
            Some(text) => stored::oauth(text.expose_secret())
                .map(Some)
                .ok_or_else(|| PortError::unreadable(READING)),
        }
    }

    async fn put_oauth(
        &self,
        account: &AccountName,
        secret: &OauthSecret,
    ) -> Result<(), PortError> {
        let text = stored::oauth_text(secret).ok_or_else(unwritten)?;
        self.put(&self.oauth_id(account), text.expose_secret())
            .await
    }

    async fn put_keys(&self, account: &AccountName, keys: &SigningKeys) -> Result<(), PortError> {
        let text = stored::keys_text(keys).ok_or_else(unwritten)?;
        self.put(&self.signing_id(account), text.expose_secret())
            .await
    }

    async fn retire(&self, account: &AccountName) -> Result<(), PortError> {
        // The credentials last: as long as they are there, a call that continues can still ask the source.
        self.delete(&self.signing_id(account)).await?;
        self.delete(&self.oauth_id(account)).await
    }
}
