//! Endpoints: the URLs that webhooks are sent to. Their last segment is a secret.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::account::UrlToken;
use crate::source::Source;

/// Where webhooks arrive, without a slash at the end; `/{source}/{token}` follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HooksUrl(String);

/// A text that is no [`HooksUrl`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("it has to be an http or https URL without query, such as https://example.com/hooks")]
pub struct HooksUrlError;

impl FromStr for HooksUrl {
    type Err = HooksUrlError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let url = url.trim_end_matches('/');
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        match host {
            Some(host) if !host.is_empty() && !url.contains(['?', '#', ' ']) => {
                Ok(Self(url.to_owned()))
            }
            _ => Err(HooksUrlError),
        }
    }
}

impl HooksUrl {
    /// The endpoint of a webhook that has this token.
    #[must_use]
    pub fn endpoint(&self, source: Source, token: &UrlToken) -> Endpoint {
        Endpoint::new(format!("{}/{source}/{}", self.0, token.expose()))
    }

    /// Whether an endpoint is one of this installation.
    #[must_use]
    pub fn holds(&self, source: Source, endpoint: &Endpoint) -> bool {
        endpoint
            .token()
            .is_some_and(|token| self.endpoint(source, &token).expose() == endpoint.expose())
    }
}

/// The URL that a webhook is sent to. Does not print: its last segment may be a [`UrlToken`].
#[derive(Clone)]
pub struct Endpoint(SecretString);

#[expect(clippy::disallowed_methods, reason = "the one reader of this secret")]
impl Endpoint {
    /// Takes a URL as the source shows it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(SecretString::from(url.into()))
    }

    /// The URL, for the one place that sends it to the source.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The token at the URL's end, if there is something of a token's form.
    #[must_use]
    pub fn token(&self) -> Option<UrlToken> {
        self.expose().rsplit('/').next()?.parse().ok()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint(_)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::https("https://example.com/hooks", true)]
    #[case::loopback("http://127.0.0.1:4566/_aws/execute-api/abc/hooks/", true)]
    #[case::no_host("https://", false)]
    #[case::query("https://example.com/hooks?a=b", false)]
    #[case::no_url("example.com/hooks", false)]
    fn hooks_urls(#[case] url: &str, #[case] good: bool) {
        assert_eq!(url.parse::<HooksUrl>().is_ok(), good);
    }

    #[test]
    fn an_endpoint_is_recognised_and_does_not_print() {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = hooks.endpoint(Source::Orderspace, &token);
        assert_eq!(endpoint.token().unwrap().hash(), token.hash());
        assert!(hooks.holds(Source::Orderspace, &endpoint));
        assert!(!format!("{endpoint:?}").contains(token.expose()));
        let elsewhere = Endpoint::new(format!("https://example.org/x/{}", token.expose()));
        assert!(!hooks.holds(Source::Orderspace, &elsewhere));
        let foreign = Endpoint::new("https://example.com/hooks/orderspace/theirs");
        assert!(!hooks.holds(Source::Orderspace, &foreign) && foreign.token().is_none());
    }
}
