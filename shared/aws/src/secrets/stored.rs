//! What the secrets of an account hold, as JSON. A member that is not known is passed over: a function of the release
//! before must still find its keys while a new one is being rolled out.
//!
//! | secret | holds |
//! |---|---|
//! | signing | `{"keys":{"wh_…":"signing key"}}` |
//! | OAuth | `client_id`, `client_secret`, `access_token`, and `expires_at` in seconds since 1970 |
//!
//! The parser's own words may repeat a part of a secret, so they are never passed on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::account::WebhookId;
use domain::signature::{MacKey, SigningKeys};
use domain::subscription::{Access, AccessToken, Credentials, OauthSecret};
use domain::timestamp::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// The code of a secret that does not hold what its kind holds.
pub(super) const UNREADABLE: &str = "unreadable_secret";

#[derive(Serialize, Deserialize)]
struct Keys {
    keys: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Oauth<'a> {
    client_id: Cow<'a, str>,
    client_secret: Cow<'a, str>,
    access_token: Option<Cow<'a, str>>,
    expires_at: Option<u64>,
}

/// Reads signing keys.
pub(super) fn keys(json: &str) -> Option<SigningKeys> {
    let stored: Keys = serde_json::from_str(json).ok()?;
    let keys = stored.keys.into_iter();
    Some(
        keys.map(|(webhook, key)| (WebhookId::new(webhook), MacKey::new(key)))
            .collect(),
    )
}

/// Writes signing keys.
pub(super) fn keys_text(keys: &SigningKeys) -> Option<SecretString> {
    let keys = keys
        .iter()
        .map(|(webhook, key)| (webhook.as_str().to_owned(), key.expose().to_owned()));
    written(&Keys {
        keys: keys.collect(),
    })
}

/// Reads credentials and access token.
pub(super) fn oauth(json: &str) -> Option<OauthSecret> {
    let stored: Oauth<'_> = serde_json::from_str(json).ok()?;
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

/// Writes credentials and access token.
pub(super) fn oauth_text(secret: &OauthSecret) -> Option<SecretString> {
    let access = secret.access.as_ref();
    written(&Oauth {
        client_id: secret.credentials.client_id.as_str().into(),
        client_secret: secret.credentials.expose_secret().into(),
        access_token: access.map(|access| access.token.expose().into()),
        expires_at: access.map(|access| access.expires.seconds()),
    })
}

fn written(stored: &impl Serialize) -> Option<SecretString> {
    serde_json::to_string(stored).ok().map(SecretString::from)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the text that is stored")]
mod tests {
    use super::*;
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    #[test]
    fn keys_are_read_by_webhook_and_do_not_print() {
        let keys = keys(r#"{"keys":{"wh_2":"marker-two","wh_1":"marker-one"},"later":1}"#).unwrap();
        let read: Vec<_> = keys
            .iter()
            .map(|(webhook, key)| (webhook.as_str(), key.expose()))
            .collect();
        assert_eq!(read, [("wh_1", "marker-one"), ("wh_2", "marker-two")]);
        assert!(!format!("{keys:?}").contains("marker"));
        let text = keys_text(&keys).unwrap();
        assert_eq!(
            text.expose_secret(),
            r#"{"keys":{"wh_1":"marker-one","wh_2":"marker-two"}}"#
        );
    }

    #[rstest]
    #[case("")]
    #[case("marker")]
    #[case("{}")]
    #[case(r#"{"keys":"marker"}"#)]
    #[case(r#"{"keys":{"wh_1":["marker"]}}"#)]
    #[case(r#"{"marker":{}}"#)]
    fn what_holds_no_keys_is_unreadable(#[case] json: &str) {
        assert!(keys(json).is_none());
    }

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
}
