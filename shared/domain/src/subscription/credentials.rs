//! Credentials: what an integration proves itself with, and the access token it gets for them.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::subscription::CredentialField;
use crate::timestamp::Timestamp;

/// The longest credential that is taken, in characters.
const LONGEST: usize = 512;

/// How long before its expiry an access token is no longer used, in seconds: a call must not outlive its token.
const MARGIN_SECONDS: u64 = 300;

/// When an access ends that does not end, in milliseconds: the year 9999. What is stored are its seconds.
const ENDLESS_MILLIS: u64 = 253_370_764_800_000;

/// A text that is no credential. The error does not repeat it.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("it has to be 1 to {LONGEST} visible ASCII characters without spaces")]
pub struct CredentialError;

fn is_plausible(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What an integration proves itself with: values by the names that the source has for them. No value prints.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, SecretString>);

#[expect(clippy::disallowed_methods, reason = "the one reader of these secrets")]
impl Credentials {
    /// Takes values with their names.
    ///
    /// # Errors
    /// A value is empty, too long, or has characters that no credential has.
    pub fn of<N: Into<String>, V: AsRef<str>>(
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, CredentialError> {
        let fields = fields.into_iter().map(|(name, value)| {
            let value = value.as_ref();
            let good = is_plausible(value).then(|| (name.into(), SecretString::from(value)));
            good.ok_or(CredentialError)
        });
        fields.collect::<Result<_, _>>().map(Self)
    }

    /// The value of that name, for the request that sends it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(SecretString::expose_secret)
    }

    /// All names and values, for the store.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    /// Whether all of it is equal; values are compared in constant time.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let is_equal = |(ours, theirs): (&SecretString, &SecretString)| -> bool {
            let [ours, theirs] = [ours, theirs].map(|value| value.expose_secret().as_bytes());
            ours.ct_eq(theirs).into()
        };
        self.0.keys().eq(other.0.keys()) && self.0.values().zip(other.0.values()).all(is_equal)
    }

    /// Whether both are of the same integration, and so of the same site: what of these fields is no secret is equal.
    /// Where all are secret nobody can say.
    #[must_use]
    pub fn is_of_same_client(&self, other: &Self, fields: &[CredentialField]) -> bool {
        let mut public = fields.iter().filter(|field| !field.is_secret).peekable();
        public.peek().is_some() && public.all(|field| self.get(field.name) == other.get(field.name))
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

    /// What a source is called with that gives out no tokens: nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new("")
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
    /// The access to a source that gives out no tokens, but takes the credentials with every call.
    #[must_use]
    pub fn by_credentials() -> Self {
        Self {
            token: AccessToken::none(),
            expires: Timestamp::from_millis(ENDLESS_MILLIS),
        }
    }

    /// Whether the token can be used for a call that starts now.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        now.plus_seconds(MARGIN_SECONDS) < self.expires
    }
}

/// Who calls a source: the credentials, and the access token that they got.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The credentials.
    pub credentials: Credentials,
    /// The token; [`AccessToken::none`] where the source gives out none.
    pub token: AccessToken,
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

    const FIELDS: [CredentialField; 2] = [
        CredentialField {
            name: "client_id",
            is_secret: false,
        },
        CredentialField {
            name: "client_secret",
            is_secret: true,
        },
    ];

    fn pair(id: &str, secret: &str) -> Credentials {
        Credentials::of([("client_id", id), ("client_secret", secret)]).unwrap()
    }

    #[rstest]
    #[case::plain("abcDEF-_.~/+=", true)]
    #[case::empty("", false)]
    #[case::space("a b", false)]
    #[case::line_break("a\n", false)]
    #[case::not_ascii("é", false)]
    #[case::longest(&"a".repeat(512), true)]
    #[case::too_long(&"a".repeat(513), false)]
    fn credentials_are_visible_ascii(#[case] text: &str, #[case] good: bool) {
        assert_eq!(Credentials::of([("any", text)]).is_ok(), good);
        let both = [("first", "good"), ("any", text)];
        assert_eq!(Credentials::of(both).is_ok(), good);
    }

    #[rstest]
    #[case::both("id", "secret", true)]
    #[case::another_secret("id", "secreT", false)]
    #[case::a_longer_secret("id", "secret2", false)]
    #[case::another_id("other", "secret", false)]
    fn credentials_are_the_same_in_every_field(
        #[case] id: &str,
        #[case] secret: &str,
        #[case] same: bool,
    ) {
        let given = pair(id, secret);
        assert_eq!(pair("id", "secret").same(&given), same);
        assert_eq!(given.get("client_id"), Some(id));
        assert_eq!(given.get("client_secret"), Some(secret));
        assert_eq!(given.get("other"), None);
        assert_eq!(given.expose().count(), 2);
        let more = [("client_id", id), ("client_secret", secret), ("x", "y")];
        assert!(!given.same(&Credentials::of(more).unwrap()));
        assert_eq!(AccessToken::new(secret).expose(), secret);
    }

    #[test]
    fn a_client_is_known_by_what_is_no_secret() {
        let ours = pair("id", "secret");
        assert!(ours.is_of_same_client(&pair("id", "other"), &FIELDS));
        assert!(!ours.is_of_same_client(&pair("other", "secret"), &FIELDS));
        assert!(!ours.is_of_same_client(&Credentials::default(), &FIELDS));
        assert!(
            !ours.is_of_same_client(&ours, &FIELDS[1..]),
            "secrets alone name nobody"
        );
    }

    #[test]
    fn access_by_credentials_does_not_end() {
        let access = Access::by_credentials();
        assert!(access.is_usable(Timestamp::from_millis(4_000_000_000_000)));
        assert_eq!(access.token.expose(), "");
    }

    #[test]
    // requirement: secret-print
    fn nothing_secret_prints() {
        let secret = OauthSecret {
            credentials: pair("id", "s3cret"),
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
