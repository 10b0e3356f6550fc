//! What the secrets of an account hold, as JSON. A member that is not known is passed over: a function of the release
//! before must still find its keys while a new one is being rolled out.
//!
//! | secret | holds |
//! |---|---|
//! | signing | `registrations`: by the hex SHA-256 of its URL token each registration's `version`, `macs` (keys), `basic` and `header` (shared secrets) |
//! | signing, for release 0.1.0 | `keys`: MAC keys by webhook |
//! | OAuth | `client_id` and `client_secret`, or `fields` by their names; `access_token`, and `expires_at` in seconds since 1970 |
//!
//! The parser's own words may repeat a part of a secret, so they are never passed on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::account::{KeysVersion, WebhookId};
use domain::signature::{LiveSecrets, MacKey, Place, RegistrationKeys, SharedSecret, SigningKeys};
use domain::subscription::{Access, AccessToken, Credentials, OauthSecret};
use domain::timestamp::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

const CLIENT_ID: &str = "client_id";
const CLIENT_SECRET: &str = "client_secret";

#[derive(Serialize, Deserialize)]
struct Signing {
    #[serde(default)]
    keys: Option<BTreeMap<String, String>>,
    #[serde(default)]
    registrations: Option<BTreeMap<String, Registration>>,
}

#[derive(Serialize, Deserialize)]
struct Registration {
    version: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    macs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    basic: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    header: Vec<String>,
}

impl From<Registration> for RegistrationKeys {
    fn from(stored: Registration) -> Self {
        let at = |place| move |secret: String| SharedSecret::new(place, secret);
        let basic = stored.basic.into_iter().map(at(Place::Basic));
        let header = stored.header.into_iter().map(at(Place::Header));
        Self {
            version: KeysVersion::new(stored.version),
            secrets: LiveSecrets {
                macs: stored.macs.into_iter().map(MacKey::new).collect(),
                shared: basic.chain(header).collect(),
            },
        }
    }
}

impl From<&RegistrationKeys> for Registration {
    fn from(keys: &RegistrationKeys) -> Self {
        let at = |place| {
            let secrets = keys.secrets.shared.iter();
            let there = secrets.filter(move |secret| secret.place() == place);
            there.map(|secret| secret.expose().to_owned()).collect()
        };
        let macs = keys.secrets.macs.iter();
        Self {
            version: keys.version.get(),
            macs: macs.map(|key| key.expose().to_owned()).collect(),
            basic: at(Place::Basic),
            header: at(Place::Header),
        }
    }
}

/// Orderspace's credentials stand at the top, where the release before looks for them; any other source's in `fields`.
#[derive(Serialize, Deserialize)]
struct Oauth<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    access_token: Option<Cow<'a, str>>,
    expires_at: Option<u64>,
}

/// Reads signing keys, of this release's form or of the one before.
pub(super) fn keys(json: &str) -> Option<SigningKeys> {
    let stored: Signing = serde_json::from_str(json).ok()?;
    if stored.keys.is_none() && stored.registrations.is_none() {
        return None;
    }
    let registrations = stored.registrations.unwrap_or_default().into_iter();
    let registrations = registrations.map(|(token, keys)| Some((token.parse().ok()?, keys.into())));
    let by_webhook = stored.keys.unwrap_or_default().into_iter();
    let by_webhook = by_webhook.map(|(webhook, key)| (WebhookId::new(webhook), MacKey::new(key)));
    Some(SigningKeys::stored(
        registrations.collect::<Option<_>>()?,
        by_webhook.collect(),
    ))
}

/// Writes signing keys, in this release's form and in that of the one before.
pub(super) fn keys_text(keys: &SigningKeys) -> Option<SecretString> {
    let by_webhook = keys.by_webhook().iter();
    let by_webhook =
        by_webhook.map(|(webhook, key)| (webhook.as_str().to_owned(), key.expose().to_owned()));
    let registrations = keys.registrations().iter();
    let registrations = registrations.map(|(token, keys)| (token.to_string(), keys.into()));
    written(&Signing {
        keys: Some(by_webhook.collect()),
        registrations: Some(registrations.collect()),
    })
}

/// Reads credentials and access token.
pub(super) fn oauth(json: &str) -> Option<OauthSecret> {
    let stored: Oauth<'_> = serde_json::from_str(json).ok()?;
    let credentials = match (stored.client_id, stored.client_secret, stored.fields) {
        (Some(id), Some(secret), _) => Credentials::of([(CLIENT_ID, id), (CLIENT_SECRET, secret)]),
        (_, _, Some(fields)) => Credentials::of(fields),
        _ => return None,
    };
    let access = match (stored.access_token, stored.expires_at) {
        (Some(token), Some(expires)) => Some(Access {
            token: AccessToken::new(token),
            expires: Timestamp::from_millis(expires.saturating_mul(1000)),
        }),
        _ => None,
    };
    Some(OauthSecret {
        credentials: credentials.ok()?,
        access,
    })
}

