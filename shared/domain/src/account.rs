//! Accounts, their webhooks and their URL tokens.
//!
//! An account is one customer site at a source, under a name the operator chose. Its webhook URL ends in a
//! token that only the source knows; what is stored of it is its SHA-256.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::signature::Policy;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// The longest account name, in characters.
pub const LONGEST_ACCOUNT_NAME: usize = 40;

/// The operator's name for an account: `[a-z0-9-]`, 1 to 40 characters.
///
/// The alphabet keeps names safe in table keys (`account#kind`), secret names and CloudEvents sources.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// A name that is no [`AccountName`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the account name has to be 1 to {LONGEST_ACCOUNT_NAME} characters of a-z, 0-9 and '-'")]
pub struct AccountNameError;

impl AccountName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || name.len() > LONGEST_ACCOUNT_NAME || !name.bytes().all(allowed) {
            return Err(AccountNameError);
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The source's own id of a webhook, such as `wh_1q4qn43v`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(String);

impl WebhookId {
    /// Takes the id as the source gave it.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many characters a URL token has: 32 random bytes as unpadded base64url.
const TOKEN_LENGTH: usize = 43;

/// The secret last segment of a webhook URL. Exists while a request is answered or a webhook is registered,
/// and is stored nowhere.
#[derive(Debug)]
pub struct UrlToken(SecretString);

/// A path segment that cannot be a [`UrlToken`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no URL token: it has to be {TOKEN_LENGTH} characters of base64url")]
pub struct UrlTokenError;

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl UrlToken {
    /// Makes a token out of 32 random bytes.
    #[must_use]
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        use base64::Engine as _;
        Self(
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode(bytes)
                .into(),
        )
    }

    /// What the accounts table knows the token by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.expose_secret().as_bytes()).into())
    }

    /// The token itself, for the one place that writes it into a webhook's URL.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for UrlToken {
    type Err = UrlTokenError;

    fn from_str(segment: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if segment.len() != TOKEN_LENGTH || !segment.bytes().all(allowed) {
            return Err(UrlTokenError);
        }
        Ok(Self(segment.into()))
    }
}

/// SHA-256 of a [`UrlToken`]: safe to store and to log. It names a registration, since each has a token of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl FromStr for TokenHash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl TokenHash {
    /// Its first 16 hex digits: what a webhook's name or description holds where a source may not show the URL.
    #[must_use]
    pub fn label(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a URL token stands for, as stored beside its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The account whose deliveries come by this URL.
    pub account: AccountName,
    /// The source that was given the URL. At another source's route the token stands for nothing.
    pub source: Source,
    /// The webhook that was registered with this URL, once the source has named it.
    pub webhook: Option<WebhookId>,
    /// The version of the registration's keys that was stored last: who holds an older one reads them again.
    pub keys: KeysVersion,
    /// Whether deliveries by this URL are taken.
    pub status: TokenStatus,
    /// What proof the account asks for, where that is not left to its source.
    pub policy: Option<Policy>,
}

impl TokenEntry {
    /// What proof a delivery needs whose source has this policy. An account may ask for more than its source, never
    /// for less.
    #[must_use]
    pub fn policy_over(&self, of_source: Policy) -> Policy {
        self.policy.map_or(of_source, |own| own.stricter(of_source))
    }
}

/// The version of a registration's keys: it grows with each change. Zero where the keys never changed since 0.1.0, which
/// counted none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeysVersion(u64);

impl KeysVersion {
    /// Takes a version as it was stored.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self(version)
    }

    /// The version as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The version of keys that are changed at `now`: its milliseconds, or one more where the clock stood still.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(now.millis().max(self.0.saturating_add(1)))
    }
}

/// The life of a URL token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStatus {
    /// Stored before it was sent to the source.
    Pending,
    /// Registered: deliveries come by it.
    Live,
    /// Its webhook was replaced: it may still deliver for a while, and retries of older deliveries still come.
    Grace,
    /// The account was disconnected, or the grace is over: nothing is taken.
    Retired,
}

