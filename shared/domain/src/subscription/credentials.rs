//! Credentials: what an integration proves itself with, and the access token it gets for them.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::timestamp::Timestamp;

/// The longest client id or secret that is taken, in characters.
const LONGEST: usize = 512;

/// How long before its expiry an access token is no longer used, in seconds: a call must not outlive its token.
const MARGIN_SECONDS: u64 = 300;

/// The public half of an integration's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId(String);

/// A text that is no half of a pair of credentials.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("it has to be 1 to {LONGEST} visible ASCII characters without spaces")]
pub struct ClientIdError;

fn is_plausible(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        if is_plausible(id) {
            Ok(Self(id.to_owned()))
        } else {
            Err(ClientIdError)
        }
    }
}

impl ClientId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an integration proves itself with. The secret does not print.
#[derive(Clone)]
pub struct Credentials {
    /// Which integration, and with it which site.
    pub client_id: ClientId,
    secret: SecretString,
}

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl Credentials {
    /// Takes an id with its secret.
    ///
    /// # Errors
    /// The secret is empty, too long, or has characters that no secret has. The error does not repeat it.
    pub fn new(client_id: ClientId, secret: &str) -> Result<Self, ClientIdError> {
        if !is_plausible(secret) {
            return Err(ClientIdError);
        }
        Ok(Self {
            client_id,
            secret: secret.into(),
        })
    }

    /// The secret, for the token request and for the store.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Whether both halves are equal; the secret is compared in constant time.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let [ours, theirs] =
            [self, other].map(|credentials| credentials.expose_secret().as_bytes());
        self.client_id == other.client_id && ours.ct_eq(theirs).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(_)")
    }
}

/// A bearer token. Does not print.
#[derive(Clone)]
pub struct AccessToken(SecretString);

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl AccessToken {
    /// Takes a token as the source gave it.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(SecretString::from(token.into()))
    }

    /// The token, for the `Authorization` header and for the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(_)")
    }
}

/// An access token and how long it is good for.
#[derive(Debug, Clone)]
pub struct Access {
    /// The token.
    pub token: AccessToken,
    /// When the source stops taking it.
    pub expires: Timestamp,
}

impl Access {
    /// Whether the token can be used for a call that starts now.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        now.plus_seconds(MARGIN_SECONDS) < self.expires
    }
}

/// What is kept of an account's authorization.
#[derive(Debug, Clone)]
pub struct OauthSecret {
    /// The credentials.
    pub credentials: Credentials,
    /// The access token in use, once there was one.
    pub access: Option<Access>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("abcDEF-_.~/+=", true)]
    #[case::empty("", false)]
    #[case::space("a b", false)]
    #[case::line_break("a\n", false)]
    #[case::not_ascii("é", false)]
    fn credentials_are_visible_ascii(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<ClientId>().is_ok(), good);
        let id: ClientId = "id".parse().unwrap();
        assert_eq!(Credentials::new(id, text).is_ok(), good);
    }

    #[rstest]
    #[case::both("id", "secret", true)]
    #[case::another_secret("id", "secreT", false)]
    #[case::a_longer_secret("id", "secret2", false)]
    #[case::another_id("other", "secret", false)]
    fn credentials_are_the_same_in_both_halves(
        #[case] id: &str,
        #[case] secret: &str,
        #[case] same: bool,
    ) {
        let of = |id: &str, secret: &str| Credentials::new(id.parse().unwrap(), secret).unwrap();
        let given = of(id, secret);
        assert_eq!(of("id", "secret").same(&given), same);
        assert_eq!(
            (given.client_id.as_str(), given.expose_secret()),
            (id, secret)
        );
        assert_eq!(AccessToken::new(secret).expose(), secret);
    }

    #[test]
    // requirement: secret-print
    fn nothing_secret_prints() {
        let secret = OauthSecret {
            credentials: Credentials::new("id".parse().unwrap(), "s3cret").unwrap(),
            access: Some(Access {
                token: AccessToken::new("t0ken"),
                expires: Timestamp::from_millis(0),
            }),
        };
        let printed = format!("{secret:?}");
        assert!(
            !printed.contains("s3cret") && !printed.contains("t0ken"),
            "{printed}"
        );
    }

    #[rstest]
    #[case::fresh(0, true)]
    #[case::just_before_the_margin(1_499_999, true)]
    #[case::at_the_margin(1_500_000, false)]
    #[case::after_expiry(1_800_001, false)]
    fn a_token_of_thirty_minutes_is_used_for_twenty_five(#[case] now: u64, #[case] usable: bool) {
        let access = Access {
            token: AccessToken::new("t"),
            expires: Timestamp::from_millis(1_800_000),
        };
        assert_eq!(access.is_usable(Timestamp::from_millis(now)), usable);
    }
}
