//! The secrets of accounts, as the function that manages them sees them: `{prefix}{account}` once for the
//! authorization and once for the signing keys.
//!
//! A secret that is scheduled for deletion refuses everything but its restoration, and its name cannot be
//! created again. So it counts as absent when it is read, and comes back when it is put.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use domain::account::{AccountName, WebhookId};
use domain::ports::PortError;
use domain::signature::{SigningKey, SigningKeys};
use domain::subscription::{Access, AccessToken, Credentials, OauthSecret, Secrets};
use domain::timestamp::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::failure::port_error;

const READING: &str = "reading a secret";
const KEEPING: &str = "keeping a secret";
const DELETING: &str = "scheduling a secret's deletion";

const NOT_FOUND: &str = "ResourceNotFoundException";
/// What the service says, among others, of a secret that is scheduled for deletion.
const INVALID_REQUEST: &str = "InvalidRequestException";
/// A secret that is not of the form that this release writes.
const UNREADABLE: &str = "unreadable_secret";

fn is_lasting(code: &str) -> bool {
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

/// The authorization as it is stored; `expires_at` in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct StoredOauth<'a> {
    client_id: std::borrow::Cow<'a, str>,
    client_secret: std::borrow::Cow<'a, str>,
    access_token: Option<std::borrow::Cow<'a, str>>,
    expires_at: Option<u64>,
}

/// The signing keys as they are stored, by webhook.
#[derive(Serialize, Deserialize)]
struct StoredKeys {
    keys: BTreeMap<String, String>,
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

    async fn read(&self, id: &str) -> Result<Option<SecretString>, PortError> {
        match self.client.get_secret_value().secret_id(id).send().await {
            Ok(answer) => {
                let text = answer
                    .secret_string
                    .ok_or_else(|| PortError::lasting(READING, UNREADABLE))?;
                Ok(Some(text.into()))
            }
            Err(error) if self.is_absent(id, &error).await => Ok(None),
            Err(error) => Err(port_error(READING, &error, is_lasting)),
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
                    Err(error) => Err(port_error(KEEPING, &error, is_lasting)),
                }
            }
            Some(INVALID_REQUEST) if self.is_scheduled_for_deletion(id).await => {
                self.client
                    .restore_secret()
                    .secret_id(id)
                    .send()
                    .await
                    .map_err(|error| port_error(KEEPING, &error, is_lasting))?;
                self.put_value(id, text)
                    .await
                    .map_err(|error| port_error(KEEPING, &error, is_lasting))
            }
            _ => Err(port_error(KEEPING, &error, is_lasting)),
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
            Err(error) => Err(port_error(DELETING, &error, is_lasting)),
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

impl Secrets for AccountSecrets {
    async fn oauth(&self, account: &AccountName) -> Result<Option<OauthSecret>, PortError> {
        match self.read(&self.oauth_id(account)).await? {
            None => Ok(None),
            Some(text) => oauth(text.expose_secret())
                .map(Some)
                .ok_or_else(|| PortError::lasting(READING, UNREADABLE)),
        }
    }

    async fn put_oauth(
        &self,
        account: &AccountName,
        secret: &OauthSecret,
    ) -> Result<(), PortError> {
        let text = oauth_text(secret)?;
        self.put(&self.oauth_id(account), text.expose_secret())
            .await
    }

    async fn keys(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        match self.read(&self.signing_id(account)).await? {
            None => Ok(SigningKeys::default()),
            Some(text) => {
                keys(text.expose_secret()).ok_or_else(|| PortError::lasting(READING, UNREADABLE))
            }
        }
    }

    async fn put_keys(&self, account: &AccountName, keys: &SigningKeys) -> Result<(), PortError> {
        let text = keys_text(keys)?;
        self.put(&self.signing_id(account), text.expose_secret())
            .await
    }

    async fn retire(&self, account: &AccountName) -> Result<(), PortError> {
        // The credentials last: as long as they are there, a call that continues can still ask the source.
        self.delete(&self.signing_id(account)).await?;
        self.delete(&self.oauth_id(account)).await
    }
}

fn oauth(text: &str) -> Option<OauthSecret> {
    let stored: StoredOauth<'_> = serde_json::from_str(text).ok()?;
    let client_id = stored.client_id.parse().ok()?;
    let access = match (stored.access_token, stored.expires_at) {
        (Some(token), Some(expires)) => Some(Access {
            token: AccessToken::new(token),
            expires: Timestamp::from_millis(expires.saturating_mul(1000)),
        }),
        _ => None,
    };
    Some(OauthSecret {
        credentials: Credentials::new(client_id, &stored.client_secret).ok()?,
        access,
    })
}

fn oauth_text(secret: &OauthSecret) -> Result<SecretString, PortError> {
    let access = secret.access.as_ref();
    written(&StoredOauth {
        client_id: secret.credentials.client_id.as_str().into(),
        client_secret: secret.credentials.expose_secret().into(),
        access_token: access.map(|access| access.token.expose().into()),
        expires_at: access.map(|access| access.expires.seconds()),
    })
}

fn keys(text: &str) -> Option<SigningKeys> {
    let stored: StoredKeys = serde_json::from_str(text).ok()?;
    let keys = stored.keys.into_iter();
    Some(
        keys.map(|(webhook, key)| (WebhookId::new(webhook), SigningKey::new(key)))
            .collect(),
    )
}

fn keys_text(keys: &SigningKeys) -> Result<SecretString, PortError> {
    let keys = keys
        .iter()
        .map(|(webhook, key)| (webhook.as_str().to_owned(), key.expose().to_owned()));
    written(&StoredKeys {
        keys: keys.collect(),
    })
}

fn written(stored: &impl Serialize) -> Result<SecretString, PortError> {
    serde_json::to_string(stored)
        .map(SecretString::from)
        .map_err(|_| PortError::lasting(KEEPING, "construction"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(access: Option<Access>) -> OauthSecret {
        OauthSecret {
            credentials: Credentials::new("id".parse().unwrap(), "s3cret").unwrap(),
            access,
        }
    }

    #[test]
    fn an_authorization_reads_back_as_it_was() {
        let access = Access {
            token: AccessToken::new("t"),
            expires: Timestamp::from_millis(1_795_176_000_000),
        };
        let text = oauth_text(&secret(Some(access))).unwrap();
        assert_eq!(
            text.expose_secret(),
            r#"{"client_id":"id","client_secret":"s3cret","access_token":"t","expires_at":1795176000}"#
        );
        let again = oauth(text.expose_secret()).unwrap();
        assert!(again.credentials.same(&secret(None).credentials));
        let access = again.access.unwrap();
        assert_eq!(access.token.expose(), "t");
        assert_eq!(access.expires, Timestamp::from_millis(1_795_176_000_000));
        let bare = oauth_text(&secret(None)).unwrap();
        assert!(oauth(bare.expose_secret()).unwrap().access.is_none());
    }

    #[test]
    fn keys_are_stored_by_webhook() {
        let held: SigningKeys = [("wh_b", "2"), ("wh_a", "1")]
            .map(|(webhook, key)| (WebhookId::new(webhook), SigningKey::new(key)))
            .into_iter()
            .collect();
        let text = keys_text(&held).unwrap();
        assert_eq!(text.expose_secret(), r#"{"keys":{"wh_a":"1","wh_b":"2"}}"#);
        assert!(
            keys(text.expose_secret())
                .unwrap()
                .holds(&WebhookId::new("wh_a"))
        );
        assert!(keys("{}").is_none());
    }
}