impl TokenStatus {
    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Live => "live",
            Self::Grace => "grace",
            Self::Retired => "retired",
        }
    }

    /// Whether a delivery by such a token is looked at.
    #[must_use]
    pub fn takes_deliveries(self) -> bool {
        match self {
            Self::Pending | Self::Live | Self::Grace => true,
            Self::Retired => false,
        }
    }
}

/// A stored word that names no [`TokenStatus`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no status of a URL token")]
pub struct TokenStatusError(String);

impl FromStr for TokenStatus {
    type Err = TokenStatusError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "pending" => Ok(Self::Pending),
            "live" => Ok(Self::Live),
            "grace" => Ok(Self::Grace),
            "retired" => Ok(Self::Retired),
            other => Err(TokenStatusError(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::short("a", true)]
    #[case::all_of_the_alphabet("acme-2", true)]
    #[case::forty(&"a".repeat(40), true)]
    #[case::forty_one(&"a".repeat(41), false)]
    #[case::empty("", false)]
    #[case::upper_case("Acme", false)]
    #[case::key_separator("a#b", false)]
    #[case::not_ascii("é", false)]
    fn account_names_fit_every_key_they_become_part_of(#[case] name: &str, #[case] good: bool) {
        assert_eq!(name.parse::<AccountName>().is_ok(), good);
    }

    #[test]
    // requirement: secret-print
    fn a_token_is_known_by_its_hash_and_never_printed() {
        let token = UrlToken::from_random(&[7; 32]);
        let again: UrlToken = token.expose().parse().unwrap();
        assert_eq!(token.hash(), again.hash());
        assert!(!format!("{token:?}").contains(token.expose()));
        assert_eq!(token.hash().to_string().parse(), Ok(token.hash()));
    }

    #[rstest]
    #[case("")]
    #[case("short")]
    #[case(&"/".repeat(43))]
    #[case(&"a".repeat(44))]
    fn a_segment_of_another_shape_is_no_token(#[case] segment: &str) {
        assert!(segment.parse::<UrlToken>().is_err());
    }

    #[rstest]
    #[case(TokenStatus::Pending, "pending", true)]
    #[case(TokenStatus::Live, "live", true)]
    #[case(TokenStatus::Grace, "grace", true)]
    #[case(TokenStatus::Retired, "retired", false)]
    fn a_status_is_stored_by_its_word_and_decides_whether_deliveries_are_taken(
        #[case] status: TokenStatus,
        #[case] word: &str,
        #[case] takes_deliveries: bool,
    ) {
        assert_eq!(status.as_str(), word);
        assert_eq!(word.parse(), Ok(status));
        assert_eq!(status.takes_deliveries(), takes_deliveries);
    }

    #[rstest]
    #[case(None, Policy::Observe, Policy::Observe)]
    #[case(None, Policy::Require, Policy::Require)]
    #[case(Some(Policy::Require), Policy::Observe, Policy::Require)]
    #[case(Some(Policy::Observe), Policy::Observe, Policy::Observe)]
    #[case::never_less(Some(Policy::Observe), Policy::Require, Policy::Require)]
    fn an_account_may_ask_for_more_proof(
        #[case] own: Option<Policy>,
        #[case] of_source: Policy,
        #[case] expected: Policy,
    ) {
        let entry = TokenEntry {
            account: "acme".parse().unwrap(),
            source: Source::Orderspace,
            webhook: None,
            keys: KeysVersion::default(),
            status: TokenStatus::Live,
            policy: own,
        };
        assert_eq!(entry.policy_over(of_source), expected);
    }

    #[test]
    fn a_version_of_keys_grows_also_while_the_clock_stands_still() {
        let at = Timestamp::from_millis;
        let first = KeysVersion::default().next(at(7));
        assert_eq!(first.get(), 7);
        assert_eq!(first.next(at(9)), KeysVersion::new(9));
        assert_eq!(first.next(at(7)), KeysVersion::new(8));
        assert_eq!(first.next(at(3)), KeysVersion::new(8));
    }
}