/// Writes credentials and access token.
pub(super) fn oauth_text(secret: &OauthSecret) -> Option<SecretString> {
    let access = secret.access.as_ref();
    let credentials = &secret.credentials;
    let pair = [CLIENT_ID, CLIENT_SECRET].map(|name| credentials.get(name).map(Cow::from));
    let is_pair = pair.iter().all(Option::is_some) && credentials.expose().count() == pair.len();
    let [client_id, client_secret] = if is_pair { pair } else { [None, None] };
    let fields = credentials.expose();
    let fields = fields.map(|(name, value)| (name.into(), value.into()));
    written(&Oauth {
        client_id,
        client_secret,
        fields: (!is_pair).then(|| fields.collect()),
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
    use domain::account::UrlToken;
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    #[test]
    // requirement: secret-print
    fn keys_are_read_by_webhook_and_do_not_print() {
        let keys = keys(r#"{"keys":{"wh_2":"marker-two","wh_1":"marker-one"},"later":1}"#).unwrap();
        let read: Vec<_> = keys
            .by_webhook()
            .iter()
            .map(|(webhook, key)| (webhook.as_str(), key.expose()))
            .collect();
        assert_eq!(read, [("wh_1", "marker-one"), ("wh_2", "marker-two")]);
        assert!(!format!("{keys:?}").contains("marker"));
    }

    #[test]
    fn keys_of_a_registration_read_back_and_the_release_before_finds_them_too() {
        let token = UrlToken::from_random(&[7; 32]).hash();
        let mut held = SigningKeys::default();
        held.put(
            token,
            Some(&WebhookId::new("wh_1")),
            RegistrationKeys {
                version: KeysVersion::new(5),
                secrets: LiveSecrets {
                    macs: vec![MacKey::new("k")],
                    shared: vec![
                        SharedSecret::new(Place::Header, "h"),
                        SharedSecret::new(Place::Basic, "b"),
                    ],
                },
            },
        );
        let text = keys_text(&held).unwrap();
        let expected = format!(
            r#"{{"keys":{{"wh_1":"k"}},"registrations":{{"{token}":{{"version":5,"macs":["k"],"basic":["b"],"header":["h"]}}}}}}"#
        );
        assert_eq!(text.expose_secret(), expected);
        let read = keys(text.expose_secret()).unwrap();
        let read = keys_text(&read).unwrap();
        assert_eq!(read.expose_secret(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("marker")]
    #[case("{}")]
    #[case(r#"{"keys":"marker"}"#)]
    #[case(r#"{"keys":{"wh_1":["marker"]}}"#)]
    #[case(r#"{"marker":{}}"#)]
    #[case(r#"{"registrations":{"marker":{"version":1}}}"#)]
    #[case(r#"{"registrations":[]}"#)]
    fn what_holds_no_keys_is_unreadable(#[case] json: &str) {
        assert!(keys(json).is_none());
    }

    fn secret(access: Option<Access>) -> OauthSecret {
        OauthSecret {
            credentials: Credentials::of([(CLIENT_ID, "id"), (CLIENT_SECRET, "s3cret")]).unwrap(),
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

    #[rstest]
    #[case::a_key(&[("api_key", "k"), ("app_id", "a")], r#"{"fields":{"api_key":"k","app_id":"a"},"access_token":null,"expires_at":null}"#)]
    #[case::half_a_pair(&[("client_id", "i")], r#"{"fields":{"client_id":"i"},"access_token":null,"expires_at":null}"#)]
    #[case::more_than_a_pair(
        &[("client_id", "i"), ("client_secret", "s"), ("site", "x")],
        r#"{"fields":{"client_id":"i","client_secret":"s","site":"x"},"access_token":null,"expires_at":null}"#
    )]
    fn credentials_of_any_names_read_back(#[case] fields: &[(&str, &str)], #[case] text: &str) {
        let credentials = Credentials::of(fields.iter().copied()).unwrap();
        let kept = OauthSecret {
            credentials: credentials.clone(),
            access: None,
        };
        assert_eq!(oauth_text(&kept).unwrap().expose_secret(), text);
        assert!(oauth(text).unwrap().credentials.same(&credentials));
    }

    #[rstest]
    #[case("{}")]
    #[case(r#"{"client_id":"marker"}"#)]
    #[case(r#"{"fields":"marker"}"#)]
    #[case(r#"{"fields":{"api_key":1}}"#)]
    #[case(r#"{"fields":{"api_key":""}}"#)]
    fn what_holds_no_credentials_is_unreadable(#[case] json: &str) {
        assert!(oauth(json).is_none());
    }
}
