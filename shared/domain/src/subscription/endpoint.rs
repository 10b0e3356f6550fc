//! Endpoints: the URLs that webhooks are sent to. Their last segment is a secret.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use crate::account::UrlToken;
use crate::delivery::is_part;
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

    /// The endpoint of a webhook that has this token and brings this part of an account; see [`Part`](super::Part). The
    /// part without a name is not named.
    #[must_use]
    pub fn endpoint_of_part(&self, source: Source, token: &UrlToken, part: &str) -> Endpoint {
        let endpoint = self.endpoint(source, token);
        match part {
            "" => endpoint,
            part => Endpoint::new(format!("{}/{part}", endpoint.expose())),
        }
    }

    /// Whether an endpoint is one of this installation, however it is spelled.
    #[must_use]
    pub fn holds(&self, source: Source, endpoint: &Endpoint) -> bool {
        endpoint.token_and_part().is_some_and(|(token, part)| {
            let ours = self.endpoint_of_part(source, &token, &part).normal();
            ours.is_some() && ours == endpoint.normal()
        })
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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

    /// The token at the URL's end, or before the name of a part, if there is something of a token's form.
    #[must_use]
    pub fn token(&self) -> Option<UrlToken> {
        self.token_and_part().map(|(token, _)| token)
    }

    /// The part that the URL names behind its token; empty where it names none.
    #[must_use]
    pub fn part(&self) -> Option<String> {
        self.token_and_part().map(|(_, part)| part)
    }

    fn token_and_part(&self) -> Option<(UrlToken, String)> {
        let normal = self.normal()?;
        let mut segments = normal.path().rsplit('/');
        let last = segments.next()?;
        // A part may read as a token does, and what stands before a token does not.
        let before = segments.next().and_then(|before| before.parse().ok());
        match before.filter(|_| is_part(last)) {
            Some(token) => Some((token, last.to_owned())),
            None => Some((last.parse().ok()?, String::new())),
        }
    }

    /// The URL in the one spelling of all that mean the same: scheme and host in lower case, no default port, no dot
    /// segments, no needless escapes, no slash at the end, no fragment. `None` for what is no URL.
    /// <https://www.rfc-editor.org/rfc/rfc3986#section-6.2>
    fn normal(&self) -> Option<Url> {
        let mut url = Url::parse(self.expose().trim()).ok()?;
        url.set_fragment(None);
        if url.query() == Some("") {
            url.set_query(None);
        }
        let path = unescaped(url.path());
        url.set_path(path.trim_end_matches('/'));
        Some(url)
    }
}

/// A path without the escapes of characters that need none: letters, digits, `-._~`, and `@`, which a part may have and a
/// path need not escape. All that a path of ours is made of is among them.
#[must_use]
pub fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let needless = |code: &u8| code.is_ascii_alphanumeric() || b"-._~@".contains(code);
        match (code.filter(needless), part.get(2..)) {
            (Some(code), Some(rest)) => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
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

    #[rstest]
    #[case::none("TOKEN", "")]
    #[case::named("TOKEN/stock_import_completed", "stock_import_completed")]
    #[case::versioned("TOKEN/return_parcel_created@v3", "return_parcel_created@v3")]
    #[case::escaped("TOKEN/return_parcel_created%40v3/", "return_parcel_created@v3")]
    #[case::of_a_token_s_form(
        "TOKEN/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    )]
    fn the_part_stands_behind_the_token(#[case] end: &str, #[case] part: &str) {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let end = end.replace("TOKEN", token.expose());
        let endpoint = Endpoint::new(format!("https://example.com/hooks/onestock/{end}"));
        assert_eq!(endpoint.token().unwrap().hash(), token.hash());
        assert_eq!(endpoint.part().as_deref(), Some(part));
        assert!(hooks.holds(Source::OneStock, &endpoint));
        assert!(!hooks.holds(Source::Orderspace, &endpoint));
        let made = hooks.endpoint_of_part(Source::OneStock, &token, part);
        assert_eq!(made.normal(), endpoint.normal());
        assert_eq!(made.part().as_deref(), Some(part));
    }

    #[rstest]
    #[case::upper_case("https://example.com/hooks/onestock/TOKEN/Part")]
    #[case::two_parts("https://example.com/hooks/onestock/TOKEN/a/b")]
    #[case::escaped_slash("https://example.com/hooks/onestock/TOKEN/a%2Fb")]
    #[case::no_token("https://example.com/hooks/onestock/part")]
    fn what_is_no_part_is_no_endpoint_of_ours(#[case] url: &str) {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = Endpoint::new(url.replace("TOKEN", token.expose()));
        assert!(!hooks.holds(Source::OneStock, &endpoint));
        assert!(endpoint.token().is_none() && endpoint.part().is_none());
    }

    #[rstest]
    #[case::as_registered("https://example.com/hooks/orderspace/TOKEN", true)]
    #[case::slash("https://example.com/hooks/orderspace/TOKEN/", true)]
    #[case::slashes("https://example.com/hooks/orderspace/TOKEN//", true)]
    #[case::upper_case("HTTPS://Example.COM/hooks/orderspace/TOKEN", true)]
    #[case::port("https://example.com:443/hooks/orderspace/TOKEN", true)]
    #[case::dots("https://example.com/hooks/./x/../orderspace/TOKEN", true)]
    #[case::escapes("https://example.com/%68ooks/orderspace/TOKEN", true)]
    #[case::fragment("https://example.com/hooks/orderspace/TOKEN#x", true)]
    #[case::empty_query("https://example.com/hooks/orderspace/TOKEN?", true)]
    #[case::space(" https://example.com/hooks/orderspace/TOKEN\n", true)]
    #[case::scheme("http://example.com/hooks/orderspace/TOKEN", false)]
    #[case::other_port("https://example.com:8443/hooks/orderspace/TOKEN", false)]
    #[case::host("https://example.org/hooks/orderspace/TOKEN", false)]
    #[case::path("https://example.com/Hooks/orderspace/TOKEN", false)]
    #[case::source("https://example.com/hooks/stackone/TOKEN", false)]
    #[case::query("https://example.com/hooks/orderspace/TOKEN?a=b", false)]
    #[case::escaped_slash("https://example.com/hooks/orderspace%2FTOKEN", false)]
    #[case::bad_escape("https://example.com/%zz%/hooks/orderspace/TOKEN", false)]
    #[case::no_url("TOKEN", false)]
    fn spelling_is_no_difference_and_meaning_is(#[case] url: &str, #[case] ours: bool) {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = Endpoint::new(url.replace("TOKEN", token.expose()));
        assert_eq!(hooks.holds(Source::Orderspace, &endpoint), ours);
    }
}
